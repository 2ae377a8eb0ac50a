"""Counting how often mapsets are seen and downloaded, without a write for each time.

A view is a browser's successful read of one mapset; the same browser again within some minutes is
the same view. A download is one by the portal's own server, which reads the mapset to fetch its
layer for somebody. Programs that look for themselves are neither.
"""

import asyncio
import contextlib
import datetime
import hashlib
import logging
import re
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Mapping

import peewee

from satupeta_server.database import database
from satupeta_server.errors import AppError
from satupeta_server.observing import Finished
from satupeta_server.settings import Settings
from satupeta_server.tasks import spawn

logger = logging.getLogger(__name__)

ROUTE = "/api/mapsets/{id}"
FLUSH_SECONDS = 10.0
"""What a killed process had counted for no longer than this is lost."""
SAME_VIEW_SECONDS = 600.0
MOST_REMEMBERED = 50_000
"""Viewers; beyond them all are forgotten, so memory stays bounded."""

_PORTAL = re.compile(r"^(?:axios|node|undici)\b", re.IGNORECASE)
_PROGRAM = re.compile(
    r"bot\b|bot[/;_-]|crawl|spider|slurp|scrap|fetch|preview|monitor|headless|lighthouse|"
    r"curl|wget|httpie|python|java/|go-http|okhttp|libwww|perl|ruby|php",
    re.IGNORECASE,
)
_ADD = """INSERT INTO mapset_hits (mapset_id, day, views, downloads)
SELECT hit.mapset_id, hit.day, hit.views, hit.downloads
FROM unnest(%s::uuid[], %s::date[], %s::integer[], %s::integer[])
    AS hit (mapset_id, day, views, downloads)
JOIN mapsets ON mapsets.id = hit.mapset_id
ORDER BY hit.mapset_id, hit.day
ON CONFLICT (mapset_id, day) DO UPDATE SET
    views = mapset_hits.views + excluded.views,
    downloads = mapset_hits.downloads + excluded.downloads"""

Key = tuple[str, datetime.date]


class Hits:
    """What one API process has counted and not yet written."""

    def __init__(self, settings: Settings) -> None:
        self._zone = settings.zone
        self._views: Counter[Key] = Counter()
        self._downloads: Counter[Key] = Counter()
        self._seen: dict[bytes, float] = {}
        # Whoever reads the memory later cannot tell who it was.
        self._salt = secrets.token_bytes(16)
        self._flushing: asyncio.Task[None] | None = None

    def note(self, finished: Finished) -> None:
        """Count an answered request, if it is a view or a download."""
        if finished.route != ROUTE or finished.method != "GET":
            return
        if finished.status not in (200, 304):
            return
        with contextlib.suppress(ValueError):
            mapset_id = str(uuid.UUID(finished.path.rpartition("/")[2]))
            key = (mapset_id, datetime.datetime.now(self._zone).date())
            if _PORTAL.match(finished.agent):
                self._downloads[key] += 1
            elif finished.agent and not _PROGRAM.search(finished.agent):
                self._view(key, finished)

    def _view(self, key: Key, finished: Finished) -> None:
        text = f"{key[0]} {finished.address} {finished.agent}".encode("utf-8", "replace")
        viewer = hashlib.blake2b(text, digest_size=12, key=self._salt).digest()
        now = time.monotonic()
        if now - self._seen.get(viewer, float("-inf")) < SAME_VIEW_SECONDS:
            return
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[viewer] = now
        self._views[key] += 1

    def start(self) -> None:
        """Write regularly what was counted; needs the running loop."""
        self._flushing = spawn(self._flush_for_ever())

    async def close(self) -> None:
        """Write what is left."""
        if self._flushing is not None:
            self._flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flushing
        await self.flush()

    async def flush(self) -> None:
        """Write what was counted; where the database does not take it, it stays for later."""
        views, downloads = self._views, self._downloads
        if not views and not downloads:
            return
        self._views, self._downloads = Counter(), Counter()
        is_written = False
        try:
            await database.aio_execute_sql(_ADD, _columns(views, downloads))
            is_written = True
        except (AppError, peewee.PeeweeException) as error:
            # Without its table, too, as before a migration.
            logger.warning("hits were not written: %s", type(error).__name__)
        finally:
            if not is_written:
                self._views.update(views)
                self._downloads.update(downloads)

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()


def _columns(views: Mapping[Key, int], downloads: Mapping[Key, int]) -> list[list[object]]:
    # In one order for all processes, so that none waits for another in a circle.
    keys = sorted({*views, *downloads})
    return [
        [key[0] for key in keys],
        [key[1] for key in keys],
        [views.get(key, 0) for key in keys],
        [downloads.get(key, 0) for key in keys],
    ]
