"""Seeding as a command does it: what was added is counted and recorded."""

import contextlib
from collections.abc import Sequence

from satupeta_server.database import database
from satupeta_server.models.audit import recording
from satupeta_server.models.base import BaseModel
from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.credentials import Credential
from satupeta_server.models.files import File
from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.models.map_sources import MapSource
from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.news import News
from satupeta_server.models.organizations import Organization
from satupeta_server.models.regionals import Regional
from satupeta_server.models.roles import Role
from satupeta_server.models.users import User
from satupeta_server.security.callers import Caller
from satupeta_server.seed.reference import ensure_reference
from satupeta_server.seed.sample.load import Progress, load_sample
from satupeta_server.seed.writing import exclusive, table_name
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

_REFERENCE = (Category, Classification, MapProjectionSystem, Regional, Role, User)
_SAMPLE = (Credential, File, MapSource, Mapset, News, Organization, User)

Counts = dict[str, int]


class _DryRunError(Exception):
    """Carries a dry run out of its transaction."""


def seed(caller: Caller, *, is_dry_run: bool = False) -> Counts:
    """Insert what is missing of the reference data; gives how many rows were added, by table."""
    added: Counts = {}
    with contextlib.suppress(_DryRunError), exclusive():
        before = _counts(_REFERENCE)
        ensure_reference()
        added = _more(before, _counts(_REFERENCE))
        if is_dry_run:
            raise _DryRunError
        _record(caller, "seed", added)
    return added


def add_sample(
    settings: Settings, store: ObjectStore, caller: Caller, count: int, progress: Progress
) -> Counts:
    """Load the sample catalogue as far as it is not there; gives how many rows were added.

    Raises as :func:`satupeta_server.seed.sample.load.load_sample` does. An interrupted one
    records what it added by then, and goes on when it is run again.
    """
    before = _counts(_SAMPLE)
    try:
        load_sample(settings, store, count=count, progress=progress)
    finally:
        added = _more(before, _counts(_SAMPLE))
        _record(caller, "sample", added)
    return added


def _counts(models: Sequence[type[BaseModel]]) -> Counts:
    return {table_name(model): model.select().count() for model in models}


def _more(before: Counts, after: Counts) -> Counts:
    return {name: after[name] - before[name] for name in before if after[name] > before[name]}


def _record(caller: Caller, action: str, added: Counts) -> None:
    if added:
        with database.atomic():
            recording(caller, action, "database", None, dict(added)).execute()
