"""Loading the sample catalogue."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from satupeta_server.database import database
from satupeta_server.models.mapsets import Mapset
from satupeta_server.security.encryption import Encryptor
from satupeta_server.seed.reference import ReferenceIds, ensure_reference
from satupeta_server.seed.sample.agencies import insert_organizations, insert_users
from satupeta_server.seed.sample.articles import insert_articles
from satupeta_server.seed.sample.mapsets import SampleMapsets
from satupeta_server.seed.sample.rows import Batch, References, prepare, write
from satupeta_server.seed.sample.servers import insert_servers
from satupeta_server.seed.sample.thumbnails import give_pictures_to_categories, store_pictures
from satupeta_server.seed.writing import exclusive
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

BATCH = 2_500
"""Mapsets in one transaction; twice as many are in memory at most."""

_TABLES = (
    "categories, credentials, files, map_sources, mapset_histories, mapset_revisions, "
    "mapset_sources, mapsets, news, organizations, users"
)

Progress = Callable[[int, int], None]


def _silent(_done: int, _count: int) -> None:
    """Report to nobody."""


def load_sample(
    settings: Settings, store: ObjectStore, *, count: int = 500, progress: Progress = _silent
) -> None:
    """Load the sample catalogue with ``count`` mapsets, as far as it is not there yet.

    The same count gives the same rows everywhere. Memory stays the same however large it is.
    ``progress`` is called with the mapsets done and ``count`` after each transaction.

    Raises UnavailableError when the object store does not take the pictures, StartError when
    there is no key to encrypt the credentials with.
    """
    encryptor = Encryptor(settings.encryption_key_ring())
    with exclusive():
        reference = ensure_reference()
    pictures = store_pictures(store)
    with exclusive():
        references = _insert_surroundings(reference, pictures, encryptor)
    done = 0
    for batch in _batches(count, references):
        with exclusive():
            _write(batch, references)
        done = min(done + BATCH, count)
        progress(done, count)
    with exclusive():
        database.execute_sql(f"ANALYZE {_TABLES}")


def missing_mapsets(count: int) -> int:
    """Count the mapsets of a sample of ``count`` that are not there yet."""
    mapsets = SampleMapsets()
    parts = (range(start, min(start + BATCH, count)) for start in range(0, count, BATCH))
    return sum(len(_missing(mapsets, part)) for part in parts)


def _insert_surroundings(
    reference: ReferenceIds, pictures: list[uuid.UUID], encryptor: Encryptor
) -> References:
    organizations = insert_organizations(pictures)
    insert_users(reference.roles, organizations)
    give_pictures_to_categories(reference.categories.values(), pictures)
    insert_articles(pictures)
    return References(reference, organizations, insert_servers(encryptor))


def _batches(count: int, references: References) -> Iterator[Batch]:
    """Prepare what is missing, each batch while the one before it is written."""
    mapsets = SampleMapsets()
    ahead: Future[Batch] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="sample") as thread:
        for start in range(0, count, BATCH):
            missing = _missing(mapsets, range(start, min(start + BATCH, count)))
            following = thread.submit(prepare, mapsets.make(missing), references)
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()


def _write(batch: Batch, references: References) -> None:
    """Write what another process, which had the lock before, did not write meanwhile."""
    known = Mapset.select().where(Mapset.id.in_(list(batch.ids))).count()
    if known:
        mapsets = SampleMapsets()
        batch = prepare(mapsets.make(_missing(mapsets, batch.numbers)), references)
    write(batch)


def _missing(mapsets: SampleMapsets, indexes: Sequence[int]) -> list[int]:
    ids = {index: mapsets.id_of(index) for index in indexes}
    found = Mapset.select(Mapset.id).where(Mapset.id.in_(list(ids.values()))).tuples()
    known = {row[0] for row in found}
    return [index for index, mapset_id in ids.items() if mapset_id not in known]
