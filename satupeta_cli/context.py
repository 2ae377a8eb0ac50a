"""The settings and the database as commands use them.

Beside a running ``satupeta dev`` they are those of its embedded servers.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import peewee
from pydantic import SecretStr

from satupeta_server import database
from satupeta_server.embedded import running_addresses
from satupeta_server.errors import StartError, UnavailableError
from satupeta_server.secrets_store import with_generated_secrets
from satupeta_server.settings import Settings, load_settings, require_servers

# A command says in its own sentence what the log of the server would say.
logging.getLogger("satupeta_server").addHandler(logging.NullHandler())


def command_settings(env_file: Path) -> Settings:
    """Read the settings; a server that is not set is the embedded one, while that runs.

    Raises StartError for settings that are not possible.
    """
    settings = with_generated_secrets(load_settings(env_file))
    found = running_addresses(settings.data_dir)
    if found is None:
        return settings
    update: dict[str, object] = {}
    if settings.database_url is None and found.database_url is not None:
        update["database_url"] = SecretStr(found.database_url)
    if settings.minio_endpoint_url is None and found.object_store_endpoint is not None:
        update["minio_endpoint_url"] = found.object_store_endpoint
        update["minio_root_user"] = found.object_store_access_key
        update["minio_root_password"] = SecretStr(found.object_store_secret_key or "")
    return settings.model_copy(update=update)


@contextlib.contextmanager
def usable_database(settings: Settings) -> Iterator[database.Database]:
    """Give the database; what keeps it from being used is a StartError of one sentence."""
    require_servers(settings, object_store=False)
    try:
        with database.translated():
            yield database.connect(settings)
    except UnavailableError:
        raise StartError("DATABASE_URL cannot be reached.") from None
    except peewee.ProgrammingError:
        raise StartError(
            "DATABASE_URL has no tables of this version; run satupeta db upgrade."
        ) from None
