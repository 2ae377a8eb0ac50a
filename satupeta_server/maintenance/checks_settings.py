"""What the doctor looks at on this machine: settings, secrets, origins, disk."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from satupeta_server.maintenance.doctor import Finding, Patient, State, worst
from satupeta_server.secrets_store import FILE_NAME as SECRETS_FILE
from satupeta_server.settings import Settings
from satupeta_server.settings_values import is_default_secret

ACCOUNTS_FILE = "accounts.json"
FEWEST_ROUNDS = 10
SHORTEST_PASSWORD = 12
FEWEST_DISTINCT_BYTES = 10
_MEGABYTE = 1024 * 1024
_LITTLE_SPACE = 1024 * _MEGABYTE
_LOCAL = ("127.0.0.1", "::1", "localhost")


def configuration(patient: Patient) -> Finding:
    """Whether the settings can be read, and fit their environment."""
    if patient.settings is None:
        return Finding("problem", patient.refusal, "see docs/settings.md")
    settings = patient.settings
    source = f" and {patient.env_file}" if patient.env_file.exists() else ""
    well = f"{settings.environment}, from the environment{source}"
    return worst(list(_configuration(settings)), well)


def _configuration(settings: Settings) -> Iterator[Finding]:
    if settings.environment == "development":
        if settings.host not in _LOCAL:
            text = f"ENVIRONMENT is development, and HOST is {settings.host}"
            yield Finding("warning", text, "set ENVIRONMENT=production where others can reach it")
        return
    if settings.debug:
        yield Finding("warning", "DEBUG is on in production", "set DEBUG=false")
    if settings.public_url is None:
        text = f"PUBLIC_URL is not set, so links begin with {settings.base_url}"
        yield Finding("warning", text, "set PUBLIC_URL to the address that users know")
    elif settings.public_url.startswith("http://"):
        yield Finding("warning", "PUBLIC_URL is without TLS", "use an https:// address")


def secrets(patient: Patient) -> Finding:
    """Whether secrets are strong, and readable by their owner only."""
    settings = patient.known_settings
    found = [*_weak_secrets(settings), *_readable_files(patient, settings)]
    return worst(found, "strong, and private")


def _weak_secrets(settings: Settings) -> Iterator[Finding]:
    state: State = "problem" if settings.environment == "production" else "warning"
    addresses = {
        "DATABASE_URL": settings.database_url,
        "DATABASE_DIRECT_URL": settings.database_direct_url,
        "DATABASE_REPLICA_URL": settings.database_replica_url,
        "MIGRATION_DATABASE_URL": settings.migration_database_url,
    }
    stores = {
        "MINIO_ROOT_PASSWORD": settings.minio_root_password,
        "MINIO_FALLBACK_ROOT_PASSWORD": settings.minio_fallback_root_password,
    }
    passwords = {
        **{
            f"the password in {name}": urlsplit(url.get_secret_value()).password
            for name, url in addresses.items()
            if url
        },
        **{name: store.get_secret_value() if store else None for name, store in stores.items()},
    }
    for name, password in passwords.items():
        if password and is_default_secret(password):
            yield Finding(state, f"{name} is a default", "choose another one")
        elif password and len(password) < SHORTEST_PASSWORD:
            text = f"{name} has less than {SHORTEST_PASSWORD} characters"
            yield Finding("warning", text, "choose a longer one")
    for key_id, key in settings.encryption_key_ring().items():
        if len(set(key)) < FEWEST_DISTINCT_BYTES:
            text = f"the encryption key “{key_id}” is not random"
            advice = "put a random one first, then run satupeta credential rotate-key"
            yield Finding(state, text, advice)
    if settings.bcrypt_rounds < FEWEST_ROUNDS:
        text = f"BCRYPT_ROUNDS is {settings.bcrypt_rounds}"
        yield Finding(state, text, "use 12, the default")


def _readable_files(patient: Patient, settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    for path in (patient.env_file, folder / SECRETS_FILE, folder / ACCOUNTS_FILE):
        if path.is_file() and _is_readable_by_others(path.stat()):
            text = f"{path} can be read by others"
            yield Finding("warning", text, f"run chmod 600 {path}")


def _is_readable_by_others(file: os.stat_result) -> bool:
    # What is root's own is for the group of the service to read, and not to change.
    return bool(file.st_mode & (0o037 if file.st_uid == 0 else 0o077))


def origins(patient: Patient) -> Finding:
    """Whether the origins that may call the API from a browser make sense."""
    settings = patient.known_settings
    well = ", ".join(settings.allowed_origins)
    return worst(list(_origins(settings)), well)


def _origins(settings: Settings) -> Iterator[Finding]:
    advice = "name in ALLOWED_ORIGINS the portal's own address alone"
    if not settings.allowed_origins:
        text = "ALLOWED_ORIGINS is empty, so the portal cannot call the API"
        yield Finding("warning", text, advice)
    for origin in settings.allowed_origins:
        if "*" in origin:
            yield Finding("problem", f"{origin} is no origin: there are no patterns", advice)
        elif settings.environment == "production" and origin.startswith("http://"):
            host = urlsplit(origin).hostname or ""
            state: State = "warning" if host in _LOCAL else "problem"
            yield Finding(state, f"{origin} is without TLS", advice)


def disk(patient: Patient) -> Finding:
    """Whether there is room in DATA_DIR and in the folder where uploads wait."""
    settings = patient.known_settings
    folders = (settings.data_dir, Path(tempfile.gettempdir()))
    free = {folder: shutil.disk_usage(_existing(folder)).free for folder in folders}
    found = []
    for folder, size in free.items():
        if size < _LITTLE_SPACE:
            # Each upload under way takes a spool file of its size.
            state: State = "problem" if size < 2 * settings.max_upload_size else "warning"
            text = f"{size // _MEGABYTE} MB are free in {folder}"
            found.append(Finding(state, text, "make room, or move DATA_DIR or TMPDIR"))
    well = ", ".join(f"{size // _LITTLE_SPACE} GB free in {path}" for path, size in free.items())
    return worst(found, well)


def _existing(folder: Path) -> Path:
    """Give the folder itself, or the nearest one above it that exists."""
    path = folder.resolve()
    while not path.exists():
        path = path.parent
    return path
