"""The reference data that every installation needs, whatever its environment."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from satupeta_server.models.base import BaseModel
from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.models.regionals import Regional
from satupeta_server.models.roles import Role
from satupeta_server.models.users import SYSTEM_USER_ID, User
from satupeta_server.seed.regions import Region, read_regions
from satupeta_server.seed.tables import read_table
from satupeta_server.seed.writing import Row, exclusive, insert_missing, stable_id

EAST_JAVA_ID = uuid.UUID("01968b53-a910-7a67-bd10-975b8923b92e")
"""The region that the portal names in every mapset that it creates."""

EAST_JAVA = "35"

ROLES = {
    "administrator": "Administrator: mengelola pengguna, organisasi, kategori, sumber peta, dan "
    "kredensial.",
    "data_validator": "Walidata: memeriksa dan menyetujui mapset serta mengelola berita dan "
    "pengguna.",
    "data_manager": "Pengelola data: mengelola mapset organisasinya sendiri serta berita.",
    "data_viewer": "Viewer: melihat data yang terbuka tanpa dapat mengubahnya.",
}

CLASSIFICATIONS = (
    ("Publik", "is_open", "Terbuka untuk siapa saja tanpa perlu masuk."),
    ("Internal", "is_limited", "Terbatas untuk keperluan instansi pemerintah."),
    ("Rahasia", "is_secret", "Hanya untuk pengguna yang berwenang; tidak pernah dipublikasikan."),
)


@dataclass(frozen=True, slots=True)
class ReferenceIds:
    """The ids of the reference data by what identifies it everywhere."""

    roles: Mapping[str, uuid.UUID]
    classifications: Mapping[str, uuid.UUID]
    projection_systems: Mapping[str, uuid.UUID]
    """By authority code, such as ``EPSG:9470``."""
    categories: Mapping[str, uuid.UUID]
    """By code of ISO 19115, such as ``farming``."""
    regionals: Mapping[str, uuid.UUID]


def seed_reference() -> None:
    """Insert what is missing of the reference data; change nothing that is there.

    It may run at every start and in several processes at once.
    """
    with exclusive():
        ensure_reference()


def ensure_reference() -> ReferenceIds:
    """Do the same inside a transaction of the caller's, and give the ids."""
    roles = insert_missing(Role, [_role(*role) for role in ROLES.items()], "name")
    _seed_system_user(roles["data_viewer"])
    systems = [_projection_system(row) for row in read_table("map-projection-systems.csv")]
    topics = read_table("iso-19115-topic-categories.csv")
    categories = insert_missing(Category, [_category(row) for row in topics], "name")
    return ReferenceIds(
        roles,
        insert_missing(Classification, [_classification(*row) for row in CLASSIFICATIONS], "name"),
        insert_missing(MapProjectionSystem, systems, "authority_code"),
        {row["code"]: categories[row["name"]] for row in topics},
        _seed_regions(read_regions()),
    )


def _seed_system_user(role_id: uuid.UUID) -> None:
    if User.select().where(User.id == SYSTEM_USER_ID).exists():
        return
    User.insert(
        id=SYSTEM_USER_ID,
        name="Sistem",
        username="system",
        email="system@satupeta.invalid",
        role_id=role_id,
        is_active=False,
        is_system=True,
    ).execute()


def _seed_regions(regions: list[Region]) -> dict[str, uuid.UUID]:
    provinces = [_regional(region, None) for region in regions if region.is_province]
    ids = insert_missing(Regional, provinces, "code")
    regencies = [
        _regional(region, ids[region.code[:2]]) for region in regions if not region.is_province
    ]
    return ids | insert_missing(Regional, regencies, "code")


def _seeded(model: type[BaseModel], key: str, **values: Any) -> Row:
    return {"id": stable_id(model.__name__, key), **values}


def _role(name: str, description: str) -> Row:
    return _seeded(Role, name, name=name, description=description)


def _classification(name: str, level: str, description: str) -> Row:
    levels = {each: each == level for _, each, _ in CLASSIFICATIONS}
    return _seeded(Classification, level, name=name, description=description, **levels)


def _projection_system(row: dict[str, str]) -> Row:
    epoch = Decimal(row["epoch"]) if row["epoch"] else None
    return _seeded(MapProjectionSystem, row["authority_code"], **{**row, "epoch": epoch})


def _category(row: dict[str, str]) -> Row:
    description = f"{row['explanation']} Kode ISO 19115: {row['code']} ({row['number']})."
    return _seeded(Category, row["code"], name=row["name"], description=description)


def _regional(region: Region, parent_id: uuid.UUID | None) -> Row:
    row = _seeded(
        Regional,
        region.code,
        code=region.code,
        name=region.name,
        parent_id=parent_id,
        description=region.description,
        valid_from=region.valid_from,
        valid_to=region.valid_to,
        is_active=region.valid_to is None,
    )
    return {**row, "id": EAST_JAVA_ID} if region.code == EAST_JAVA else row
