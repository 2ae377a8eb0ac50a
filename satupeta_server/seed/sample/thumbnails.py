"""Putting the pictures of the sample catalogue into the object store."""

import hashlib
import io
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from satupeta_server.models.categories import Category
from satupeta_server.models.files import File
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.seed.sample.moments import OPENED
from satupeta_server.seed.sample.pictures import COUNT, HEIGHT, WIDTH, draw_picture
from satupeta_server.seed.writing import Row, exclusive, insert_missing, stable_id
from satupeta_server.storage import ObjectStore

_THREADS = 4


def store_pictures(store: ObjectStore) -> list[uuid.UUID]:
    """Put the pictures that have no row yet into the store, then insert their rows.

    A crash between the two leaves objects without a row, never a row without its object.
    """
    ids = [stable_id("File", number, OPENED) for number in range(COUNT)]
    known = {row[0] for row in File.select(File.id).where(File.id.in_(ids)).tuples()}
    missing = [number for number, file_id in enumerate(ids) if file_id not in known]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="pictures") as threads:
        rows = list(threads.map(lambda number: _store(store, ids[number], number), missing))
    if rows:
        with exclusive():
            insert_missing(File, rows, "object_name")
    return ids


def give_pictures_to_categories(categories: Iterable[uuid.UUID], pictures: list[uuid.UUID]) -> None:
    """Give each category a picture that has none and that nobody changed yet."""
    for number, category_id in enumerate(categories):
        Category.update(thumbnail=pictures[number % len(pictures)]).where(
            Category.id == category_id, Category.thumbnail.is_null(), Category.revision == 1
        ).execute()


def _store(store: ObjectStore, file_id: uuid.UUID, number: int) -> Row:
    content = draw_picture(number)
    name = f"files/{OPENED:%Y/%m}/{file_id}.png"
    store.put(name, io.BytesIO(content), len(content), "image/png")
    return {
        "id": file_id,
        "object_name": name,
        "name": f"peta-contoh-{number + 1:02}.png",
        "description": "Gambar peta rekaan untuk katalog contoh.",
        "content_type": "image/png",
        "size": len(content),
        "checksum": hashlib.sha256(content).hexdigest(),
        "width": WIDTH,
        "height": HEIGHT,
        "uploaded_by": SYSTEM_USER_ID,
        "created_at": OPENED,
        "updated_at": OPENED,
    }
