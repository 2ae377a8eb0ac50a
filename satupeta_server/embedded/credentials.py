"""The passwords and keys of the embedded servers: random, made once, kept private."""

import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from satupeta_server.embedded.errors import EmbeddedError
from satupeta_server.embedded.files import make_folder, read_json, replace_private_json


@dataclass(frozen=True)
class Credentials:
    """All that is needed to be let in; never shown, so that no log can hold it by accident."""

    database_password: str
    database_superuser_password: str
    object_store_access_key: str
    object_store_secret_key: str

    def __repr__(self) -> str:
        return "Credentials(...)"


def credentials_path(data_dir: Path) -> Path:
    """Where the credentials of `data_dir` stand."""
    return data_dir / "secrets" / "embedded.json"


def load_credentials(data_dir: Path) -> Credentials | None:
    """The credentials of `data_dir`, or None when none were made yet.

    Raises EmbeddedError when the file is damaged.
    """
    path = credentials_path(data_dir)
    stored = read_json(path)
    if not stored:
        return None
    try:
        return Credentials(**{field.name: str(stored[field.name]) for field in fields(Credentials)})
    except KeyError as missing:
        raise EmbeddedError(
            f"The file {path} lacks {missing}: restore it from a backup."
        ) from missing


def make_credentials(data_dir: Path) -> Credentials:
    """New credentials for `data_dir`, on the disk when this returns."""
    credentials = Credentials(
        database_password=secrets.token_hex(24),
        database_superuser_password=secrets.token_hex(24),
        object_store_access_key=secrets.token_hex(10),
        object_store_secret_key=secrets.token_hex(20),
    )
    path = credentials_path(data_dir)
    make_folder(path.parent, 0o700)
    replace_private_json(path, asdict(credentials))
    return credentials
