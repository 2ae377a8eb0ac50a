"""A PostgreSQL and an object store that a container reaches, for ``deploy/build-and-try.sh``.

``python -m tests.deployment.servers FOLDER`` writes FOLDER/settings.env, and serves until SIGTERM.
"""

import base64
import secrets
import shlex
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from satupeta_server.embedded import EmbeddedServers
from satupeta_server.settings import load_settings
from satupeta_server.storage import ObjectStore
from tests.faults.gate import Gate


def main() -> None:
    folder = Path(sys.argv[1])
    servers = EmbeddedServers(folder / "data")
    try:
        settings = _settings(servers)
        store = {name: value for name, value in settings.items() if name.startswith("minio_")}
        ObjectStore(load_settings(None, **store)).ensure_bucket()
        lines = [f"{name.upper()}={shlex.quote(value)}\n" for name, value in settings.items()]
        partial = folder / "settings.part"
        partial.touch(mode=0o600)
        partial.write_text("".join(lines), encoding="utf-8")
        partial.rename(folder / "settings.env")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    finally:
        servers.stop()


def _settings(servers: EmbeddedServers) -> dict[str, str]:
    found = servers.start()
    url = urlsplit(found.database_url or "")
    # The socket stands in a folder that no other account may enter.
    database = Gate(str(Path(str(servers._sockets)) / ".s.PGSQL.5432"))
    user = url.netloc.rpartition("@")[0]
    return {
        "database_url": f"postgresql://{user}@127.0.0.1:{database.port}{url.path}",
        "minio_endpoint_url": found.object_store_endpoint or "",
        "minio_root_user": found.object_store_access_key or "",
        "minio_root_password": found.object_store_secret_key or "",
        "secret_key": secrets.token_urlsafe(48),
        "encryption_keys": orjson.dumps(
            {"1": base64.b64encode(secrets.token_bytes(32)).decode()}
        ).decode(),
        "public_url": "https://localhost",
        "allowed_origins": '["https://localhost"]',
    }


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
