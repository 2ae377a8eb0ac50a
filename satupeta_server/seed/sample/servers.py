"""The map and metadata servers of the sample catalogue, none of which exists."""

import uuid
from dataclasses import dataclass

from satupeta_server.models.credentials import Credential
from satupeta_server.models.map_sources import MapSource
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.security.encryption import Encryptor
from satupeta_server.seed.sample.moments import OPENED
from satupeta_server.seed.writing import Row, insert_missing, stable_id


@dataclass(frozen=True, slots=True)
class Server:
    """One server; its key names it in the data of this package."""

    key: str
    kind: str
    name: str
    url: str
    version: str
    environment: str
    is_default: bool = False


LOCAL_GEOSERVER = Server(
    "geoserver-jatim", "geoserver", "GeoServer Provinsi Jawa Timur",
    "https://geoserver.example.org/geoserver", "2.26.2", "production", is_default=True,
)  # fmt: skip
LOCAL_GEONETWORK = Server(
    "geonetwork-jatim", "geonetwork", "GeoNetwork Provinsi Jawa Timur",
    "https://geonetwork.example.org/geonetwork", "4.4.6", "production",
)  # fmt: skip
NATIONAL_GEOSERVER = Server(
    "geoserver-nasional", "geoserver", "GeoServer Simpul Jaringan Nasional",
    "https://nasional.example.org/geoserver", "2.25.4", "production",
)  # fmt: skip
NATIONAL_GEONETWORK = Server(
    "geonetwork-nasional", "geonetwork", "GeoNetwork Simpul Jaringan Nasional",
    "https://nasional.example.org/geonetwork", "4.2.11", "production",
)  # fmt: skip
TRIAL_GEOSERVER = Server(
    "geoserver-uji", "geoserver", "GeoServer Uji Coba",
    "https://uji.example.org/geoserver", "2.27.0", "staging",
)  # fmt: skip

SERVERS = (
    LOCAL_GEOSERVER,
    LOCAL_GEONETWORK,
    NATIONAL_GEOSERVER,
    NATIONAL_GEONETWORK,
    TRIAL_GEOSERVER,
)


def insert_servers(encryptor: Encryptor) -> dict[str, uuid.UUID]:
    """Insert the map sources with their credentials; give their ids by key."""
    rows = [_credential(server, encryptor) for server in SERVERS]
    credentials = insert_missing(Credential, rows, "name")
    sources = insert_missing(
        MapSource, [_source(server, credentials[_account(server)]) for server in SERVERS], "name"
    )
    return {server.key: sources[server.name] for server in SERVERS}


def _account(server: Server) -> str:
    return f"Akun {server.name}"


def _credential(server: Server, encryptor: Encryptor) -> Row:
    credential_id = stable_id("Credential", server.key, OPENED)
    secret = {"username": "satupeta", "password": f"contoh-{server.key}"}
    key_id, sealed = encryptor.encrypt(secret, f"credentials:{credential_id}")
    return {
        "id": credential_id,
        "name": _account(server),
        "description": f"Akun layanan untuk {server.name}.",
        "credential_type": server.kind,
        "credential_metadata": {"environment": server.environment, "version": server.version},
        "encryption_key_id": key_id,
        "sensitive_data": sealed,
        "is_default": server.is_default,
        "created_by": SYSTEM_USER_ID,
        "created_at": OPENED,
        "updated_at": OPENED,
    }


def _source(server: Server, credential_id: uuid.UUID) -> Row:
    purpose = "Layanan peta" if server.kind == "geoserver" else "Katalog metadata"
    return {
        "id": stable_id("MapSource", server.key, OPENED),
        "name": server.name,
        "description": f"{purpose} contoh; alamatnya tidak dapat dibuka.",
        "url": server.url,
        "credential_id": credential_id,
        "created_at": OPENED,
        "updated_at": OPENED,
    }
