"""``satupeta bucket``: seeing, checking and cleaning the bucket of the files."""

import csv
import io
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3
from minio import Minio

from satupeta_server.maintenance import bucket_orphans
from satupeta_server.maintenance.bucket_store import AdministeredStore
from satupeta_server.settings import Settings
from tests.cli.buckets import Bucket, made, own_bucket
from tests.cli.program import CONFIGURATION, ROOT, SOME_FAILED, UNAVAILABLE, WRONG_USE, Program

NOTHING_OLDER = ("--older-than", "0m")


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(own_bucket(settings), tmp_path)


@pytest.fixture
def bucket(program: Program) -> Iterator[Bucket]:
    yield from made(program)


def test_the_bucket_is_made_once(program: Program) -> None:
    missing = program.json("bucket", "status", code=SOME_FAILED)
    assert (missing["is_there"], missing["bucket"]) == (False, program.settings.minio_bucket_name)
    assert "would be created" in program.inside("bucket", "create", "--dry-run").stdout
    assert program.json("bucket", "status", code=SOME_FAILED)["is_there"] is False
    assert program("bucket", "create").stdout.endswith(": created\n")
    assert program.inside("bucket", "create").stdout.endswith(": unchanged\n")
    assert program.audit() == [("create", "bucket", "satupeta bucket create")]
    for words in (["ls"], ["verify"], ["orphans"], ["usage"], ["mirror", "x"], ["policy", "show"]):
        gone = {"MINIO_BUCKET_NAME": "nothing-here"}
        said = program.inside("bucket", *words, code=CONFIGURATION, **gone).stderr
        assert "There is no bucket nothing-here" in said, words


def test_status_tells_what_is_there(bucket: Bucket) -> None:
    bucket.add(b"abc")
    bucket.put("loose", b"12345")
    found = bucket.program.json("bucket", "status", "--count")
    assert (found["objects"], found["object_bytes"], found["file_rows"]) == (2, 8, 1)
    assert (found["versioning"], found["lifecycle"]) == ("off", "no rules")
    assert found["anonymous_access"] == "nobody reaches objects without a key"
    assert "objects" not in bucket.program.json("bucket", "status")


def test_objects_are_listed_with_their_files(bucket: Bucket) -> None:
    file_id = bucket.add(b"x" * 2500, name="files/a.txt")
    bucket.put("files/b.txt", b"")
    bucket.put("other", b"1")
    rows = bucket.program.json("bucket", "ls", "files/")
    assert [(one["name"], one["size"], one["file"]) for one in rows] == [
        ("files/a.txt", 2500, "catatan.txt"), ("files/b.txt", 0, None),
    ]  # fmt: skip
    assert rows[0]["file_id"] == file_id
    shown = bucket.program("bucket", "ls", "--limit", "1").stdout
    assert "2.5 kB" in shown
    assert "files/b.txt" not in shown
    text = bucket.program.inside("bucket", "ls", "--csv").stdout
    cells = list(csv.DictReader(io.StringIO(text)))
    assert [one["size"] for one in cells] == ["2500", "0", "1"]
    lines = bucket.program.inside("bucket", "ls", "--jsonl").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["files/a.txt", "files/b.txt", "other"]
    assert bucket.program.json("bucket", "ls", "nowhere/") == []


def test_usage_counts_each_file_once(bucket: Bucket) -> None:
    thumbnail, picture, embedded, _, deleted = (bucket.add(b"x" * n) for n in range(1, 6))
    bucket.put("loose", b"y" * 7)
    rows = bucket.program.rows
    rows("UPDATE organizations SET thumbnail = %s WHERE name = 'Dinas Kehutanan'", (thumbnail,))
    rows("UPDATE categories SET thumbnail = %s", (thumbnail,))
    rows("UPDATE users SET profile_picture = %s WHERE username = 'viewer'", (picture,))
    text = f'<img src="/api/files/{embedded.upper()}/download">'
    rows("INSERT INTO news (id, name, description) VALUES (%s, 'x', %s)", (str(uuid.uuid4()), text))
    rows("UPDATE files SET deleted_at = now() WHERE id = %s", (deleted,))
    found = bucket.program.json("bucket", "usage")
    assert {one["kind"]: (one["files"], one["bytes"]) for one in found} == {
        "thumbnail of a category": (1, 1),
        "profile picture": (1, 2),
        "in the text of news": (1, 3),
        "unused": (1, 4),
        "deleted": (1, 5),
        "objects without a row": (1, 7),
    }
    found = bucket.program.json("bucket", "usage", "--by", "organization")
    assert {one["organization"]: one["bytes"] for one in found} == {
        "Dinas Kehutanan": 1, "Dinas Pekerjaan Umum": 14, "objects without a row": 7,
    }  # fmt: skip


def test_verify_names_every_row_that_is_wrong(bucket: Bucket) -> None:
    bucket.add(b"whole")
    assert bucket.program("bucket", "verify").stdout == ""
    longer = bucket.add(b"longer", size=3)
    other = bucket.add(b"other", checksum="0" * 64)
    lost = str(uuid.uuid4())
    bucket.row("files/lost", lost)
    bucket.program.rows("UPDATE files SET deleted_at = now() WHERE id = %s", (lost,))
    found = bucket.program.json("bucket", "verify", code=SOME_FAILED)
    wrong = {longer: "size differs", other: "checksum differs", lost: "missing"}
    assert {one["file_id"]: one["problem"] for one in found} == wrong
    found = bucket.program.json("bucket", "verify", "--quick", code=SOME_FAILED)
    del wrong[other]
    assert {one["file_id"]: one["problem"] for one in found} == wrong
    said = bucket.program.inside("bucket", "verify", code=SOME_FAILED)
    assert "4 files of" in said.stderr
    assert len(said.stdout.splitlines()) == 1 + 3
    assert bucket.program.audit() == []


def test_orphans_are_listed_and_removed_once_they_are_old(bucket: Bucket) -> None:
    program = bucket.program
    bucket.add(b"kept", name="files/kept")
    bucket.put("files/loose", b"12")
    upload = bucket.client._create_multipart_upload(bucket.store.bucket, "files/begun", {})
    bucket.client._upload_part(bucket.store.bucket, "files/begun", b"x", None, upload, 1)
    assert program.json("bucket", "orphans") == []
    assert program.json("bucket", "orphans", "--remove", "--yes") == []
    found = program.json("bucket", "orphans", *NOTHING_OLDER)
    assert {(one["kind"], one["name"]) for one in found} == {
        ("object without a row", "files/loose"), ("unfinished upload", "files/begun"),
    }  # fmt: skip
    refused = program.inside("bucket", "orphans", "--remove", *NOTHING_OLDER, code=WRONG_USE)
    assert "Remove these 2 objects and uploads of 2 B?" in refused.stderr
    tried = program.inside("bucket", "orphans", "--remove", "--dry-run", *NOTHING_OLDER)
    assert "would be removed" in tried.stderr
    assert bucket.names() == ["files/kept", "files/loose"]
    assert program.audit() == []
    removed = program("bucket", "orphans", "--remove", "--yes", *NOTHING_OLDER)
    assert "2 removed" in removed.stderr
    assert bucket.names() == ["files/kept"]
    assert list(bucket.store.unfinished()) == []
    assert program.audit() == [("remove_orphans", "bucket", "satupeta bucket orphans")]


def test_a_row_without_an_object_is_only_told(bucket: Bucket) -> None:
    file_id = str(uuid.uuid4())
    bucket.row("files/lost", file_id)
    words = ("bucket", "orphans", "--remove", "--yes", *NOTHING_OLDER)
    (found,) = bucket.program.json(*words, code=SOME_FAILED)
    assert (found["kind"], found["file_id"]) == ("row without an object", file_id)
    assert bucket.program.rows("SELECT count(*) FROM files") == [(1,)]


def test_an_object_that_gets_its_row_meanwhile_is_not_removed(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.add(b"kept")
    bucket.put("files/late", b"1")
    look = bucket_orphans.rows_of

    def late(names: list[str]) -> object:
        bucket.row("files/late", str(uuid.uuid4()))
        return look(names)

    monkeypatch.setattr(bucket_orphans, "rows_of", late)
    bucket.program.inside("bucket", "orphans", "--remove", "--yes", *NOTHING_OLDER)
    assert "files/late" in bucket.names()


@pytest.mark.parametrize(
    "age", ["7", "d", "-1d", "1w", "1.5d", "", "9999999999d", "99999999d", "٣d"]
)
def test_an_age_that_is_none_is_refused(program: Program, age: str) -> None:
    said = program.inside("bucket", "orphans", "--older-than", age, code=WRONG_USE).stderr
    assert "write one like 30m, 12h or 7d" in said


def test_rules_are_set_and_those_of_others_kept(bucket: Bucket) -> None:
    program = bucket.program
    theirs = (
        b'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>theirs'
        b"</ID><Status>Enabled</Status><Filter><Prefix>tmp/</Prefix></Filter><Expiration><Days>3"
        b"</Days></Expiration></Rule></LifecycleConfiguration>"
    )
    bucket.store.set_lifecycle(theirs)
    words = ("bucket", "lifecycle", "set", "--abort-unfinished-after", "7d")
    assert program.inside(*words, "--dry-run").stdout == "lifecycle: would be updated\n"
    assert len(program.json("bucket", "lifecycle", "show")) == 1
    program.inside(*words, "--remove-old-versions-after", "30d")
    assert program.inside(*words).stdout == "lifecycle: unchanged\n"
    program.inside("bucket", "lifecycle", "set", "--abort-unfinished-after", "2d")
    shown = {one["name"]: one["does"] for one in program.json("bucket", "lifecycle", "show")}
    assert shown == {
        "theirs": "Expiration (Days 3)",
        "satupeta-abort-unfinished": "AbortIncompleteMultipartUpload (DaysAfterInitiation 2)",
        "satupeta-remove-old-versions": "NoncurrentVersionExpiration (NoncurrentDays 30)",
    }
    assert "--yes" in program.inside("bucket", "lifecycle", "clear", code=WRONG_USE).stderr
    program.inside("bucket", "lifecycle", "clear", "--yes")
    assert program.json("bucket", "lifecycle", "show") == []
    assert program.inside("bucket", "lifecycle", "clear").stdout == "lifecycle: unchanged\n"
    assert [action for action, *_ in program.audit()] == ["set_lifecycle"] * 2 + ["clear_lifecycle"]
    for wrong in ([], ["--abort-unfinished-after", "12h"], ["--abort-unfinished-after", "0d"]):
        program.inside("bucket", "lifecycle", "set", *wrong, code=WRONG_USE)


def test_anonymous_access_is_found_and_closed(bucket: Bucket) -> None:
    program, name = bucket.program, bucket.store.bucket
    bucket.put("files/a", b"1")
    allow = {
        "Effect": "Allow", "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{name}/*"],
    }  # fmt: skip
    deny = {**allow, "Effect": "Deny", "Action": ["s3:DeleteObject"]}
    policy = {"Version": "2012-10-17", "Statement": [allow, deny]}
    client: Minio = bucket.client
    client.set_bucket_policy(name, json.dumps(policy))
    shown = program.json("bucket", "policy", "show", code=SOME_FAILED)
    assert (shown["declared"], shown["anybody_can_read"]) == (["s3:GetObject"], True)
    doctor = {one["check"]: one for one in program.json("doctor", code=SOME_FAILED)}
    assert doctor["policy"]["advice"] == "close it with satupeta bucket policy close"
    program.inside("bucket", "policy", "close", code=WRONG_USE)
    program.inside("bucket", "policy", "close", "--dry-run")
    assert program.json("bucket", "policy", "show", code=SOME_FAILED)["is_open"]
    assert program("bucket", "policy", "close", "--yes").stdout == "policy: closed\n"
    assert not program.json("bucket", "policy", "show")["is_open"]
    (left,) = bucket.store.policy()["Statement"]
    assert left["Effect"] == "Deny"
    assert program.inside("bucket", "policy", "close").stdout == "policy: unchanged\n"
    assert [action for action, *_ in program.audit()] == ["close_policy"]


def test_nothing_is_an_orphan_for_want_of_the_right_database(bucket: Bucket) -> None:
    bucket.put("files/a", b"1")
    words = ("bucket", "orphans", *NOTHING_OLDER)
    assert "files/a" in bucket.program.inside(*words).stdout
    refused = bucket.program.inside(*words, "--remove", "--yes", code=CONFIGURATION).stderr
    assert "has no files at all" in refused
    assert "files/a" in bucket.program.inside(*words).stdout


def test_versioning_is_enabled_and_suspended(bucket: Bucket) -> None:
    program = bucket.program
    bucket.add(b"kept")
    assert program.inside("bucket", "versioning", "suspend").stdout == "versioning: unchanged\n"
    program.inside("bucket", "versioning", "enable", "--dry-run")
    assert program.json("bucket", "versioning", "show") == {"versioning": "off"}
    program.inside("bucket", "versioning", "enable")
    assert program.inside("bucket", "versioning", "enable").stdout == "versioning: unchanged\n"
    assert program.json("bucket", "versioning", "show") == {"versioning": "enabled"}
    bucket.put("loose", b"1")
    removed = program.inside("bucket", "orphans", "--remove", "--yes", *NOTHING_OLDER)
    assert "keeps them as older versions" in removed.stderr
    program.inside("bucket", "versioning", "suspend")
    assert program.json("bucket", "versioning", "show") == {"versioning": "suspended"}


def test_a_presigned_address_serves_one_file(bucket: Bucket) -> None:
    program = bucket.program
    file_id = bucket.add(b"isi berkas")
    assert "would be" in program.inside("bucket", "presign", file_id, "--dry-run").stdout
    given = program("bucket", "presign", file_id, "--expires", "5m")
    assert "Whoever has this address" in given.stderr
    answer = urllib3.request("GET", given.stdout.strip())
    assert (answer.status, answer.data) == (200, b"isi berkas")
    assert "catatan.txt" in answer.headers["Content-Disposition"]
    assert program.rows("SELECT action, subject_id::text, details FROM audit_log") == [
        ("presign", file_id, {"expires": "5m"})
    ]
    program.inside("bucket", "presign", str(uuid.uuid4()), code=WRONG_USE)
    program.inside("bucket", "presign", "no-id", code=WRONG_USE)
    for wrong in ("8d", "0m", "soon"):
        program.inside("bucket", "presign", file_id, "--expires", wrong, code=WRONG_USE)


def test_wrong_keys_and_a_dead_store_are_sentences(bucket: Bucket) -> None:
    program = bucket.program
    for words in (["ls"], ["verify"], ["versioning", "enable"], ["status"]):
        wrong = {"MINIO_ROOT_PASSWORD": "not-the-right-one"}
        said = program.inside("bucket", *words, code=CONFIGURATION, **wrong).stderr
        assert "correct MINIO_ROOT_USER and MINIO_ROOT_PASSWORD" in said, words
        dead = {"MINIO_ENDPOINT_URL": "http://127.0.0.1:9"}
        said = program.inside("bucket", *words, code=UNAVAILABLE, **dead).stderr
        assert said == (
            "satupeta: http://127.0.0.1:9 does not answer; once it does, "
            "run the same command again.\n"
        ), words
    assert program.audit() == []


def test_nothing_ever_removes_a_bucket() -> None:
    for package in ("satupeta_server", "satupeta_cli"):
        for path in (ROOT / package).rglob("*.py"):
            assert "remove_bucket" not in path.read_text(encoding="utf-8"), path


def test_the_doctor_knows_the_fallback(bucket: Bucket) -> None:
    found = {
        one["check"]: one
        for one in bucket.program.json(
            "doctor", code=SOME_FAILED, MINIO_FALLBACK_BUCKET_NAME="nothing-here"
        )
    }
    assert "no bucket nothing-here" in found["bucket"]["finding"]
    assert "MINIO_FALLBACK_" in found["bucket"]["advice"]
    bucket.row("files/elsewhere", str(uuid.uuid4()))
    other = AdministeredStore(replace(bucket.store.place, bucket=f"{bucket.store.bucket}-old"))
    other.make()
    Bucket(bucket.program, other).put("files/elsewhere", b"1")
    words = {"MINIO_FALLBACK_BUCKET_NAME": other.bucket}
    found = {one["check"]: one for one in bucket.program.json("doctor", **words)}
    assert "reads from" in found["bucket"]["finding"]
    assert found["objects"]["state"] == "ok"
    other.close()
