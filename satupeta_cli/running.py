"""The settings as commands use them: beside a running ``satupeta dev``, its embedded servers."""

from pathlib import Path

from pydantic import SecretStr

from satupeta_server.embedded import running_addresses
from satupeta_server.secrets_store import with_generated_secrets
from satupeta_server.settings import Settings, load_settings


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
