"""Every setting: its default, what it may be, and what is said when it is something else."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from satupeta_server.errors import StartError
from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings, load_settings, require_servers
from satupeta_server.storage import fallback_place

SECRET = "Zeu8Ohth-aeKie0ie-Xoo9Quai-Ahng6xie"
KEY = base64.b64encode(bytes(range(32))).decode()

DEFAULTS: dict[str, Any] = {
    "PROJECT_NAME": "Satu Peta",
    "ENVIRONMENT": "development",
    "DEBUG": False,
    "HOST": "127.0.0.1",
    "PORT": 5000,
    "WORKERS": 1,
    "WORKER_CONCURRENCY": 4,
    "LOG_LEVEL": "INFO",
    "DATABASE_URL": None,
    "DATABASE_POOLER": False,
    "DATABASE_DIRECT_URL": None,
    "DATABASE_REPLICA_URL": None,
    "MIGRATION_DATABASE_URL": None,
    "AUDIT_RETENTION_DAYS": 730,
    "SECRET_KEY": None,
    "ALGORITHM": "HS256",
    "ACCESS_TOKEN_EXPIRE_MINUTES": 480,
    "REFRESH_TOKEN_EXPIRE_DAYS": 7,
    "ALLOWED_ORIGINS": [
        "http://localhost:3000",
        "http://127.0.0.1:3000",
        "http://localhost:4000",
        "http://127.0.0.1:4000",
    ],
    "MINIO_ENDPOINT_URL": None,
    "MINIO_ROOT_USER": None,
    "MINIO_ROOT_PASSWORD": None,
    "MINIO_SECURE": False,
    "MINIO_BUCKET_NAME": "satupeta",
    "MINIO_REGION": None,
    "MAX_UPLOAD_SIZE": 104857600,
    "ALLOWED_EXTENSIONS": [
        "jpg",
        "jpeg",
        "png",
        "gif",
        "webp",
        "pdf",
        "csv",
        "json",
        "geojson",
        "txt",
        "doc",
        "docx",
        "xls",
        "xlsx",
        "zip",
    ],
    "TIMEZONE": "Asia/Jakarta",
    "DATA_DIR": Path("var"),
}

IMPOSSIBLE: dict[str, list[str]] = {
    "ENVIRONMENT": ["staging", "Production", "dev"],
    "DEBUG": ["perhaps"],
    "PORT": ["-1", "65536", "http", "5000.5"],
    "WORKERS": ["0", "65", "many"],
    "WORKER_CONCURRENCY": ["0", "65", "many"],
    "METRICS_TOKEN": ["too-short"],
    "SMTP_PORT": ["0", "65536"],
    "SMTP_SECURITY": ["none-at-all"],
    "MAIL_FROM": ["nobody"],
    "MAIL_LANGUAGE": ["fr"],
    "PORTAL_URL": ["peta.example.org"],
    "WEBHOOK_URLS": ['["ftp://example.org"]'],
    "WEBHOOK_SECRET": ["short", "whsec_this-is-no-base64-at-all"],
    "WEBHOOK_SECRET_OLD": ["short"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["collector:4317"],
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ["collector"],
    "OTEL_SDK_DISABLED": ["maybe"],
    "LOG_FORMAT": ["xml"],
    "LOG_PERSONAL_DATA": ["all"],
    "SLOW_REQUEST_MILLISECONDS": ["-1", "soon"],
    "SLOW_STATEMENT_MILLISECONDS": ["-1", "soon"],
    "LOG_LEVEL": ["LOUD"],
    "PUBLIC_URL": ["peta.example.org", "ftp://x", "https://", "https://u:p@x", "http://x:99999"],
    "DATABASE_URL": [
        "mysql://u:p@h/x",
        "postgresql://u:p@h",
        "postgresql://u:p@h/",
        "postgresql://u:p@h:99999/x",
        "postgresql://u:p@h:0/x",
        "postgresql://u:p@h:port/x",
        "postgresql://u:p@h/x?unheard=of",
        "postgresql://u:p%zz@h/x",
        "postgresql://[h/x",
        "x",
    ],
    "DATABASE_POOLER": ["perhaps"],
    "DATABASE_DIRECT_URL": ["db.example.org", "mysql://u:p@h/x"],
    "DATABASE_REPLICA_URL": ["db.example.org", "mysql://u:p@h/x"],
    "MIGRATION_DATABASE_URL": ["db.example.org", "mysql://u:p@h/x"],
    "AUDIT_RETENTION_DAYS": ["-1", "36501", "1.5"],
    "DATABASE_POOL_SIZE": ["0", "201"],
    "DATABASE_TIMEOUT_SECONDS": ["0.5", "121", "nan", "inf"],
    "REQUEST_TIMEOUT_SECONDS": ["0.5", "601", "nan", "inf"],
    "CLIENT_TIMEOUT_SECONDS": ["0.5", "601", "nan", "inf"],
    "MAX_CONNECTIONS": ["9", "100001", "x"],
    "IDEMPOTENCY_HOURS": ["0", "721", "x"],
    "RESPONSE_CACHE_MEGABYTES": ["-1", "4097", "x"],
    "SECRET_KEY": ["short", "x" * 64, "changeme-" * 8, "your-secret-key-here-0123456789-abcdef"],
    "SECRET_KEYS_OLD": ["x", "{}", "[1]", '["short"]', json.dumps(["x" * 64])],
    "TRUSTED_PROXIES": ["10.0.0.1", "[1]", "{}", '["x"]', '["10.0.0.1/8"]', '["*"]'],
    "ALGORITHM": ["none", "RS256", "hs256"],
    "ACCESS_TOKEN_EXPIRE_MINUTES": ["0", "43201", "1.5"],
    "REFRESH_TOKEN_EXPIRE_DAYS": ["0", "366"],
    "SESSION_LIFETIME_DAYS": ["0", "366"],
    "ENCRYPTION_KEYS": [
        "{}",
        "[]",
        "null",
        KEY,
        "{",
        '{"1": "short"}',
        '{"1": 1}',
        '{"1": null}',
        json.dumps({"": KEY}),
        json.dumps({"two words": KEY}),
        json.dumps({"1": KEY, "2": base64.b64encode(bytes(16)).decode()}),
    ],
    "BCRYPT_ROUNDS": ["3", "17"],
    "LOGIN_DELAY_CEILING_SECONDS": ["-1", "61", "nan"],
    "PASSWORD_RESET_HOURS": ["0", "169"],
    "ALLOWED_ORIGINS": [
        "http://localhost:3000",
        '["localhost"]',
        '["*"]',
        '["https://x/"]',
        '["https://u:p@x"]',
        '{"a": 1}',
        "[1]",
        "[",
    ],
    "MINIO_ENDPOINT_URL": [
        "s3://h:9000",
        "http://",
        "http://h:9000/path",
        "http://h:99999",
        "http://u:p@h:9000",
        "http://[h",
        "a b",
    ],
    "MINIO_FALLBACK_ENDPOINT_URL": ["s3://h:9000", "http://h:9000/path", "a b"],
    "MINIO_FALLBACK_SECURE": ["2"],
    "MINIO_FALLBACK_BUCKET_NAME": ["ab", "satu_peta"],
    "MINIO_FALLBACK_REGION": ["_x"],
    "MINIO_SECURE": ["2"],
    "MINIO_BUCKET_NAME": ["ab", "Satupeta", "satu_peta", "a..b", "a.-b", "-ab", "127.0.0.1"],
    "MINIO_REGION": ["_x", "two words", "x-"],
    "MAX_UPLOAD_SIZE": ["0", "100MB", "99999999999"],
    "MAX_BODY_SIZE": ["0", "99999999"],
    "MAX_IMAGE_PIXELS": ["0"],
    "ALLOWED_EXTENSIONS": ["jpg,png", '["a/b"]', '[""]', '["tar.gz"]', '"jpg"', "[1]"],
    "FETCH_ALLOWED_NETWORKS": ["10.0.0.0/8", '["10.0.0.1/8"]', '["peta.example.org"]', '[""]'],
    "LIST_LIMIT": ["0", "100001"],
    "REVERIFY_ON_EDIT": ["x"],
    "TRASH_RETENTION_DAYS": ["-1", "36501", "soon"],
    "TIMEZONE": ["Mars/Olympus", "../etc/passwd", "WIB"],
}
# Whether these are right only the network, the disk or the object store knows.
ANYTHING = {
    "PROJECT_NAME", "HOST", "DATA_DIR", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD",
    "MINIO_FALLBACK_ROOT_USER", "MINIO_FALLBACK_ROOT_PASSWORD",
    "MIRROR_ACCESS_KEY", "MIRROR_SECRET_KEY", "OTEL_SERVICE_NAME",
    "SMTP_CA_FILE", "SMTP_HOST", "SMTP_PASSWORD", "SMTP_USERNAME",
}  # fmt: skip

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": SECRET,
    "ENCRYPTION_KEYS": json.dumps({"2026-01": KEY}),
    "DATABASE_URL": "postgresql://satupeta:Ieth3aif-oo7@db.example.org:5432/satupeta",
    "MINIO_ENDPOINT_URL": "https://s3.example.org",
    "MINIO_ROOT_USER": "satupeta",
    "MINIO_ROOT_PASSWORD": "Eew2ooph-ai0",
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting from outside, and a folder without ``.env``."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def with_environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Settings:
    """The settings of an environment."""
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refusal(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> str:
    """What is said about an environment with which nothing starts."""
    with pytest.raises(StartError) as error:
        with_environment(monkeypatch, values)
    return str(error.value)


def shown(value: Any) -> Any:
    """A setting's value, a secret in the clear."""
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


@pytest.mark.parametrize("name", DEFAULTS)
def test_each_setting_of_a_deployment_is_known_and_has_its_default(name: str) -> None:
    assert getattr(load_settings(), name.lower()) == DEFAULTS[name]


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_every_setting_is_either_refused_somewhere_or_free() -> None:
    names = {name.upper() for name in Settings.model_fields}
    assert set(IMPOSSIBLE) | ANYTHING == names
    assert not set(IMPOSSIBLE) & ANYTHING


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in IMPOSSIBLE.items() for value in values]
)
def test_an_impossible_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    keys = {"MINIO_ROOT_USER": "u", "MINIO_ROOT_PASSWORD": "p"}
    said = refusal(monkeypatch, {**keys, name: value})
    assert said.startswith(f"{name} ")
    assert said.endswith(".")
    assert "\n" not in said
    assert "pydantic" not in said


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, {"PORT": "x", "TIMEZONE": "Mars", "SECRET_KEY": "x"})
    assert all(name in said for name in ("PORT", "TIMEZONE", "SECRET_KEY"))


def test_lists_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(
        monkeypatch,
        {
            "ALLOWED_ORIGINS": '["https://peta.example.org", "http://localhost:3000"]',
            "ALLOWED_EXTENSIONS": '["PNG", ".jpg"]',
        },
    )
    assert settings.allowed_origins == ["https://peta.example.org", "http://localhost:3000"]
    assert settings.allowed_extensions == ["png", "jpg"]


def test_values_as_deployments_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(
        monkeypatch,
        {"DEBUG": "True", "LOG_LEVEL": "info", "PORT": "8000", "WORKERS": "4", "MINIO_REGION": ""},
    )
    assert (settings.debug, settings.log_level, settings.port) == (True, "INFO", 8000)
    assert settings.workers == 4
    assert settings.minio_region is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("postgresql+asyncpg://u:p@h:5433/x", "postgresql://u:p@h:5433/x"),
        ("postgresql+asyncpg://u:p@h/x?ssl=require", "postgresql://u:p@h/x?sslmode=require"),
        ("postgres://u:p@h/x", "postgresql://u:p@h/x"),
        ("postgresql://u:p@h1,h2:5433/x", "postgresql://u:p@h1,h2:5433/x"),
        ("postgresql:///x?host=/run/postgresql", "postgresql:///x?host=/run/postgresql"),
        ("postgresql://u:p%40ss@[::1]:5432/x", "postgresql://u:p%40ss@[::1]:5432/x"),
    ],
)
def test_addresses_of_postgresql_as_deployments_have_them(
    monkeypatch: pytest.MonkeyPatch, written: str, read: str
) -> None:
    settings = with_environment(monkeypatch, {"DATABASE_URL": written})
    assert shown(settings.database_url) == read
    assert require_servers(settings, object_store=False) == read


@pytest.mark.parametrize("endpoint", ["minio:9000", "http://minio:9000/", "https://s3.example.org"])
def test_addresses_of_the_store_as_deployments_have_them(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    keys = {"MINIO_ROOT_USER": "u", "MINIO_ROOT_PASSWORD": "p"}
    settings = with_environment(monkeypatch, {**keys, "MINIO_ENDPOINT_URL": endpoint})
    assert settings.minio_endpoint_url == endpoint.rstrip("/")


@pytest.mark.parametrize("missing", ["MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"])
def test_a_store_needs_its_keys(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    values = {"MINIO_ROOT_USER": "u", "MINIO_ROOT_PASSWORD": "p", missing: ""}
    said = refusal(monkeypatch, {**values, "MINIO_ENDPOINT_URL": "minio:9000"})
    assert missing in said


@pytest.mark.parametrize("given", ["USER", "PASSWORD"])
def test_a_fallback_has_both_of_its_keys_or_none(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    said = refusal(monkeypatch, {f"MINIO_FALLBACK_ROOT_{given}": "geheim"})
    assert "MINIO_FALLBACK_ROOT_USER and MINIO_FALLBACK_ROOT_PASSWORD" in said
    assert "geheim" not in said


def test_what_is_not_set_of_a_fallback_is_as_in_the_main_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = {
        "MINIO_ENDPOINT_URL": "s3:9000", "MINIO_SECURE": "true", "MINIO_REGION": "id-1",
        "MINIO_ROOT_USER": "u", "MINIO_ROOT_PASSWORD": "p",
    }  # fmt: skip
    assert fallback_place(with_environment(monkeypatch, main)) is None
    found = fallback_place(
        with_environment(monkeypatch, {**main, "MINIO_FALLBACK_BUCKET_NAME": "older"})
    )
    assert found is not None
    assert (found.endpoint, found.bucket) == ("https://s3:9000", "older")
    assert (found.access_key, found.secret_key, found.region) == ("u", "p", "id-1")
    own = {
        "MINIO_FALLBACK_BUCKET_NAME": "", "MINIO_FALLBACK_ENDPOINT_URL": "old:9000",
        "MINIO_FALLBACK_SECURE": "false", "MINIO_FALLBACK_REGION": "id-2",
        "MINIO_FALLBACK_ROOT_USER": "v", "MINIO_FALLBACK_ROOT_PASSWORD": "q",
    }  # fmt: skip
    found = fallback_place(with_environment(monkeypatch, {**main, **own}))
    assert found is not None
    assert (found.endpoint, found.bucket) == ("http://old:9000", "satupeta")
    assert (found.access_key, found.secret_key, found.region) == ("v", "q", "id-2")
    assert "q" not in repr(found).replace("fallback", "")


def test_the_file_is_read_and_the_environment_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        "# as deployments have it\nPORT=6001\nPROJECT_NAME='Satu Peta Jatim'\n"
        'ALLOWED_ORIGINS=["https://peta.example.org"]\nNEXTAUTH_URL=https://other.example.org\n',
        encoding="utf-8",
    )
    settings = with_environment(monkeypatch, {"PORT": "6002"})
    assert settings.port == 6002
    assert settings.project_name == "Satu Peta Jatim"
    assert settings.allowed_origins == ["https://peta.example.org"]
    assert load_settings(None).project_name == "Satu Peta"


@pytest.mark.parametrize("content", [b"PROJECT_NAME=\xff\n", b"PORT=x\n", b"ALLOWED_ORIGINS=x\n"])
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(StartError, match=r"\.env cannot be read|PORT|ALLOWED_ORIGINS"):
        load_settings()


def test_the_environment_is_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {name: value for name, value in PRODUCTION.items() if name != "ENVIRONMENT"}
    assert with_environment(monkeypatch, values).environment == "development"


def test_production_starts_with_all_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, PRODUCTION)
    assert settings.environment == "production"
    assert settings.encryption_key_ring() == {"2026-01": bytes(range(32))}


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL", "MINIO_ENDPOINT_URL"]
)
def test_production_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    said = refusal(monkeypatch, {**PRODUCTION, name: ""})
    assert said == f"{name} must be set in production."


def test_production_names_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, {"ENVIRONMENT": "production"})
    for name in ("SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL", "MINIO_ENDPOINT_URL"):
        assert f"{name} must be set in production." in said


@pytest.mark.parametrize(
    ("name", "weak"),
    [
        ("SECRET_KEY", "secret"),
        ("SECRET_KEY", "your-secret-key-change-it-in-production"),
        ("ENCRYPTION_KEYS", json.dumps({"1": base64.b64encode(bytes(32)).decode()})),
        ("DATABASE_URL", "postgresql://postgres:postgres@db/satupeta"),
        ("DATABASE_URL", "postgresql+asyncpg://satupeta:pass%77ord@db/satupeta"),
        ("DATABASE_URL", "postgresql://satupeta@db/satupeta?password=changeme"),
        ("DATABASE_URL", "postgresql://satupeta:Ab3!@db/satupeta"),
        ("DATABASE_DIRECT_URL", "postgresql://satupeta:Ab3!@db/satupeta"),
        ("DATABASE_REPLICA_URL", "postgresql://satupeta:postgres@db/satupeta"),
        ("MIGRATION_DATABASE_URL", "postgresql://satupeta:postgres@db/satupeta"),
        ("MINIO_ROOT_PASSWORD", "minioadmin"),
        ("MINIO_FALLBACK_ROOT_PASSWORD", "minioadmin"),
        ("MINIO_ROOT_PASSWORD", "Change-Me!"),
        ("MINIO_ROOT_PASSWORD", "Ab3!"),
    ],
)
def test_production_refuses_weak_and_default_secrets(
    monkeypatch: pytest.MonkeyPatch, name: str, weak: str
) -> None:
    keys = {"MINIO_FALLBACK_ROOT_USER": "u", "MINIO_FALLBACK_ROOT_PASSWORD": "Eew2ooph-ai0"}
    said = refusal(monkeypatch, {**PRODUCTION, **keys, name: weak})
    assert said.startswith(f"{name} ")
    assert weak not in said


def test_a_secret_key_is_as_long_as_its_algorithm_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SECRET_KEY" in refusal(monkeypatch, {"ALGORITHM": "HS512", "SECRET_KEY": SECRET})
    assert with_environment(monkeypatch, {"SECRET_KEY": SECRET * 2}).algorithm == "HS512"


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, PRODUCTION)
    for text in (repr(settings), str(settings), repr(settings.model_dump())):
        for hidden in (SECRET, KEY, "Ieth3aif-oo7", "Eew2ooph-ai0"):
            assert hidden not in text


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("DATABASE_URL", "mysql://u:geheim@h/x", "geheim"),
        ("DATABASE_URL", "postgresql://u:geheim@h", "geheim"),
        ("DATABASE_URL", "postgresql://u:geheim%zz@h/x", "geheim"),
        ("DATABASE_URL", "postgresql://u:geheim@[h/x", "geheim"),
        ("DATABASE_URL", "postgresql://u:geheim@h:geheim/x", "geheim"),
        ("DATABASE_URL", "postgresql://u:geheim\u2100@h", "geheim"),
        ("DATABASE_URL", "postgresql://u:geheim@h/x?geheim=1", "geheim"),
        ("DATABASE_DIRECT_URL", "mysql://u:geheim@h/x", "geheim"),
        ("DATABASE_REPLICA_URL", "mysql://u:geheim@h/x", "geheim"),
        ("MIGRATION_DATABASE_URL", "mysql://u:geheim@h/x", "geheim"),
        ("ENCRYPTION_KEYS", '{"1": "geheim"}', "geheim"),
        ("ENCRYPTION_KEYS", "geheim", "geheim"),
        ("SECRET_KEY", "geheim", "geheim"),
        ("MINIO_ENDPOINT_URL", "http://u:geheim@h", "geheim"),
    ],
)
def test_no_secret_is_in_what_is_said_about_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hidden: str
) -> None:
    for environment in ("development", "production"):
        said = refusal(monkeypatch, {"ENVIRONMENT": environment, name: value})
        assert name in said
        assert hidden not in said


def test_settings_never_change() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_what_is_needed_and_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartError, match=r"^DATABASE_URL is not set"):
        require_servers(load_settings())
    settings = with_environment(monkeypatch, {"DATABASE_URL": "postgresql://u:p@h/x"})
    with pytest.raises(StartError, match=r"^MINIO_ENDPOINT_URL is not set"):
        require_servers(settings)
    with pytest.raises(StartError, match=r"^ENCRYPTION_KEYS is not set"):
        settings.encryption_key_ring()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"DATABASE_DIRECT_URL": "postgresql://u:p@h/x"}, "DATABASE_URL"),
        ({"DATABASE_REPLICA_URL": "postgresql://u:p@h/x"}, "DATABASE_URL"),
        ({"MIGRATION_DATABASE_URL": "postgresql://u:p@h/x"}, "DATABASE_URL"),
        (
            {"DATABASE_URL": "postgresql://u:p@h/x", "DATABASE_POOLER": "true"},
            "DATABASE_DIRECT_URL",
        ),
    ],
)
def test_a_pooler_and_a_replica_need_the_server_itself(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], named: str
) -> None:
    assert refusal(monkeypatch, values).startswith(f"{named} must be set with ")


def test_the_direct_settings_go_past_the_pooler(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"DATABASE_URL": "postgresql://u:p@h:6432/x", "DATABASE_POOLER": "true"}
    values["DATABASE_DIRECT_URL"] = "postgresql://u:p@h:5432/x"
    direct = with_environment(monkeypatch, values).direct()
    assert shown(direct.database_url) == values["DATABASE_DIRECT_URL"]
    assert direct.database_pooler is False
    without = {**values, "DATABASE_POOLER": "", "DATABASE_DIRECT_URL": ""}
    assert (
        shown(with_environment(monkeypatch, without).direct().database_url)
        == values["DATABASE_URL"]
    )


def test_the_owners_settings_know_the_role_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"DATABASE_URL": "postgresql://api:p@pooler/x", "DATABASE_POOLER": "true"}
    values["DATABASE_DIRECT_URL"] = "postgresql://api:p@h/x"
    one = with_environment(monkeypatch, values)
    assert (shown(one.owner().database_url), one.api_role) == (values["DATABASE_DIRECT_URL"], None)
    values["MIGRATION_DATABASE_URL"] = "postgresql://owner:p@h/x"
    two = with_environment(monkeypatch, values)
    for owner in (two.owner(), two.direct().owner(), two.owner().owner()):
        assert shown(owner.database_url) == values["MIGRATION_DATABASE_URL"]
        assert (owner.api_role, owner.database_pooler) == ("api", False)
    same = {**values, "MIGRATION_DATABASE_URL": values["DATABASE_DIRECT_URL"]}
    assert with_environment(monkeypatch, same).owner().api_role is None
    nameless = {**values, "MIGRATION_DATABASE_URL": "postgresql://h/x"}
    assert refusal(monkeypatch, nameless).startswith("MIGRATION_DATABASE_URL must name its user")


def test_links_lead_where_users_reach_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().base_url == "http://127.0.0.1:5000"
    assert with_environment(monkeypatch, {"HOST": "::1"}).base_url == "http://[::1]:5000"
    settings = with_environment(monkeypatch, {"PUBLIC_URL": "https://peta.example.org/portal/"})
    assert settings.base_url == "https://peta.example.org/portal"


def test_a_worker_reads_from_its_environment_what_its_parent_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {
        **PRODUCTION,
        "PROJECT_NAME": "Peta “Jatim”",
        "DEBUG": "true",
        "ALLOWED_EXTENSIONS": '["png"]',
        "DATABASE_TIMEOUT_SECONDS": "2.5",
    }
    settings = with_environment(monkeypatch, values)
    handed_over = parent_environment(settings)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    assert with_environment(monkeypatch, handed_over) == settings


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"SMTP_HOST": "127.0.0.1"}, "MAIL_FROM"),
        (
            {"SMTP_HOST": "mail.example.org", "MAIL_FROM": "a@b", "SMTP_SECURITY": "none"},
            "SMTP_SEC",
        ),
        ({"WEBHOOK_URLS": '["https://example.org/hook"]'}, "WEBHOOK_SECRET"),
    ],
)
def test_what_is_sent_needs_a_sender_and_a_secret(
    given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StartError, match=f"^{named}"):
        load_settings(None)
