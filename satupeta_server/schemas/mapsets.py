"""The bodies of a mapset and of activating several."""

from satupeta_server.models.mapsets import COVERAGES, DATA_STATUSES, STATUSES
from satupeta_server.schemas.base import Form, Rules
from satupeta_server.schemas.fields import (
    LONGEST_NAME,
    bounding_box,
    choice,
    identifier,
    identifiers,
    moment,
    switch,
    text,
    url,
)


def _mapset(*, urls_required: bool) -> dict[str, Rules]:
    return {
        "name": text(required=True, shortest=3, longest=LONGEST_NAME, example="Batas Desa 2025"),
        "description": text(required=True, shortest=10),
        "scale": text(required=True, longest=100, example="1:25.000"),
        "projection_system_id": identifier(required=True),
        "category_id": identifier(required=True),
        "classification_id": identifier(required=True),
        "producer_id": identifier(required=True, description="Id of the organization."),
        "regional_id": identifier(required=True),
        "data_status": choice(*DATA_STATUSES, required=True),
        "source_id": identifiers(description="Ids of the map sources; replaces the whole set."),
        "layer_url": url(
            required=urls_required,
            example="https://geoserver.example.org/geoserver/wms?layers=batas:desa"
            "&service=WMS&request=GetMap",
        ),
        "metadata_url": url(required=urls_required),
        "coverage_level": choice(*COVERAGES),
        "coverage_area": choice(*COVERAGES),
        "data_update_period": text(required=True, longest=255, example="Tahunan"),
        "data_version": text(required=True, longest=255, example="2025"),
        "temporal_start": moment(),
        "temporal_end": moment(),
        "bounding_box": bounding_box(
            description="West, south, east, north in degrees; taken from layer_url if absent.",
            example=[110.9, -8.8, 114.6, -6.6],
        ),
        "is_popular": switch(default=False),
        "is_active": switch(default=True),
        "status_validation": choice(*STATUSES),
        "notes": text(description="A note for the history of the status."),
    }


MAPSET_FORM = Form(_mapset(urls_required=True))
# The verify dialog repeats the layer address, which may be blank (contract, 6.1).
MAPSET_CHANGE_FORM = Form(_mapset(urls_required=False))

ACTIVATION_FORM = Form(
    {
        "ids": {
            **identifiers(),
            "required": True,
            "nullable": False,
            "minlength": 1,
            "maxlength": 1000,
        },
        "is_active": {**switch(default=False), "required": True},
    }
)
