"""``satupeta bucket mirror`` and ``move``: only what changed, and never half of anything."""

import asyncio
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from minio import Minio

from satupeta_server.maintenance import mirroring
from satupeta_server.maintenance.bucket_rows import file_rows, rows_of
from satupeta_server.maintenance.bucket_store import AdministeredStore, Entry, RefusedError
from satupeta_server.maintenance.mirror_sides import BucketSide, FolderSide, check_name
from satupeta_server.maintenance.mirroring import Mirror
from satupeta_server.settings import Settings
from satupeta_server.storage import Storage, main_place
from tests.cli.buckets import Bucket, Proxy, files_in, made, own_bucket
from tests.cli.program import (
    CONFIGURATION,
    INTERRUPTED,
    SATUPETA,
    SOME_FAILED,
    UNAVAILABLE,
    WRONG_USE,
    Program,
)
from tests.conftest import Api

NUMBERS = ("copied", "unchanged", "removed", "failed")


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(own_bucket(settings), tmp_path)


@pytest.fixture
def bucket(program: Program) -> Iterator[Bucket]:
    yield from made(program)


def mirrored(program: Program, *words: str, code: int = 0, **variables: str) -> tuple[int, ...]:
    """How many were copied, unchanged, removed and failed."""
    found = program.json("bucket", "mirror", *words, code=code, **variables)
    return tuple(found[name] for name in NUMBERS)


def test_a_folder_gets_what_changed_and_gives_it_back(bucket: Bucket) -> None:
    program, folder = bucket.program, bucket.program.folder / "copy"
    contents = {f"files/{n}/{n}.txt": b"x" * n for n in range(12)}
    contents["files/large.bin"] = os.urandom(9 * 1024 * 1024)
    for name, content in contents.items():
        bucket.put(name, content)
    assert mirrored(program, "copy", "--dry-run") == (13, 0, 0, 0)
    assert not folder.exists()
    assert "13 copied" in program("bucket", "mirror", "copy").stdout
    assert files_in(folder) == contents
    assert mirrored(program, "copy") == (0, 13, 0, 0)
    (folder / "files/5/5.txt").write_bytes(b"other")
    (folder / "files/6/6.txt").write_bytes(b"short")
    # Of the same size: only its time tells the first one.
    os.utime(folder / "files/5/5.txt", (time.time() + 60, time.time() + 60))
    bucket.put("new", b"new")
    assert mirrored(program, "copy") == (3, 11, 0, 0)
    for name in contents:
        bucket.store.drop(name)
    assert mirrored(program, "copy", "--back") == (13, 1, 0, 0)
    assert b"".join(bucket.store.read("files/large.bin")) == contents["files/large.bin"]
    assert mirrored(program, "copy", "--back", "--checksum") == (0, 14, 0, 0)
    # Restored objects are newer than the files; once they were compared, times tell it.
    assert mirrored(program, "copy") == (0, 14, 0, 0)
    times = {entry.name: entry.modified_at.timestamp() for entry in bucket.store.entries()}
    assert all(abs((folder / name).stat().st_mtime - times[name]) < 1 for name in times)
    assert {action for action, *_ in program.audit()} == {"mirror"}


def test_what_comes_back_is_what_its_row_says(bucket: Bucket) -> None:
    program, folder = bucket.program, bucket.program.folder / "copy"
    bucket.add(b"good", name="files/good.txt")
    mirrored(program, "copy")
    (folder / "files/good.txt").write_bytes(b"BAD!")
    os.utime(folder / "files/good.txt", (time.time() + 60, time.time() + 60))
    program.inside("bucket", "mirror", "copy", "--back", code=SOME_FAILED)
    assert b"".join(bucket.store.read("files/good.txt")) == b"good"
    nowhere = program.inside("bucket", "mirror", "no-such-folder", "--back", code=WRONG_USE)
    assert f"There is no folder {folder.with_name('no-such-folder')}" in nowhere.stderr


def test_what_the_source_lacks_is_removed_on_demand_only(bucket: Bucket) -> None:
    program, folder = bucket.program, bucket.program.folder / "copy"
    bucket.put("kept", b"1")
    bucket.put("gone", b"22")
    mirrored(program, "copy")
    bucket.store.drop("gone")
    assert mirrored(program, "copy") == (0, 1, 0, 0)
    refused = program.inside("bucket", "mirror", "copy", "--remove", code=WRONG_USE).stderr
    assert f"gone: only in {folder}" in refused
    assert "Remove 1 objects of 2 B" in refused
    assert mirrored(program, "copy", "--remove", "--dry-run") == (0, 1, 1, 0)
    assert sorted(files_in(folder)) == ["gone", "kept"]
    assert mirrored(program, "copy", "--remove", "--yes") == (0, 1, 1, 0)
    assert sorted(files_in(folder)) == ["kept"]
    bucket.add(b"4444", name="files/with-a-row")
    words = ("bucket", "mirror", "copy", "--back", "--remove", "--yes")
    assert "lacks 1 objects that rows" in program.inside(*words, code=WRONG_USE).stderr
    program.rows("DELETE FROM files")
    assert mirrored(program, "copy", "--back", "--remove", "--yes") == (0, 1, 1, 0)
    (folder / "kept").unlink()
    emptied = program.inside(
        "bucket", "mirror", "copy", "--back", "--remove", "--yes", code=WRONG_USE
    )
    assert "would empty" in emptied.stderr
    assert bucket.names() == ["kept"]


def test_another_store_gets_what_changed_and_gives_it_back(bucket: Bucket) -> None:
    program, settings = bucket.program, bucket.program.settings
    password = settings.minio_root_password
    keys = {
        "MIRROR_ACCESS_KEY": settings.minio_root_user or "",
        "MIRROR_SECRET_KEY": password.get_secret_value() if password else "",
    }
    target = f"{settings.minio_endpoint_url}/other-{uuid.uuid4().hex[:12]}"
    large = os.urandom(20 * 1024 * 1024)
    bucket.put("large", large)
    bucket.put("small", b"1")
    assert mirrored(program, target, **keys) == (2, 0, 0, 0)
    assert mirrored(program, target, **keys) == (0, 2, 0, 0)
    bucket.put("small", b"2")
    assert mirrored(program, target, **keys) == (1, 1, 0, 0)
    bucket.store.drop("large")
    assert mirrored(program, target, "--back", **keys) == (1, 1, 0, 0)
    assert b"".join(bucket.store.read("large")) == large
    said = program.inside("bucket", "mirror", target, code=CONFIGURATION).stderr
    assert "MIRROR_ACCESS_KEY and MIRROR_SECRET_KEY must be set" in said
    wrong = {**keys, "MIRROR_SECRET_KEY": "not-the-right-one"}
    said = program.inside("bucket", "mirror", target, code=CONFIGURATION, **wrong).stderr
    assert "correct MIRROR_ACCESS_KEY and MIRROR_SECRET_KEY" in said
    own = f"{settings.minio_endpoint_url}/{settings.minio_bucket_name}"
    assert "the bucket itself" in program.inside(
        "bucket", "mirror", own, code=WRONG_USE, **keys
    ).stderr  # fmt: skip
    nowhere = f"{settings.minio_endpoint_url}/nothing-here"
    program.inside("bucket", "mirror", nowhere, "--back", code=WRONG_USE, **keys)


@pytest.mark.parametrize("target", ["s3://u:geheim@h/b", "ftp://h/bucket", "s3://h", "http://h/B_"])
def test_an_address_that_is_none_is_refused(bucket: Bucket, target: str) -> None:
    said = bucket.program.inside("bucket", "mirror", target, code=WRONG_USE).stderr
    assert "TARGET must look like" in said
    assert "geheim" not in said


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/abs", "a//b", "a/", "", ".", "a/./b", "a\0b"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = FolderSide(tmp_path / "inside" / "copy")
    entry = Entry(name, 1, datetime.now(UTC))
    with folder.alone(), pytest.raises(RefusedError, match="cannot be a path"):
        folder.write(entry, mirroring._Content(iter([b"x"]), entry, None, threading.Event()))
    with pytest.raises(RefusedError):
        check_name(name)
    assert sorted(path.name for path in (tmp_path / "inside").iterdir()) == ["copy"]


def test_an_object_with_such_a_name_fails_alone(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("good", b"1")
    listed = AdministeredStore.entries

    def with_trick(store: AdministeredStore, prefix: str = "") -> Iterator[Entry]:
        yield Entry("../../evil", 1, datetime.now(UTC))
        yield from listed(store, prefix)

    monkeypatch.setattr(AdministeredStore, "entries", with_trick)
    assert mirrored(bucket.program, "copy", code=SOME_FAILED) == (1, 0, 0, 1)
    assert files_in(bucket.program.folder / "copy") == {"good": b"1"}


def test_a_link_does_not_lead_out_of_the_folder(bucket: Bucket) -> None:
    outside = bucket.program.folder / "outside"
    outside.mkdir()
    (bucket.program.folder / "copy").mkdir()
    (bucket.program.folder / "copy" / "files").symlink_to(outside)
    bucket.put("files/a", b"1")
    assert mirrored(bucket.program, "copy", code=SOME_FAILED) == (0, 0, 0, 1)
    assert list(outside.iterdir()) == []


def test_two_mirrors_do_not_share_a_folder(bucket: Bucket) -> None:
    with FolderSide(bucket.program.folder / "copy").alone():
        said = bucket.program.inside("bucket", "mirror", "copy", code=WRONG_USE).stderr
    assert "Another mirror is at work" in said


def test_what_does_not_have_its_checksum_is_not_stored(bucket: Bucket) -> None:
    place = bucket.store.place
    other = AdministeredStore(replace(place, bucket=f"{place.bucket}-2"))
    other.make()
    for size in (10, 20 * 1024 * 1024):
        bucket.add(b"x" * size, name=f"files/{size}", checksum="0" * 64)
    bucket.add(b"right", name="files/right")
    with file_rows(bucket.program.settings):
        outcomes = list(Mirror(BucketSide(bucket.store), BucketSide(other), rows_of).run())
    assert {one.name: one.result for one in outcomes} == {
        "files/10": "failed", "files/20971520": "failed", "files/right": "copied",
    }  # fmt: skip
    assert [entry.name for entry in other.entries()] == ["files/right"]
    assert list(other.unfinished()) == []
    other.close()


@pytest.mark.parametrize("words", [("verify",), ("mirror", "copy")])
def test_a_store_that_goes_away_is_a_sentence_and_the_next_run_goes_on(
    bucket: Bucket, words: tuple[str, ...]
) -> None:
    contents = {f"files/{n:02}": os.urandom(300_000) for n in range(20)}
    for name, content in contents.items():
        bucket.add(content, name=name)
    proxy = Proxy(bucket.store.place.endpoint, most=3_000_000)
    dying = {"MINIO_ENDPOINT_URL": proxy.endpoint}
    ended = bucket.program("bucket", *words, code=UNAVAILABLE, **dying)
    assert ended.stderr.splitlines()[-1] == (
        f"satupeta: {proxy.endpoint} does not answer; once it does, run the same command again."
    )
    folder = bucket.program.folder / "copy"
    left = files_in(folder) if folder.exists() else {}
    assert all(contents[name] == content for name, content in left.items())
    bucket.program.inside("bucket", *words)
    if words[0] == "mirror":
        assert files_in(folder) == contents


def test_ctrl_c_leaves_nothing_half_written(bucket: Bucket) -> None:
    contents = {f"files/{n:02}": os.urandom(400_000) for n in range(16)}
    for name, content in contents.items():
        bucket.put(name, content)
    proxy = Proxy(bucket.store.place.endpoint, rate=300_000)
    folder = bucket.program.folder / "copy"
    process = subprocess.Popen(
        [*SATUPETA, "bucket", "mirror", "copy"],
        cwd=bucket.program.folder,
        env={**bucket.program.environment, "MINIO_ENDPOINT_URL": proxy.endpoint},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in folder.glob(".satupeta-mirror/*.part")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    proxy.close()
    assert process.returncode == INTERRUPTED, said
    assert said.strip() == "Interrupted."
    left = files_in(folder)
    assert len(left) < len(contents)
    assert all(contents.get(name) == content for name, content in left.items())
    assert mirrored(bucket.program, "copy")[0] == len(contents) - len(left)
    assert files_in(folder) == contents


def fallback(settings: Settings, name: str | None) -> Settings:
    return settings.model_copy(update={"minio_fallback_bucket_name": name})


def test_a_move_needs_two_places(bucket: Bucket) -> None:
    program = bucket.program
    assert "No fallback is set" in program.inside("bucket", "move", code=CONFIGURATION).stderr
    same = {"MINIO_FALLBACK_BUCKET_NAME": bucket.store.bucket}
    assert "itself" in program.inside("bucket", "move", code=CONFIGURATION, **same).stderr
    gone = {"MINIO_FALLBACK_BUCKET_NAME": "nothing-here"}
    assert "no bucket" in program.inside("bucket", "move", code=CONFIGURATION, **gone).stderr


async def test_the_bucket_moves_while_files_are_served(
    api: Api, settings: Settings, bucket: Bucket
) -> None:
    files = api.application.services.files
    old = bucket.program.settings
    new = old.model_copy(update={"minio_bucket_name": f"{old.minio_bucket_name}-new"})
    target = AdministeredStore(new)
    target.make()
    processes = [Storage(old), Storage(old)]
    uploaded: dict[str, bytes] = {}

    async def use_both() -> None:
        """New files arrive at each process, and each gives every file."""
        for storage in processes:
            files.storage = storage
            content = f"berkas {len(uploaded)}".encode()
            answer = await api.upload(content, "a.txt", content_type="text/plain")
            assert answer.status == 201, answer.body
            uploaded[answer.json["id"]] = content
        for storage in processes:
            files.storage = storage
            for file_id, content in uploaded.items():
                served = await api.get(f"/files/{file_id}/download")
                assert (served.status, served.body) == (200, content)

    await use_both()
    before = fallback(old, new.minio_bucket_name)
    swapped = fallback(new, old.minio_bucket_name)
    for stage in (before, swapped):
        for number in range(2):
            processes[number].close()
            processes[number] = Storage(stage)
            await use_both()
    program = Program(swapped, bucket.program.folder)
    tried = await asyncio.to_thread(program, "bucket", "verify", "--csv", code=SOME_FAILED)
    assert tried.stdout.count("only in the fallback") > 2
    dry = await asyncio.to_thread(program, "bucket", "move", "--dry-run")
    assert "would be" in dry.stdout
    moved = await asyncio.to_thread(program, "bucket", "move")
    assert "Nothing is left to copy" in moved.stderr
    await use_both()
    again = await asyncio.to_thread(program, "bucket", "move", "--json")
    assert '"copied": 0' in again.stdout
    for number in range(2):
        processes[number].close()
        processes[number] = Storage(new)
        await use_both()
    await asyncio.to_thread(Program(new, bucket.program.folder), "bucket", "verify")
    assert set(bucket.names()) <= {entry.name for entry in target.entries()}
    for one in processes:
        one.close()
    target.close()


def test_a_move_says_what_is_lost(bucket: Bucket) -> None:
    place = main_place(bucket.program.settings)
    other = AdministeredStore(replace(place, bucket=f"{place.bucket}-old"))
    other.make()
    client: Minio = other._client
    Bucket(bucket.program, other).add(b"good", name="files/good")
    Bucket(bucket.program, other).add(b"bad", name="files/bad", checksum="0" * 64)
    bucket.row("files/lost", str(uuid.uuid4()))
    words = {"MINIO_FALLBACK_BUCKET_NAME": other.bucket}
    ended = bucket.program.inside("bucket", "move", code=SOME_FAILED, **words)
    assert "files/bad: its checksum is not the one of its row" in ended.stderr
    assert bucket.names() == ["files/good"]
    client.remove_object(other.bucket, "files/bad")
    ended = bucket.program.inside("bucket", "move", code=SOME_FAILED, **words)
    assert "files/lost: missing" in ended.stderr
    other.close()
