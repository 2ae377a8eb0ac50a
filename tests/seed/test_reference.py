"""The reference data: what it holds, and that it changes nothing that is there."""

import datetime
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from decimal import Decimal
from typing import Any

import psycopg2
import pytest

from satupeta_server.database import Database, connect, synchronous
from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.models.regionals import Regional
from satupeta_server.models.roles import Role
from satupeta_server.models.users import SYSTEM_USER_ID, User
from satupeta_server.seed import writing
from satupeta_server.seed.reference import EAST_JAVA_ID, seed_reference
from satupeta_server.seed.regions import Region, read_regions, reading_name
from satupeta_server.settings import Settings

SEEDED: tuple[Any, ...] = (
    Role, User, Classification, MapProjectionSystem, Category, Regional
)  # fmt: skip

SEEDING = """
from satupeta_server.database import connect, synchronous
from satupeta_server.seed.reference import seed_reference
from satupeta_server.settings import load_settings
connect(load_settings(None))
with synchronous():
    seed_reference()
"""


def all_rows() -> list[Any]:
    """Everything in the seeded tables."""
    return [list(model.select().order_by(model.id).dicts()) for model in SEEDED]


def in_force(day: datetime.date) -> Counter[int]:
    """How many provinces (2) and regencies (5) are in force on a day, by their codes' length."""
    return Counter(
        len(region.code)
        for region in read_regions()
        if region.valid_from <= day and (region.valid_to is None or day <= region.valid_to)
    )


@pytest.mark.parametrize(
    ("day", "provinces"),
    [
        (datetime.date(2019, 10, 8), 34),
        (datetime.date(2022, 7, 24), 34),
        (datetime.date(2022, 7, 25), 37),
        (datetime.date(2022, 12, 7), 37),
        (datetime.date(2022, 12, 8), 38),
        (datetime.date(2026, 11, 1), 38),
    ],
)
def test_on_each_day_every_regency_has_one_code_in_force(
    day: datetime.date, provinces: int
) -> None:
    assert in_force(day) == {2: provinces, 5: 514}


def test_names_of_the_annex_are_written_as_people_write_them() -> None:
    names = {region.code: region.name for region in read_regions()}
    assert names["11.01"] == "Kabupaten Aceh Selatan"
    assert names["31"] == "DKI Jakarta"
    assert names["31.01"] == "Kabupaten Administrasi Kepulauan Seribu"
    assert names["34"] == "Daerah Istimewa Yogyakarta"
    assert names["35.78"] == "Kota Surabaya"
    assert names["16.12"] == "Kabupaten Penukal Abab Lematang Ilir"
    assert names["91.12"] == names["95.02"] == "Kabupaten Pegunungan Bintang"
    assert reading_name("KAB. KEP. SERIBU") == "Kabupaten Kepulauan Seribu"


def test_every_regency_says_its_kind_and_no_name_is_in_capitals() -> None:
    for region in read_regions():
        assert region.is_province or region.name.split()[0] in ("Kabupaten", "Kota")
        assert not any(len(word) > 3 and word.isupper() for word in region.name.split())
        assert "." not in region.name


def test_no_two_regions_in_force_share_a_name() -> None:
    names = Counter(region.full_name for region in read_regions() if region.valid_to is None)
    assert names.most_common(1)[0][1] == 1


def test_moved_regencies_keep_their_names_under_the_new_codes() -> None:
    regions = {region.code: region for region in read_regions()}
    moved: list[Region] = [region for region in regions.values() if region.valid_to]
    assert len(moved) == 26
    successors = {region.name: region for region in regions.values() if not region.valid_to}
    for region in moved:
        successor = successors[region.name]
        assert successor.code[:2] in ("93", "94", "95", "96")
        assert region.valid_to == successor.valid_from - datetime.timedelta(days=1)
        assert successor.code in (region.description or "")
        assert region.code in (successor.description or "")


def test_the_regions_stand_in_the_database_with_parents_and_dates(
    migrated_database: Database,
) -> None:
    seed_reference()
    regionals = {row.code: row for row in Regional.select()}
    assert len(regionals) == 38 + 514 + 26
    assert regionals["35"].id == EAST_JAVA_ID
    assert regionals["35"].name == "Jawa Timur"
    for code, row in regionals.items():
        parent = regionals[code[:2]].id if len(code) == 5 else None
        assert row.parent_id_key == parent
        assert row.is_active == (row.valid_to is None)
        assert row.valid_from is not None
    assert regionals["91.01"].valid_to == datetime.date(2022, 7, 24)
    assert regionals["93.01"].valid_from == datetime.date(2022, 7, 25)


def test_roles_classifications_and_categories_are_complete(migrated_database: Database) -> None:
    seed_reference()
    assert {role.name for role in Role.select() if role.description} == {
        "administrator", "data_validator", "data_manager", "data_viewer",
    }  # fmt: skip
    levels = {
        row.name: (row.is_open, row.is_limited, row.is_secret) for row in Classification.select()
    }
    assert levels == {
        "Publik": (True, False, False),
        "Internal": (False, True, False),
        "Rahasia": (False, False, True),
    }
    categories = list(Category.select())
    assert len(categories) == 21
    assert any("boundaries (003)" in row.description for row in categories)


def test_the_system_user_is_reserved_and_cannot_act(migrated_database: Database) -> None:
    seed_reference()
    user = User.get_by_id(SYSTEM_USER_ID)
    assert user.username == "system"
    assert user.is_system
    assert not user.is_active
    assert user.password_hash is None


def test_the_coordinate_systems_of_indonesia_are_there(migrated_database: Database) -> None:
    seed_reference()
    systems = {row.authority_code: row for row in MapProjectionSystem.select()}
    wgs84 = {f"EPSG:{base + zone}" for base in (32600, 32700) for zone in range(46, 55)}
    others = {"EPSG:9470", "EPSG:4755", "EPSG:4238", "EPSG:4211", "EPSG:4326", "EPSG:3857"}
    assert wgs84 | others <= systems.keys()
    for row in systems.values():
        assert row.area
        assert row.epoch == (Decimal("2012.00") if row.name.startswith("SRGI2013") else None)
    assert systems["EPSG:9489"].name == "SRGI2013 / UTM zone 49S"
    assert systems["EPSG:23836"].name == "DGN95 / Indonesia TM-3 zone 49.2"


def test_seeding_again_adds_and_changes_nothing(migrated_database: Database) -> None:
    seed_reference()
    before = all_rows()
    seed_reference()
    assert all_rows() == before


def test_what_an_administrator_changed_or_deleted_stays_so(migrated_database: Database) -> None:
    seed_reference()
    category: Any = Category.get(Category.name == "Pertanian")
    Category.update(name="Pertanian dan Pangan", is_active=False).where(
        Category.id == category.id
    ).execute()
    Regional.update(deleted_at=datetime.datetime.now(datetime.UTC)).where(
        Regional.code == "35.78"
    ).execute()
    MapProjectionSystem.update(description="Milik kami").where(
        MapProjectionSystem.authority_code == "EPSG:4326"
    ).execute()
    before = all_rows()
    seed_reference()
    assert all_rows() == before


def test_a_row_that_was_there_before_the_first_seed_is_kept(migrated_database: Database) -> None:
    own = Category.create(name="PERTANIAN", description="Dari sistem lama")
    province = Regional.create(code="11", name="Nanggroe Aceh Darussalam")
    seed_reference()
    assert Category.select().where(Category.name == "Pertanian").count() == 0
    assert Category.get_by_id(own.id).description == "Dari sistem lama"
    children = Regional.select().where(Regional.parent_id == province.id)
    assert children.count() == 23


def test_two_processes_may_seed_at_once(settings: Settings, migrated_database: Database) -> None:
    assert settings.database_url is not None
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "ALLOWED_ORIGINS": json.dumps(settings.allowed_origins),
    }
    processes = [
        subprocess.Popen([sys.executable, "-c", SEEDING], env=environment) for _ in range(2)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert Regional.select().count() == 38 + 514 + 26


def test_seeding_waits_for_another_one_longer_than_statements_may_take(
    settings: Settings,
) -> None:
    connect(settings.model_copy(update={"database_timeout_seconds": 0.6}))
    assert settings.database_url is not None
    other = psycopg2.connect(settings.database_url.get_secret_value())
    other.cursor().execute("SELECT pg_advisory_xact_lock(%s)", (writing._LOCK,))
    release = threading.Timer(1.2, other.rollback)
    release.start()
    with synchronous():
        seed_reference()
        assert release.finished.is_set()
        assert Role.select().count() == 4
    release.join()
    other.close()


def test_a_failed_seed_leaves_nothing_behind(
    migrated_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[Region]:
        raise psycopg2.OperationalError("gone")

    monkeypatch.setattr("satupeta_server.seed.reference.read_regions", fail)
    with pytest.raises(psycopg2.OperationalError):
        seed_reference()
    assert Role.select().count() == 0
