"""Secrets that development makes for itself, once, and keeps in the data folder."""

import base64
import contextlib
import json
import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from satupeta_server.errors import StartError
from satupeta_server.settings import Settings

FILE_NAME = "secrets.json"


def with_generated_secrets(settings: Settings) -> Settings:
    """Fill in SECRET_KEY and ENCRYPTION_KEYS where they are missing, in development only.

    Raises StartError when the file of the generated ones cannot be read or written.
    """
    missing = {
        name: make
        for name, make in _GENERATORS.items()
        if settings.environment == "development" and getattr(settings, name) is None
    }
    if not missing:
        return settings
    path = settings.data_dir / FILE_NAME
    known = _read(path)
    made = {name: make() for name, make in missing.items() if name not in known}
    if made:
        known |= made
        write_private(path, json.dumps(known, indent=2).encode())
    return settings.model_copy(update={name: SecretStr(known[name]) for name in missing})


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only from its first byte on.

    Raises StartError in one sentence when it cannot be written.
    """
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StartError(f"{path} cannot be written: {error.strerror}.") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, str]:
    problem = StartError(f"{path} cannot be read; restore it from a backup.")
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise problem from error
    if not isinstance(known, dict) or not all(isinstance(one, str) for one in known.values()):
        raise problem
    return known


def _encryption_keys() -> str:
    return json.dumps({"development": base64.b64encode(secrets.token_bytes(32)).decode()})


_GENERATORS = {"secret_key": lambda: secrets.token_urlsafe(48), "encryption_keys": _encryption_keys}
