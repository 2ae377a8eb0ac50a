"""Map sources."""

from satupeta_server.models.credentials import Credential
from satupeta_server.representations.map_sources import MAP_SOURCE, MAP_SOURCES_LISTING
from satupeta_server.services.records import RecordService, Resource


class MapSourceService(RecordService):
    """Map and metadata servers, which only administrators change."""

    resource = Resource(
        "map_sources", MAP_SOURCE, MAP_SOURCES_LISTING, references={"credential_id": Credential}
    )
