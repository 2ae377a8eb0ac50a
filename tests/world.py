"""The few records that each test's database begins with."""

import uuid
from dataclasses import dataclass
from typing import Any

from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.credentials import Credential, encryption_context
from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.models.map_sources import MapSource
from satupeta_server.models.organizations import Organization
from satupeta_server.models.roles import Role
from satupeta_server.models.users import User
from satupeta_server.security.encryption import Encryptor
from satupeta_server.security.passwords import hash_password

EAST_JAVA = "01968b53-a910-7a67-bd10-975b8923b92e"
PASSWORD = "Sawah-Hijau-2026!"
CREDENTIAL_SECRET = {"username": "pembaca", "password": "sandi-geoserver"}

USERS = {
    "administrator": ("administrator", "own"),
    "walidata": ("data_validator", "own"),
    "pengelola": ("data_manager", "own"),
    "pengelola_lain": ("data_manager", "other"),
    "viewer": ("data_viewer", "own"),
}
"""Role and organization by username."""


@dataclass(frozen=True)
class World:
    """The ids of what stands in a test's database."""

    users: dict[str, uuid.UUID]
    roles: dict[str, str]
    organizations: dict[str, str]
    classifications: dict[str, str]
    category_id: str
    projection_system_id: str
    credential_id: str
    geoserver_id: str
    geonetwork_id: str

    def mapset(self, **changes: Any) -> dict[str, Any]:
        """The body that the portal's wizard sends, with some fields changed."""
        return {
            "name": "Batas Desa Jawa Timur",
            "description": "Batas wilayah desa di Jawa Timur.",
            "scale": "1:25.000",
            "projection_system_id": self.projection_system_id,
            "category_id": self.category_id,
            "classification_id": self.classifications["open"],
            "producer_id": self.organizations["own"],
            "regional_id": EAST_JAVA,
            "data_status": "sementara",
            "source_id": [self.geoserver_id, self.geonetwork_id],
            "layer_url": "https://peta.example.org/geoserver/wms?layers=batas:desa"
            "&service=WMS&request=GetMap",
            "metadata_url": "https://peta.example.org/geonetwork/srv/api/records/1/formatters/xml",
            "coverage_level": "provinsi",
            "coverage_area": "kabupaten",
            "data_update_period": "Tahunan",
            "data_version": "2026",
            "is_popular": False,
            "is_active": True,
            "status_validation": "on_verification",
            "notes": "Mapset baru dibuat",
            **changes,
        }


def make_world() -> World:
    """Insert the records; the reference data must be there already."""
    organizations = {
        key: Organization.create(
            name=name, email=f"{key}@example.org", website=f"https://{key}.example.org"
        ).id
        for key, name in (("own", "Dinas Pekerjaan Umum"), ("other", "Dinas Kehutanan"))
    }
    roles = {role.name: role.id for role in Role.select()}
    password_hash = hash_password(PASSWORD, 4)
    users = {
        username: User.create(
            name=username.replace("_", " ").title(),
            username=username,
            email=f"{username}@example.org",
            password_hash=password_hash,
            role_id=roles[role],
            organization_id=organizations[organization],
        ).id
        for username, (role, organization) in USERS.items()
    }
    credential_id = uuid.UUID("01968b53-a910-7b00-8000-000000000001")
    key_id, ciphertext = Encryptor({"1": bytes(32)}).encrypt(
        CREDENTIAL_SECRET, encryption_context(credential_id)
    )
    Credential.create(
        id=credential_id,
        name="GeoServer",
        credential_type="geoserver",
        credential_metadata={"environment": "production", "version": "2.25"},
        encryption_key_id=key_id,
        sensitive_data=ciphertext,
    )
    geoserver = MapSource.create(
        name="GeoServer Provinsi",
        url="https://peta.example.org/geoserver",
        credential_id=credential_id,
    )
    geonetwork = MapSource.create(
        name="GeoNetwork Provinsi", url="https://peta.example.org/geonetwork"
    )
    levels = Classification.select()
    return World(
        users=users,
        roles={name: str(key) for name, key in roles.items()},
        organizations={key: str(value) for key, value in organizations.items()},
        classifications={
            level: str(next(row.id for row in levels if getattr(row, f"is_{level}")))
            for level in ("open", "limited", "secret")
        },
        category_id=str(Category.create(name="Peta Dasar Uji").id),
        projection_system_id=str(
            MapProjectionSystem.get(MapProjectionSystem.authority_code == "EPSG:9470").id
        ),
        credential_id=str(credential_id),
        geoserver_id=str(geoserver.id),
        geonetwork_id=str(geonetwork.id),
    )
