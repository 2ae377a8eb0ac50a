"""What is answered, as Pydantic response models."""

import datetime
import uuid
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _text_or_empty(value: str | None) -> str:
    return value or ""


def _corners(box: Any) -> tuple[float, float, float, float] | None:
    """West, south, east, north; an eastern edge beyond the antimeridian is turned back."""
    if box is None:
        return None
    (east, north), (west, south) = box.high, box.low
    return west, south, east - 360 if east > 180 else east, north


TextOrEmpty = Annotated[str, BeforeValidator(_text_or_empty)]
Corners = Annotated[tuple[float, float, float, float] | None, BeforeValidator(_corners)]


class Shape(BaseModel):
    """Made from a mapped object."""

    model_config = ConfigDict(from_attributes=True)


class Classification(Shape):
    """As embedded in a mapset."""

    id: uuid.UUID
    name: str
    is_open: bool
    is_limited: bool
    is_secret: bool


class Category(Shape):
    """As embedded in a mapset."""

    id: uuid.UUID
    name: str
    description: str | None
    thumbnail: uuid.UUID | None
    is_active: bool


class ProjectionSystem(Shape):
    """As embedded in a mapset."""

    id: uuid.UUID
    name: str
    authority_code: str | None


class Producer(Shape):
    """As embedded in a mapset."""

    id: uuid.UUID
    name: str
    thumbnail: uuid.UUID | None
    is_active: bool
    description: TextOrEmpty
    address: TextOrEmpty
    phone_number: TextOrEmpty
    email: TextOrEmpty
    website: TextOrEmpty


class Regional(Shape):
    """As embedded in a mapset."""

    id: uuid.UUID
    code: str
    name: str
    description: str | None
    thumbnail: uuid.UUID | None
    is_active: bool


class CredentialKind(Shape):
    """Of a credential only its kind is public."""

    id: uuid.UUID
    credential_type: str


class NoCredential(Shape):
    """Where a source has none: the portal reads its type all the same."""

    id: None = None
    name: None = None
    credential_type: None = None


def _never_null(credential: Any) -> Any:
    return NoCredential() if credential is None else credential


class MapSource(Shape):
    """As embedded in a mapset."""

    id: uuid.UUID
    name: str
    description: str | None
    url: str
    is_active: bool
    credential: Annotated[CredentialKind | NoCredential, BeforeValidator(_never_null)]


class Mapset(Shape):
    """The same in a list and by itself."""

    id: uuid.UUID
    name: str
    description: TextOrEmpty
    scale: TextOrEmpty
    layer_url: str | None
    metadata_url: str | None
    status_validation: str
    classification_id: uuid.UUID
    classification: Classification
    data_status: str
    data_update_period: TextOrEmpty
    data_version: TextOrEmpty
    coverage_level: str | None
    coverage_area: str | None
    category_id: uuid.UUID
    category: Category
    projection_system_id: uuid.UUID
    projection_system: ProjectionSystem
    producer_id: uuid.UUID
    producer: Producer
    regional_id: uuid.UUID
    regional: Regional
    sources: list[MapSource]
    temporal_start: datetime.datetime | None
    temporal_end: datetime.datetime | None
    bounding_box: Corners
    notes: TextOrEmpty
    is_popular: bool
    is_active: bool
    revision: int
    created_at: datetime.datetime
    updated_at: datetime.datetime
    modified_at: datetime.datetime = Field(validation_alias="updated_at")


class MapsetPage(Shape):
    """The envelope of a list."""

    items: list[Mapset]
    total: int
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None
