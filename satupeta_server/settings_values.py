"""Reading and judging the texts that settings are written as."""

import base64
import binascii
import ipaddress
import re
from urllib.parse import urlsplit

_DEFAULT_SECRETS = {
    "admin", "changeme", "default", "minio", "minio123", "minioadmin", "password", "postgres",
    "root", "rahasia", "satupeta", "secret",
}  # fmt: skip

# As Amazon S3 names buckets; MinIO refuses others.
_BUCKET = re.compile(r"(?!.*(\.\.|\.-|-\.))(?![0-9.]+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def is_bucket_name(text: str) -> bool:
    """Tell whether a bucket can be called so."""
    return _BUCKET.fullmatch(text) is not None


def is_network(text: str) -> bool:
    """Tell whether a text is a network, such as 10.20.0.0/16, or one address."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_default_secret(text: str) -> bool:
    """Tell whether a secret is one that installations come with."""
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    return plain in _DEFAULT_SECRETS or plain.startswith(("changeme", "changethis", "yoursecret"))


def is_weak_key(text: str) -> bool:
    """Tell whether a key that signs could be guessed."""
    return len(text) < 32 or len(set(text)) < 10 or is_default_secret(text)


def parse_texts(text: str) -> list[str]:
    """Read a JSON list of texts; raises ValueError, which never quotes it."""
    import orjson  # noqa: PLC0415  kept out of the command line's start

    try:
        texts = orjson.loads(text)
    except ValueError:
        texts = None
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError('must be a JSON list of texts such as ["first", "second"]')
    return texts


def parse_encryption_keys(text: str) -> dict[str, bytes]:
    """Read ENCRYPTION_KEYS.

    Raises ValueError when it is not a JSON object of key ids to base64 of 32 bytes each.
    """
    import orjson  # noqa: PLC0415  kept out of the command line's start

    shape = 'must be a JSON object such as {"2026-01": "<base64 of 32 random bytes>"}'
    try:
        keys = {
            key_id: base64.b64decode(value, validate=True)
            for key_id, value in orjson.loads(text).items()
        }
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise ValueError(shape) from error
    if not keys or any(
        len(key) != 32 or not re.fullmatch(r"[\w.:-]+", key_id) for key_id, key in keys.items()
    ):
        raise ValueError(shape)
    return keys


def libpq_address(text: str) -> str:
    """Write DATABASE_URL as libpq reads it.

    Raises ValueError, which never quotes it, for it holds a password.
    """
    problem = ValueError("must look like postgresql://user:password@host:5432/database")
    match = re.fullmatch(r"postgres(?:ql)?(\+\w+)?://(.+)", text)
    if match is None:
        raise problem
    driver, address = match[1], f"postgresql://{match[2]}"
    if driver:
        # Deployments of the older backend name SQLAlchemy's driver, and its word for TLS.
        address = re.sub(r"([?&])ssl=", r"\1sslmode=", address)
    try:
        parts = dsn_parts(address)
        ports = [int(port) for port in parts.get("port", "").split(",") if port]
    except ValueError:
        raise problem from None
    if not parts.get("dbname") or not all(0 < port < 65536 for port in ports):
        raise problem
    return address


def dsn_parts(address: str) -> dict[str, str]:
    """Give the parts of a PostgreSQL address; raises ValueError, which never quotes it."""
    import psycopg2.extensions  # noqa: PLC0415  kept out of the command line's start

    try:
        parts: dict[str, str] = psycopg2.extensions.parse_dsn(address)
    except psycopg2.ProgrammingError:
        raise ValueError("is no address of PostgreSQL") from None
    return parts


def is_web_address(text: str, *, with_path: bool = False) -> bool:
    """Tell whether a text is a complete address of http or https, without a login in it."""
    try:
        parts = urlsplit(text)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    is_complete = is_complete and parts.scheme in ("http", "https")
    has_more = bool(parts.query or parts.fragment or (parts.path and not with_path))
    return is_complete and not has_more and bool(re.fullmatch(r"[\w.:\[\]-]+", parts.netloc))


def webhook_key(secret: str) -> bytes:
    """Give the bytes of a secret, which may be base64 after ``whsec_`` (Standard Webhooks 1.0)."""
    encoded = secret.removeprefix("whsec_")
    if encoded == secret:
        return secret.encode()
    return base64.b64decode(encoded)
