"""Every setting, read once from the environment and from ``.env``, typed and frozen."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from satupeta_server.errors import StartError
from satupeta_server.settings_values import (
    dsn_parts,
    is_bucket_name,
    is_default_secret,
    is_network,
    is_weak_key,
    is_web_address,
    libpq_address,
    parse_encryption_keys,
    parse_texts,
    webhook_key,
)

_MEGABYTE = 1024 * 1024
_DATABASE_ADDRESSES = (
    "database_url",
    "database_direct_url",
    "database_replica_url",
    "migration_database_url",
)
_REGION = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?")


class Settings(BaseSettings):
    """The settings of one process.

    Raises pydantic's ValidationError; :func:`load_settings` turns that into sentences.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    project_name: str = Field(
        "Satu Peta", description="Name shown on pages and in the API's document."
    )
    environment: Literal["development", "production"] = Field(
        "development",
        description="`development` or `production`; production refuses missing or weak secrets.",
    )
    debug: bool = Field(
        default=False, description="Log what a developer needs; never changes an answer."
    )
    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(5000, ge=0, le=65535, description="Port that the API listens on.")
    workers: int = Field(1, ge=1, le=64, description="API processes that share the port.")
    log_format: Literal["json", "text"] | None = Field(
        None,
        description="How the log is written: a JSON object a line, or text; JSON in production "
        "where it is not set.",
    )
    log_personal_data: Literal["none", "ids", "addresses"] = Field(
        "ids",
        description="What a request's line in a log of JSON says of persons: nothing, the id of "
        "the user, or that and the client's address.",
    )
    smtp_host: str | None = Field(
        None, min_length=1, description="The server that takes mails; without it none are sent."
    )
    smtp_port: int = Field(587, ge=1, le=65_535, description="Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the connection to it is encrypted; its certificate is always checked. "
        "`none` is only for a server on the same machine.",
    )
    smtp_ca_file: Path | None = Field(
        None, description="Certificates that vouch for it, where the system's own do not."
    )
    smtp_username: str | None = Field(None, description="Who logs in there, where it asks.")
    smtp_password: SecretStr | None = Field(None, description="The password for that.")
    mail_from: str | None = Field(
        None,
        pattern=r"^[^@\r\n]+@[^@\r\n]+$",
        description="The sender of mails; must be set where SMTP_HOST is.",
    )
    mail_language: Literal["id", "en"] = Field("id", description="The language of mails.")
    portal_url: str | None = Field(
        None, description="Where people open the portal; mails link to its pages of mapsets."
    )
    webhook_urls: list[str] = Field(
        [], description="Where changes of the verification are told to, by signed POST requests."
    )
    webhook_secret: SecretStr | None = Field(
        None,
        min_length=24,
        description="What they are signed with, such as `whsec_` and base64; must be set where "
        "WEBHOOK_URLS is.",
    )
    webhook_secret_old: SecretStr | None = Field(
        None, min_length=24, description="The former one, while receivers change to the new one."
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="What Prometheus must show to read `/metrics` (`Authorization: Bearer`), at "
        "least 16 characters; without it there is no such page in production.",
    )
    otel_exporter_otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="Where OpenTelemetry's collector takes traces, such as "
        "`http://127.0.0.1:4318`; without it there are none.",
    )
    otel_exporter_otlp_traces_endpoint: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="The same with its whole path, where that is not `/v1/traces`.",
    )
    otel_sdk_disabled: bool = Field(default=False, description="Sends no traces all the same.")
    otel_service_name: str = Field("satupeta", description="The name of the service in traces.")
    slow_request_milliseconds: int = Field(
        1000,
        ge=0,
        description="A request that takes longer is a warning in the log; 0 turns that off.",
    )
    slow_statement_milliseconds: int = Field(
        500,
        ge=0,
        description="A statement that takes longer is told in the log with the hash of its plan; "
        "0 turns that off.",
    )
    worker_concurrency: int = Field(
        4, ge=1, le=64, description="Jobs that one `satupeta worker` does at once."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="Least severe level that is logged."
    )
    data_dir: Path = Field(
        Path("var"),
        description="Folder of the embedded servers, of generated secrets and of `accounts.json`.",
    )
    public_url: str | None = Field(
        None,
        description="Address under which users reach the API, for links; default `http://HOST:PORT`.",
    )

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL 15 or newer; without it the embedded one is used."
    )
    database_pool_size: int = Field(
        10, ge=1, le=200, description="Connections of each API process to each PostgreSQL server."
    )
    database_timeout_seconds: float = Field(
        10, gt=0.5, le=120, description="Longest wait for a connection or a statement."
    )
    database_pooler: bool = Field(
        default=False,
        description="DATABASE_URL and DATABASE_REPLICA_URL lead to a pooler in transaction mode, "
        "such as pgbouncer.",
    )
    database_direct_url: SecretStr | None = Field(
        None,
        description="The server of DATABASE_URL past the pooler, for migrations, commands and what "
        "else a pooler cannot pass on; default DATABASE_URL.",
    )
    database_replica_url: SecretStr | None = Field(
        None, description="A standby of that server, which takes reads while it is near enough."
    )
    migration_database_url: SecretStr | None = Field(
        None,
        description="The same database by the role that owns its tables, for migrations, retention "
        "and `satupeta db`; `satupeta serve` does not need it. Default: as DATABASE_DIRECT_URL.",
    )

    request_timeout_seconds: float = Field(
        30,
        ge=1,
        le=600,
        description="Longest time for a request, its waiting for others of the same caller "
        "included; files take as long as they take.",
    )
    client_timeout_seconds: float = Field(
        15,
        ge=1,
        le=600,
        description="Longest time for a request's headers; of its body and of the reading of the "
        "answer at least 500 bytes a second must have moved in each such time.",
    )
    max_connections: int = Field(
        2000,
        ge=10,
        le=100_000,
        description="Open connections of each API process; beyond them the one that is idle for "
        "longest is closed. Half of the files that the process may open are the most.",
    )
    idempotency_hours: int = Field(
        24, ge=1, le=720, description="How long the answer to an `Idempotency-Key` is kept."
    )
    response_cache_megabytes: int = Field(
        16,
        ge=0,
        le=4096,
        description="Memory of each API process for answers that everybody gets; 0 keeps none.",
    )

    secret_key: SecretStr | None = Field(
        None,
        description="Signs the access and refresh tokens; at least 32 characters. "
        "Generated into DATA_DIR in development.",
    )
    secret_keys_old: SecretStr | None = Field(
        None,
        description="JSON list of former SECRET_KEYs whose tokens are still good; none is signed "
        "with them.",
    )
    algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        "HS256", description="The one algorithm of the tokens' signatures."
    )
    access_token_expire_minutes: int = Field(
        480, ge=1, le=43_200, description="Lifetime of an access token."
    )
    refresh_token_expire_days: int = Field(
        7, ge=1, le=365, description="Lifetime of a refresh token; each refresh gives a new one."
    )
    session_lifetime_days: int = Field(
        30, ge=1, le=365, description="Absolute lifetime of a session, however often refreshed."
    )
    encryption_keys: SecretStr | None = Field(
        None,
        description="JSON object of key id to base64 of 32 random bytes, for stored credentials; "
        "the first encrypts, all decrypt. Generated into DATA_DIR in development.",
    )
    bcrypt_rounds: int = Field(12, ge=4, le=16, description="Cost of a password's hash.")
    login_delay_ceiling_seconds: float = Field(
        8, ge=0, le=60, description="Longest delay of a login after many failures of its account."
    )
    password_reset_hours: int = Field(
        24, ge=1, le=168, description="How long a one-time link for a new password is valid."
    )

    trusted_proxies: list[str] = Field(
        [],
        description="JSON list of the addresses or networks of the proxies in front of the API; "
        "only theirs are `X-Forwarded-For` and `X-Forwarded-Proto` believed.",
    )
    allowed_origins: list[str] = Field(
        [
            "http://localhost:3000", "http://127.0.0.1:3000",
            "http://localhost:4000", "http://127.0.0.1:4000",
        ],
        description="JSON list of origins that may call the API from a browser.",
    )  # fmt: skip

    minio_endpoint_url: str | None = Field(
        None, description="S3 endpoint; without it the embedded store is used."
    )
    minio_root_user: str | None = Field(None, description="Access key of the object store.")
    minio_root_password: SecretStr | None = Field(
        None, description="Secret key of the object store."
    )
    minio_secure: bool = Field(
        default=False, description="Use TLS where MINIO_ENDPOINT_URL names no scheme."
    )
    minio_bucket_name: str = Field("satupeta", description="Bucket of the uploaded files.")
    minio_region: str | None = Field(
        None, description="Region of the bucket, if the store has any."
    )
    minio_fallback_endpoint_url: str | None = Field(
        None,
        description="While the objects move: S3 endpoint where an object is looked for that the "
        "bucket lacks. It is used where this or MINIO_FALLBACK_BUCKET_NAME is set; of the other "
        "MINIO_FALLBACK_ settings, those not set are as the ones without FALLBACK.",
    )
    minio_fallback_root_user: str | None = Field(
        None, description="Access key of the fallback; set both of its keys or none."
    )
    minio_fallback_root_password: SecretStr | None = Field(
        None, description="Secret key of the fallback."
    )
    minio_fallback_secure: bool | None = Field(
        None, description="Use TLS where MINIO_FALLBACK_ENDPOINT_URL names no scheme."
    )
    minio_fallback_bucket_name: str | None = Field(None, description="Bucket of the fallback.")
    minio_fallback_region: str | None = Field(None, description="Region of the fallback.")
    mirror_access_key: str | None = Field(
        None, description="Access key of the store that `satupeta bucket mirror` names."
    )
    mirror_secret_key: SecretStr | None = Field(None, description="Secret key of that store.")

    max_upload_size: int = Field(
        100 * _MEGABYTE, ge=1, le=5 * 1024 * _MEGABYTE, description="Largest upload, in bytes."
    )
    max_body_size: int = Field(
        2 * _MEGABYTE, ge=1024, le=64 * _MEGABYTE, description="Largest JSON body, in bytes."
    )
    max_image_pixels: int = Field(
        50_000_000, ge=1, description="Most pixels that an uploaded image may have."
    )
    allowed_extensions: list[str] = Field(
        ["jpg", "jpeg", "png", "gif", "webp", "pdf", "csv", "json", "geojson", "txt",
         "doc", "docx", "xls", "xlsx", "zip"],
        description="JSON list of the extensions that may be uploaded.",
    )  # fmt: skip
    fetch_allowed_networks: list[str] = Field(
        [],
        description="JSON list of networks that are not public, such as `10.20.0.0/16`, where an "
        "address that others gave may lead nevertheless.",
    )
    list_limit: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Rows of mapsets, news, regionals, histories and the audit log at most in one "
        "list.",
    )
    reverify_on_edit: bool = Field(
        default=False, description="An approved mapset that is edited returns to verification."
    )
    trash_retention_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description="Days after which `satupeta trash purge` removes a deleted record for good; "
        "0 keeps all for ever.",
    )
    audit_retention_days: int = Field(
        730,
        ge=0,
        le=36_500,
        description="After so many days `satupeta audit prune` removes a record of the audit log; "
        "0 keeps them for ever.",
    )
    timezone: str = Field("Asia/Jakarta", description="Time zone of the times in answers.")

    @field_validator("log_level", mode="before")
    @classmethod
    def _level_in_any_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("secret_key")
    @classmethod
    def _strong_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and is_weak_key(value.get_secret_value()):
            raise ValueError("is too weak; use at least 32 random characters")
        return value

    @field_validator("secret_keys_old")
    @classmethod
    def _strong_old_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        keys = parse_texts(value.get_secret_value()) if value is not None else []
        if any(map(is_weak_key, keys)):
            raise ValueError("has a key that is too weak to be believed; leave it out")
        return value

    @field_validator("encryption_keys")
    @classmethod
    def _whole_encryption_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_encryption_keys(value.get_secret_value())
        return value

    @field_validator(*_DATABASE_ADDRESSES)
    @classmethod
    def _postgresql_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        return SecretStr(libpq_address(value.get_secret_value()))

    @field_validator("minio_endpoint_url", "minio_fallback_endpoint_url")
    @classmethod
    def _endpoint(cls, value: str | None) -> str | None:
        if value is None:
            return None
        address = value.removesuffix("/")
        if not is_web_address(address if "://" in address else f"http://{address}"):
            raise ValueError("must look like http://host:9000")
        return address

    @field_validator("public_url", "portal_url")
    @classmethod
    def _absolute_url(cls, value: str | None) -> str | None:
        if value is not None and not is_web_address(value, with_path=True):
            raise ValueError("must look like https://peta.example.org")
        return value and value.rstrip("/")

    @field_validator("webhook_urls")
    @classmethod
    def _webhooks(cls, value: list[str]) -> list[str]:
        for address in value:
            if not address.startswith(("https://", "http://")) or any(map(str.isspace, address)):
                raise ValueError("has an entry that is not like https://example.org/hook")
        return value

    @model_validator(mode="after")
    def _notifications(self) -> Self:
        if self.smtp_host and self.mail_from is None:
            raise ValueError("MAIL_FROM must be set where SMTP_HOST is")
        if self.webhook_urls and self.webhook_secret is None:
            raise ValueError("WEBHOOK_SECRET must be set where WEBHOOK_URLS is")
        try:
            self.webhook_keys()
        except ValueError:
            raise ValueError("WEBHOOK_SECRET is no base64 after whsec_") from None
        is_near = self.smtp_host in ("localhost", "127.0.0.1", "::1", None)
        if self.smtp_security == "none" and not is_near:
            raise ValueError("SMTP_SECURITY none is only for a server on the same machine")
        return self

    @field_validator("minio_bucket_name", "minio_fallback_bucket_name")
    @classmethod
    def _bucket(cls, value: str | None) -> str | None:
        if value is not None and not is_bucket_name(value):
            raise ValueError("must be 3 to 63 of a-z, 0-9, . and -, such as satupeta")
        return value

    @field_validator("minio_region", "minio_fallback_region")
    @classmethod
    def _region(cls, value: str | None) -> str | None:
        if value is not None and not _REGION.fullmatch(value):
            raise ValueError("must look like us-east-1")
        return value

    @field_validator("trusted_proxies", "fetch_allowed_networks")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            if not is_network(network):
                raise ValueError(f"has an entry that is no address and no network: {network!r}")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if not re.fullmatch(r"https?://[^/\s?#@]+", origin):
                raise ValueError(f"has an entry that is no origin: {origin!r}")
        return value

    @field_validator("allowed_extensions")
    @classmethod
    def _extensions(cls, value: list[str]) -> list[str]:
        extensions = [extension.lower().removeprefix(".") for extension in value]
        for extension in extensions:
            if not re.fullmatch(r"[a-z0-9]+", extension):
                raise ValueError(f"has an entry that is no extension: {extension!r}")
        return extensions

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("is no known time zone; use one such as Asia/Jakarta")
        return value

    @model_validator(mode="after")
    def _store_has_keys(self) -> Self:
        if self.minio_endpoint_url and not (self.minio_root_user and self.minio_root_password):
            raise ValueError(
                "MINIO_ROOT_USER and MINIO_ROOT_PASSWORD must be set with MINIO_ENDPOINT_URL"
            )
        if bool(self.minio_fallback_root_user) != bool(self.minio_fallback_root_password):
            raise ValueError(
                "MINIO_FALLBACK_ROOT_USER and MINIO_FALLBACK_ROOT_PASSWORD must be set together"
            )
        return self

    @model_validator(mode="after")
    def _pooler_has_a_way_past(self) -> Self:
        if (self.database_direct_url or self.database_replica_url) and not self.database_url:
            raise ValueError("DATABASE_URL must be set with DATABASE_DIRECT_URL and with a replica")
        if self.database_pooler and not self.database_direct_url:
            raise ValueError("DATABASE_DIRECT_URL must be set with DATABASE_POOLER")
        return self

    @model_validator(mode="after")
    def _two_roles_have_names(self) -> Self:
        if self.migration_database_url is None:
            return self
        if self.database_url is None:
            raise ValueError("DATABASE_URL must be set with MIGRATION_DATABASE_URL")
        for name in ("database_url", "migration_database_url"):
            if _role(getattr(self, name)) is None:
                raise ValueError(f"{name.upper()} must name its user, as there are two of them")
        return self

    @model_validator(mode="after")
    def _key_fits_algorithm(self) -> Self:
        # RFC 7518, 3.2: a key is at least as long as the hash.
        needed = int(self.algorithm.removeprefix("HS")) // 8
        if self.secret_key and len(self.secret_key.get_secret_value().encode()) < needed:
            raise ValueError(f"SECRET_KEY is too short for {self.algorithm}; use {needed} bytes")
        if self.secret_key and any(len(key.encode()) < needed for key in self.secret_key_ring()):
            raise ValueError(f"SECRET_KEYS_OLD has a key that is too short for {self.algorithm}")
        return self

    @model_validator(mode="after")
    def _production_secrets(self) -> Self:
        if self.environment != "production":
            return self
        problems = [
            f"{name.upper()} must be set in production"
            for name in ("secret_key", "encryption_keys", "database_url", "minio_endpoint_url")
            if getattr(self, name) is None
        ]
        problems += [
            f"{name} has a default or short password; choose another one"
            for name, password in self._passwords()
            if len(password) < 8 or is_default_secret(password)
        ]
        if self.encryption_keys and any(
            len(set(key)) < 8 for key in self.encryption_key_ring().values()
        ):
            problems.append("ENCRYPTION_KEYS has a key that is not random")
        if problems:
            raise ValueError(". ".join(problems))
        return self

    def _passwords(self) -> Iterator[tuple[str, str]]:
        for name in ("minio_root_password", "minio_fallback_root_password"):
            if password := getattr(self, name):
                yield name.upper(), password.get_secret_value()
        for name in _DATABASE_ADDRESSES:
            address = getattr(self, name)
            # Without a password in it the server knows the client by other means.
            if address and (password := dsn_parts(address.get_secret_value()).get("password")):
                yield name.upper(), password

    @property
    def base_url(self) -> str:
        """The address of the server, without the prefix ``/api``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone of the times in answers."""
        return ZoneInfo(self.timezone)

    def direct(self) -> Self:
        """The settings of whoever needs more of PostgreSQL than a pooler passes on.

        That is whoever listens, migrates, holds a lock or a cursor, or has long statements.
        """
        address = self.database_direct_url or self.database_url
        return self.model_copy(update={"database_url": address, "database_pooler": False})

    def owner(self) -> Self:
        """The settings of whoever owns the tables: migrations, retention and ``satupeta db``.

        Their DATABASE_DIRECT_URL is still that of the API.
        """
        direct = self.direct()
        address = self.migration_database_url or direct.database_url
        update = {"database_url": address, "database_direct_url": direct.database_url}
        return direct.model_copy(update=update)

    @property
    def api_role(self) -> str | None:
        """The role of the API in PostgreSQL, where the tables are another one's; else None."""
        if self.migration_database_url is None:
            return None
        role = _role(self.database_direct_url or self.database_url)
        return None if role == _role(self.migration_database_url) else role

    def secret_key_ring(self) -> list[str]:
        """The keys of tokens, the signing one first."""
        if self.secret_key is None:
            raise StartError("SECRET_KEY is not set.")
        old = self.secret_keys_old
        former = parse_texts(old.get_secret_value()) if old is not None else []
        return [self.secret_key.get_secret_value(), *former]

    def webhook_keys(self) -> list[bytes]:
        """The keys that webhooks are signed with, the present one first."""
        secrets = (self.webhook_secret, self.webhook_secret_old)
        return [webhook_key(one.get_secret_value()) for one in secrets if one is not None]

    def encryption_key_ring(self) -> dict[str, bytes]:
        """The keys of stored credentials by their ids, the encrypting one first."""
        if self.encryption_keys is None:
            raise StartError("ENCRYPTION_KEYS is not set.")
        return parse_encryption_keys(self.encryption_keys.get_secret_value())


def _role(address: SecretStr | None) -> str | None:
    return dsn_parts(address.get_secret_value()).get("user") if address else None


def load_settings(env_file: Path | None = Path(".env"), **overrides: Any) -> Settings:
    """Read the settings from the environment and ``env_file``, where it exists.

    Raises StartError with a sentence for each setting that is missing, weak or impossible.
    """
    try:
        return Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        raise StartError(" ".join(_sentence(dict(one)) for one in error.errors())) from None
    except (OSError, UnicodeError):
        raise StartError(f"{env_file} cannot be read; it must be a text in UTF-8.") from None
    except Exception as error:
        # pydantic-settings refuses a list that is not JSON before any validator sees it.
        name = re.search(r'field "(\w+)"', str(error))
        if name is None:
            raise
        raise StartError(f"{name[1].upper()} must be JSON, such as a list in brackets.") from None


def _sentence(error: dict[str, Any]) -> str:
    reason = str(error["msg"]).removeprefix("Value error, ")
    name = "_".join(str(part) for part in error["loc"][:1]).upper()
    if not name:
        return f"{reason}."
    if error["type"] == "value_error":
        return f"{name} {reason}."
    return f"{name} is not possible: {reason[:1].lower()}{reason[1:]}."


def require_servers(settings: Settings, *, object_store: bool = True) -> str:
    """Give DATABASE_URL; raises StartError when a server that is needed is not set."""
    if settings.database_url is None:
        raise StartError("DATABASE_URL is not set; set it, or use satupeta dev.")
    if object_store and settings.minio_endpoint_url is None:
        raise StartError("MINIO_ENDPOINT_URL is not set; set it, or use satupeta dev.")
    return settings.database_url.get_secret_value()
