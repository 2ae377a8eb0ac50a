"""Databases of the embedded servers, migrated, seeded and filled with the sample catalogue."""

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from pydantic import SecretStr

from satupeta_server import database, migrating
from satupeta_server.embedded import Addresses
from satupeta_server.models.mapsets import Mapset
from satupeta_server.seed.reference import seed_reference
from satupeta_server.seed.sample import load_sample
from satupeta_server.settings import Settings, load_settings
from satupeta_server.storage import ObjectStore


class Databases:
    """Makes databases on running servers; ``folder`` keeps what the settings say of files."""

    def __init__(self, addresses: Addresses, folder: Path) -> None:
        self.addresses = addresses
        self.folder = folder

    def settings(self, name: str, **changes: Any) -> Settings:
        """Settings for one database."""
        url = urlunsplit(urlsplit(self.addresses.database_url or "")._replace(path=f"/{name}"))
        return load_settings(
            None,
            database_url=SecretStr(url),
            minio_endpoint_url=self.addresses.object_store_endpoint,
            minio_root_user=self.addresses.object_store_access_key,
            minio_root_password=SecretStr(self.addresses.object_store_secret_key or ""),
            secret_key=SecretStr("a-secret-key-of-the-benchmarks-0123456789"),
            encryption_keys=SecretStr(json.dumps({"1": base64.b64encode(bytes(32)).decode()})),
            data_dir=self.folder,
            **changes,
        )

    def fill(self, name: str, mapsets: int) -> Settings:
        """Make a database with so many mapsets, as far as it is not there from an earlier run."""
        if not self._exists(name):
            self.execute(f"CREATE DATABASE {name}")
        settings = self.settings(name)
        migrating.upgrade(url_of(settings))
        database.connect(settings)
        with database.synchronous():
            if Mapset.select().count() < max(mapsets, 1):
                self._load(settings, mapsets)
        database.database.close()
        return settings

    @staticmethod
    def _load(settings: Settings, mapsets: int) -> None:
        store = ObjectStore(settings)
        store.ensure_bucket()
        seed_reference()
        load_sample(settings, store, count=mapsets)
        store.close()

    @contextlib.contextmanager
    def own(self, name: str, mapsets: int = 0) -> Iterator[Settings]:
        """A database with so many mapsets, gone at the end."""
        yield self.fill(name, mapsets)
        # By force it would fail where PostgreSQL is just cleaning up; without it that is ended.
        self.execute(f"DROP DATABASE {name}")

    def execute(self, statement: str, name: str | None = None) -> None:
        """Run one statement outside any transaction."""
        url = url_of(self.settings(name)) if name else self.addresses.database_url
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    def _exists(self, name: str) -> bool:
        with contextlib.closing(psycopg2.connect(self.addresses.database_url)) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            return cursor.fetchone() is not None


def url_of(settings: Settings) -> str:
    """The address of the database."""
    return settings.database_url.get_secret_value() if settings.database_url else ""
