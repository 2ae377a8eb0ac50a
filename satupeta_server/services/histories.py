"""The history of mapsets' statuses."""

from typing import Any

from peewee import SQL

from satupeta_server.models.mapsets import Mapset
from satupeta_server.queries.scopes import within
from satupeta_server.representations.histories import HISTORIES_LISTING, HISTORY
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import Scope
from satupeta_server.services.records import ReadService, Resource


class HistoryService(ReadService):
    """Who changed which mapset's status; managers see their own organization's."""

    resource = Resource("histories", HISTORY, HISTORIES_LISTING)

    def visible(self, caller: Caller, source: Any) -> Any:
        """An entry is seen by who may see the history of its mapset."""
        scope = caller.scope("histories:read")
        if scope is Scope.ALL:
            return SQL("true")
        mapset = Mapset.alias()
        own = mapset.select(mapset.id).where(within(scope, caller, mapset))
        return source.mapset_id.in_(own)
