"""The tables as SQLAlchemy maps them: the columns that the answers need."""

import datetime
import uuid
from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, SmallInteger, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import UserDefinedType


class Box(UserDefinedType[Any]):
    """PostgreSQL's ``box``, which asyncpg reads by itself."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """The name of the type."""
        return "box"


class Base(DeclarativeBase):
    """All tables are keyed by UUIDs, and their texts are ``text``."""

    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy's own form
        str: Text,
        datetime.datetime: DateTime(timezone=True),
    }

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class Category(Base):
    """A category of mapsets."""

    __tablename__ = "categories"
    name: Mapped[str]
    description: Mapped[str | None]
    thumbnail: Mapped[uuid.UUID | None]
    is_active: Mapped[bool]


class Classification(Base):
    """How open a mapset is."""

    __tablename__ = "classifications"
    name: Mapped[str]
    is_open: Mapped[bool]
    is_limited: Mapped[bool]
    is_secret: Mapped[bool]


class Organization(Base):
    """The producer of mapsets."""

    __tablename__ = "organizations"
    name: Mapped[str]
    description: Mapped[str | None]
    thumbnail: Mapped[uuid.UUID | None]
    address: Mapped[str | None]
    phone_number: Mapped[str | None]
    email: Mapped[str | None]
    website: Mapped[str | None]
    is_active: Mapped[bool]


class Regional(Base):
    """An administrative region."""

    __tablename__ = "regionals"
    code: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    thumbnail: Mapped[uuid.UUID | None]
    is_active: Mapped[bool]


class MapProjectionSystem(Base):
    """A coordinate reference system."""

    __tablename__ = "map_projection_systems"
    name: Mapped[str]
    authority_code: Mapped[str | None]


class Credential(Base):
    """Of a credential only its kind is public."""

    __tablename__ = "credentials"
    credential_type: Mapped[str]


class MapSource(Base):
    """A map server or a metadata server."""

    __tablename__ = "map_sources"
    name: Mapped[str]
    description: Mapped[str | None]
    url: Mapped[str]
    is_active: Mapped[bool]
    credential_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(Credential.id))
    credential: Mapped[Credential | None] = relationship(lazy="raise")


mapset_sources = Table(
    "mapset_sources",
    Base.metadata,
    Column("mapset_id", ForeignKey("mapsets.id"), primary_key=True),
    Column("map_source_id", ForeignKey("map_sources.id"), primary_key=True),
    Column("position", SmallInteger),
)


class Mapset(Base):
    """A mapset with all that it embeds."""

    __tablename__ = "mapsets"
    name: Mapped[str]
    description: Mapped[str | None]
    scale: Mapped[str | None]
    layer_url: Mapped[str | None]
    metadata_url: Mapped[str | None]
    status_validation: Mapped[str]
    data_status: Mapped[str]
    data_update_period: Mapped[str | None]
    data_version: Mapped[str | None]
    coverage_level: Mapped[str | None]
    coverage_area: Mapped[str | None]
    classification_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Classification.id))
    category_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Category.id))
    projection_system_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(MapProjectionSystem.id))
    producer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Organization.id))
    regional_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Regional.id))
    temporal_start: Mapped[datetime.datetime | None]
    temporal_end: Mapped[datetime.datetime | None]
    bounding_box: Mapped[Any] = mapped_column(Box)
    notes: Mapped[str | None]
    is_popular: Mapped[bool]
    is_active: Mapped[bool]
    revision: Mapped[int]
    created_at: Mapped[datetime.datetime]
    updated_at: Mapped[datetime.datetime]
    deleted_at: Mapped[datetime.datetime | None]

    classification: Mapped[Classification] = relationship(lazy="raise")
    category: Mapped[Category] = relationship(lazy="raise")
    projection_system: Mapped[MapProjectionSystem] = relationship(lazy="raise")
    producer: Mapped[Organization] = relationship(lazy="raise")
    regional: Mapped[Regional] = relationship(lazy="raise")
    sources: Mapped[list[MapSource]] = relationship(
        secondary=mapset_sources, order_by=mapset_sources.c.position, lazy="raise"
    )
