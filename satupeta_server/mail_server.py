"""The mail server of the settings."""

import ssl

import aiosmtplib

from satupeta_server.settings import Settings

MAIL_ERRORS = (TimeoutError, aiosmtplib.SMTPException, OSError)
"""What a mail server that is away, or wants something else, ends in."""


def mail_server(settings: Settings, seconds: float) -> aiosmtplib.SMTP:
    """Give the mail server of the settings; inside ``async with`` it is connected and logged in.

    Entering raises one of MAIL_ERRORS. Certificates are verified.
    """
    password = settings.smtp_password
    return aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username,
        password=password.get_secret_value() if password else None,
        use_tls=settings.smtp_security == "tls",
        start_tls=settings.smtp_security == "starttls",
        tls_context=_tls(settings),
        timeout=seconds,
    )


def what_failed(error: BaseException) -> str:
    """Name one of MAIL_ERRORS, without what the server said, which may be anything."""
    code = getattr(error, "code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.smtp_security == "none":
        return None
    return ssl.create_default_context(cafile=settings.smtp_ca_file)
