"""Loading the sample catalogue into a database and an object store."""

import hashlib
import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr

from satupeta_server.database import Database
from satupeta_server.errors import UnavailableError
from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.credentials import Credential
from satupeta_server.models.files import File
from satupeta_server.models.map_sources import MapSource
from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.news import News
from satupeta_server.models.organizations import Organization
from satupeta_server.models.users import SYSTEM_USER_ID, User
from satupeta_server.security.encryption import Encryptor
from satupeta_server.seed.sample import load_sample
from satupeta_server.seed.sample.load import BATCH
from satupeta_server.seed.sample.pictures import COUNT, draw_picture
from satupeta_server.services.news import sanitised
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

TABLES = (
    "roles", "users", "organizations", "files", "categories", "credentials", "map_sources",
    "mapsets", "mapset_sources", "mapset_histories", "mapset_revisions", "news",
)  # fmt: skip


LOADING = """
from satupeta_server.database import connect, synchronous
from satupeta_server.seed.sample import load_sample
from satupeta_server.settings import load_settings
from satupeta_server.storage import ObjectStore
settings = load_settings(None)
connect(settings)
with synchronous():
    load_sample(settings, ObjectStore(settings), count=400)
"""


def plain(setting: Any) -> str:
    """The text of a setting, a secret one too."""
    return str(setting.get_secret_value() if isinstance(setting, SecretStr) else setting)


def counts(database: Database) -> dict[str, int]:
    """How many rows each table has."""
    return {table: value(database, f"SELECT count(*) FROM {table}") for table in TABLES}


def value(database: Database, query: str) -> Any:
    """The one value that a query gives."""
    return database.execute_sql(query).fetchone()[0]


def digest(database: Database) -> str:
    """A digest of all that a catalogue holds, but for what is encrypted at random."""
    texts = [
        value(database, f"SELECT md5(string_agg({table}::text, '|' ORDER BY id)) FROM {table}")
        for table in ("mapsets", "mapset_histories", "news", "map_sources", "organizations")
    ]
    return "".join(texts)


def test_the_catalogue_is_complete(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store)
    rows = counts(migrated_database)
    assert rows["mapsets"] == rows["mapset_revisions"] == 500
    assert rows["organizations"] == 30
    assert rows["news"] >= 12
    assert rows["files"] == COUNT
    assert Organization.get(Organization.name == "Dinas Komunikasi dan Informatika")
    mapsets: Any = Mapset
    statuses = {row[0] for row in mapsets.select(mapsets.status_validation).tuples()}
    assert statuses == {"approved", "on_verification", "rejected"}
    used = {row[0] for row in mapsets.select(mapsets.classification_id).tuples()}
    assert used == {row.id for row in Classification.select()}
    descriptions = [row[0] for row in mapsets.select(mapsets.description).tuples()]
    assert len(set(descriptions)) == 500
    people = [user for user in User.select() if user.id != SYSTEM_USER_ID]
    assert len({user.role_id_key for user in people}) == 4
    assert all(user.is_active and user.password_hash is None for user in people)


def test_every_mapset_has_sources_histories_and_its_first_revision(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=120)
    wrong = """
        SELECT count(*) FROM mapsets m WHERE NOT (
            (SELECT count(*) BETWEEN 1 AND 2 FROM mapset_sources WHERE mapset_id = m.id)
            AND m.status_validation = (
                SELECT validation_type FROM mapset_histories
                WHERE mapset_id = m.id ORDER BY created_at DESC LIMIT 1)
            AND (SELECT state = to_jsonb(m) - 'search_text' FROM mapset_revisions
                 WHERE mapset_id = m.id AND revision = m.revision)
            AND m.bounding_box IS NOT NULL AND m.temporal_start < m.temporal_end)
    """
    assert value(migrated_database, wrong) == 0
    others = f"SELECT count(*) FROM mapset_histories WHERE user_id <> '{SYSTEM_USER_ID}'"
    assert value(migrated_database, others) == 0


def test_loading_again_adds_nothing_and_a_larger_count_adds_the_rest(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=40)
    before = counts(migrated_database), digest(migrated_database)
    load_sample(settings, store, count=40)
    assert (counts(migrated_database), digest(migrated_database)) == before
    load_sample(settings, store, count=90)
    after = counts(migrated_database)
    assert after["mapsets"] == after["mapset_revisions"] == 90
    assert after["organizations"] == before[0]["organizations"]


def test_the_count_at_which_one_begins_makes_no_difference(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=70)
    at_once = digest(migrated_database)
    migrated_database.execute_sql("ALTER TABLE audit_log DISABLE TRIGGER append_only")
    migrated_database.execute_sql(f"TRUNCATE {', '.join(TABLES)} CASCADE")
    migrated_database.execute_sql("ALTER TABLE audit_log ENABLE TRIGGER append_only")
    load_sample(settings, store, count=25)
    load_sample(settings, store, count=70)
    assert digest(migrated_database) == at_once


def test_batches_are_joined_without_a_gap_and_progress_is_told(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    told: list[tuple[int, int]] = []
    count = BATCH + 30
    load_sample(settings, store, count=count, progress=lambda *each: told.append(each))
    assert told == [(BATCH, count), (count, count)]
    assert counts(migrated_database)["mapsets"] == count


def test_two_processes_may_load_at_once(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=10)
    names = ("database_url", "minio_root_user", "minio_root_password", "encryption_keys")
    environment = {
        **os.environ,
        **{name.upper(): plain(getattr(settings, name)) for name in names},
        "MINIO_ENDPOINT_URL": settings.minio_endpoint_url or "",
        "MINIO_BUCKET_NAME": settings.minio_bucket_name,
    }
    processes = [subprocess.Popen([sys.executable, "-c", LOADING], env=environment) for _ in "12"]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert counts(migrated_database)["mapsets"] == 400


def test_what_was_changed_or_deleted_stays_so(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=30)
    mapset: Any = Mapset.select().first()
    Mapset.update(name="Nama baru", revision=2).where(Mapset.id == mapset.id).execute()
    Category.update(thumbnail=None, revision=2).where(Category.name == "Pertanian").execute()
    migrated_database.execute_sql("UPDATE news SET deleted_at = now(), name = 'Dihapus'")
    before = counts(migrated_database), digest(migrated_database)
    load_sample(settings, store, count=30)
    assert (counts(migrated_database), digest(migrated_database)) == before
    assert Category.get(Category.name == "Pertanian").thumbnail_key is None


def test_an_organization_of_the_same_name_is_used_instead_of_a_second_one(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    own = Organization.create(name="badan informasi geospasial")
    load_sample(settings, store, count=60)
    assert Organization.select().count() == 30
    assert Mapset.select().where(Mapset.producer_id == own.id).count() > 0


@pytest.mark.settings(minio_bucket_name="seed-thumbnails")
def test_thumbnails_are_really_stored(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=1)
    for file in File.select():
        content = b"".join(store.open(file.object_name))
        assert len(content) == file.size
        assert hashlib.sha256(content).hexdigest() == file.checksum
        with Image.open(io.BytesIO(content)) as picture:
            assert (picture.format, picture.size) == ("PNG", (file.width, file.height))
        assert store.describe(file.object_name).content_type == file.content_type
        assert re.fullmatch(rf"files/\d{{4}}/\d{{2}}/{file.id}\.png", file.object_name)
    for model in (Organization, Category, News):
        records: Any = model
        assert records.select().where(records.thumbnail.is_null()).count() == 0


def test_no_file_row_is_written_when_the_store_refuses(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    def refuse(*_: object) -> None:
        raise UnavailableError

    store.put = refuse  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        load_sample(settings, store, count=1)
    assert File.select().count() == 0


def test_pictures_are_small_and_always_the_same() -> None:
    pictures = [draw_picture(number) for number in range(COUNT)]
    assert pictures[3] == draw_picture(3)
    assert len(set(pictures)) == COUNT
    assert max(map(len, pictures)) < 30_000


def test_credentials_can_be_opened_and_belong_to_servers_of_both_kinds(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=1)
    encryptor = Encryptor(settings.encryption_key_ring())
    kinds = set()
    for source in MapSource.select():
        credential = Credential.get_by_id(source.credential_id_key)
        assert credential.credential_type in source.url
        assert credential.credential_metadata.keys() == {"environment", "version"}
        context = f"credentials:{credential.id}"
        sealed = bytes(credential.sensitive_data)
        opened = encryptor.decrypt(credential.encryption_key_id, sealed, context)
        assert opened.keys() == {"username", "password"}
        kinds.add(credential.credential_type)
    assert kinds == {"geoserver", "geonetwork"}


def test_addresses_of_people_and_agencies_reach_nobody(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=1)
    for user in User.select().where(User.id != SYSTEM_USER_ID):
        assert user.email.endswith(".example.org")
    for organization in Organization.select():
        assert organization.email.endswith(".example.org")
        assert organization.website.startswith("https://")
        assert organization.website.endswith(".example.org")


def test_articles_are_html_that_sanitising_leaves_as_it_is(
    settings: Settings, migrated_database: Database, store: ObjectStore
) -> None:
    load_sample(settings, store, count=1)
    for article in News.select():
        assert sanitised(article.description) == article.description
    bodies = " ".join(article.description for article in News.select())
    for tag in ("<h2>", "<h3>", "<ul>", "<ol>", "<blockquote>", "<strong>", "<a ", "text-align"):
        assert tag in bodies
    assert {article.is_active for article in News.select()} == {True, False}
