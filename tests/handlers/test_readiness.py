"""The health of a process, when its database is not as it must be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from satupeta_server.settings import Settings
from tests.conftest import Addresses, Api, execute, make_settings, own_database


class TestEmptyDatabase:
    @pytest.fixture
    def settings(self, addresses: Addresses, tmp_path: Path) -> Iterator[Settings]:
        with own_database(addresses, "empty") as name:
            yield make_settings(addresses, name, data_dir=tmp_path)

    async def test_it_is_not_ready_and_names_the_migrations(self, api: Api) -> None:
        ready = await api.get("/health/ready")
        assert ready.status == 503
        assert ready.json["checks"]["database"] == "ok"
        assert ready.json["checks"]["migrations"] == "down"


class TestMissingMigration:
    async def test_it_is_not_ready(self, api: Api, settings: Settings) -> None:
        assert (await api.get("/health/ready")).status == 200
        assert settings.database_url is not None
        execute(
            settings.database_url.get_secret_value(),
            "DELETE FROM _yoyo_migration WHERE migration_id LIKE '0001%'",
        )
        ready = await api.get("/health/ready")
        assert (ready.status, ready.json["checks"]["migrations"]) == (503, "down")
