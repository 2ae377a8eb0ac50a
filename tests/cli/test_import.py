"""``satupeta import`` and ``satupeta export``."""

import gzip
import io
import json
import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from satupeta_cli.commands import import_
from satupeta_server import database
from satupeta_server.seed.sample import load_sample
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from satupeta_server.transfer.kinds import KINDS as KINDS_KNOWN
from satupeta_server.transfer.sources import FORMATS
from tests.cli.program import DONE, SOME_FAILED, UNAVAILABLE, WRONG_USE, Program

REGIONS = (
    Path(__file__).resolve().parents[2] / "satupeta_server/data/wilayah-permendagri-72-2019.csv.gz"
)


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


def states(program: Program, *arguments: str, code: int | None = DONE) -> dict[str, int]:
    """How many rows ended how, without those of which there are none."""
    counts = json.loads(program("import", *arguments, "--json", code=code).stdout)
    return {state: count for state, count in counts.items() if count}


def test_every_kind_can_be_named() -> None:
    assert set(import_.KINDS) == set(KINDS_KNOWN)
    assert set(import_.FORMATS) == set(FORMATS)


def test_the_whole_region_file_is_imported_and_then_unchanged(program: Program) -> None:
    first = states(program, "regions", str(REGIONS))
    assert sum(first.values()) == 91_220
    assert "failed" not in first
    (facts,) = program.rows(
        "SELECT count(*), count(*) FILTER (WHERE parent_id IS NULL AND level <> 'provinsi') "
        "FROM regionals WHERE deleted_at IS NULL"
    )
    assert facts[0] >= 91_220
    assert facts[1] == 0
    assert states(program, "regions", str(REGIONS)) == {"unchanged": 91_220}
    assert [one[:2] for one in program.audit()] == [("import", "regionals")] * 2


KINDS = (
    "organizations", "categories", "classifications", "map-projection-systems", "users",
    "map-sources", "mapsets", "news", "regions",
)  # fmt: skip


def test_every_export_is_imported_as_unchanged_in_every_format(
    program: Program, settings: Settings, store: ObjectStore
) -> None:
    database.connect(settings)
    with database.synchronous():
        load_sample(settings, store, count=40)
    database.database.close()
    for number, kind in enumerate(KINDS):
        for form in ("csv", "jsonl", "json", "tsv.gz", "xlsx")[number % 2 :: 2]:
            path = str(program.folder / f"{kind}.{form}")
            program.inside("export", kind, "-o", path)
            report = program.folder / "report.jsonl"
            counts = program.json("import", kind, path, "--report", str(report), code=None)
            ended = {state for state, count in counts.items() if count}
            assert ended == {"unchanged"}, (kind, form, report.read_text())


def test_rows_are_created_updated_skipped_or_failed_each_by_itself(program: Program) -> None:
    path = program.folder / "dinas.csv"
    path.write_text(
        "nama;email;telepon\n"
        "Dinas Satu;satu@example.org;+62 31 1\n"
        "Dinas Dua;bukan surel;2\n"
        ";tiga@example.org;3\n"
        "DINAS SATU;lagi@example.org;4\n",
        encoding="utf-8",
    )
    mapped = ("--map", "nama=name", "--map", "telepon=phone_number")
    arguments = ("organizations", str(path), *mapped)
    unknown = program("import", "organizations", str(path), code=WRONG_USE).stderr
    assert "Unknown columns: 'nama' (do you mean 'name'?), 'telepon'" in unknown
    assert states(program, *arguments, "--dry-run", code=SOME_FAILED) == {"created": 1, "failed": 3}
    assert states(program, *arguments, "--atomic", code=SOME_FAILED) == {"created": 1, "failed": 3}
    assert program.rows("SELECT 1 FROM organizations WHERE name = 'Dinas Satu'") == []
    errors, report = program.folder / "errors.csv", program.folder / "report.jsonl"
    files = ("--errors", str(errors), "--report", str(report))
    assert states(program, *arguments, *files, code=SOME_FAILED) == {"created": 1, "failed": 3}
    told = {row["line"]: row for row in map(json.loads, report.read_text().splitlines())}
    assert told[2]["state"] == "created"
    assert list(told[3]["errors"]) == ["email"]
    assert list(told[4]["errors"]) == ["name"]
    assert "Line 2" in told[5]["errors"][""][0]
    mended = errors.read_text().replace("bukan surel", "dua@example.org")
    errors.write_text(mended.replace("lagi@example.org", "satu@example.org"))
    again = states(program, "organizations", str(errors), *mapped, code=SOME_FAILED)
    assert again == {"created": 1, "updated": 1, "failed": 1}
    assert states(program, *arguments, "--create-only", code=SOME_FAILED) == {
        "skipped": 1,
        "failed": 3,
    }


def test_mapsets_come_with_their_history_and_revisions(program: Program) -> None:
    organization, source = program.rows(
        "SELECT (SELECT name FROM organizations WHERE deleted_at IS NULL ORDER BY id LIMIT 1),"
        " (SELECT name FROM map_sources WHERE deleted_at IS NULL ORDER BY id LIMIT 1)"
    )[0]
    names = program.rows(
        "SELECT (SELECT name FROM categories WHERE deleted_at IS NULL LIMIT 1),"
        " (SELECT name FROM classifications WHERE is_open),"
        " (SELECT authority_code FROM map_projection_systems WHERE authority_code IS NOT NULL"
        " AND deleted_at IS NULL LIMIT 1)"
    )[0]
    row = {
        "name": "Peta impor",
        "description": "Diimpor untuk uji coba",
        "scale": "1:25.000",
        "projection_system": names[2],
        "category": names[0],
        "classification": names[1],
        "producer": organization,
        "regional": "35",
        "sources": source or "",
        "data_status": "tetap",
        "layer_url": "https://geo.example.org/wms?layers=a&bbox=110,-8,112,-6",
        "metadata_url": "https://geo.example.org/m",
        "data_update_period": "Tahunan",
        "data_version": "2026",
    }
    path = program.folder / "mapset.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, "producer": "Tidak ada"}) + "\n")
    assert states(program, "mapsets", str(path), code=SOME_FAILED) == {"created": 1, "failed": 1}
    facts = (
        "SELECT m.revision, m.status_validation, m.bounding_box::text,"
        " (SELECT count(*) FROM mapset_histories h WHERE h.mapset_id = m.id),"
        " (SELECT count(*) FROM mapset_revisions r WHERE r.mapset_id = m.id)"
        " FROM mapsets m WHERE name = 'Peta impor'"
    )
    assert program.rows(facts) == [(1, "on_verification", "(112,-6),(110,-8)", 1, 1)]
    path.write_text(json.dumps({**row, "status_validation": "approved"}))
    assert states(program, "mapsets", str(path)) == {"updated": 1}
    assert program.rows(facts)[0][:2] == (2, "approved")
    assert program.rows(facts)[0][3:] == (2, 2)
    assert states(program, "mapsets", str(path)) == {"unchanged": 1}


def test_a_dry_run_an_atomic_failure_and_nonsense_leave_no_trace(program: Program) -> None:
    path = program.folder / "regions.csv"
    path.write_text("code,name,parent,valid_from\n99,Uji,,2023-02-30\n98,Uji,97,\n97,Uji,97,\n")
    counts = states(program, "regions", str(path), "--dry-run", code=SOME_FAILED)
    assert counts == {"failed": 3}
    path.write_text("code,name,parent,valid_from\n99,Uji,,2023-02-28\n99.01,Uji,98,\n")
    assert states(program, "regions", str(path), "--atomic", code=SOME_FAILED) == {
        "created": 1,
        "failed": 1,
    }
    assert program.rows("SELECT 1 FROM regionals WHERE code = '99'") == []
    assert program.audit() == []
    whole = program.folder / "whole.csv"
    whole.write_text("code,name\n99,Uji\n")
    assert states(program, "regions", str(whole), "--atomic") == {"created": 1}
    assert [one[:2] for one in program.audit()] == [("import", "regionals")]
    whole.write_text("name\nDinas Utuh\n")
    assert states(program, "organizations", str(whole), "--atomic") == {"created": 1}
    assert [one[:2] for one in program.audit()][1:] == [
        ("create", "organizations"),
        ("import", "organizations"),
    ]
    for wrong in (["--map", "kode"], ["--map", "kode=code"], ["--create-only", "--update-only"]):
        ended = program.inside("import", "regions", str(path), *wrong, code=WRONG_USE)
        assert "Traceback" not in ended.stderr
    missing = program.inside("import", "regions", "no-such.csv", code=WRONG_USE)
    assert "no-such.csv cannot be read" in missing.stderr


def test_of_several_files_the_later_one_counts(program: Program) -> None:
    first, second = program.folder / "2019.csv", program.folder / "2022.csv"
    first.write_text("90,Provinsi Lama\n90.01,Kabupaten Satu\n90.02.01,Tak berkabupaten\n")
    second.write_text(
        "code;name;valid_from\n90;Provinsi Baru;2022-07-25\n90.01;Kabupaten Satu;besok\n90.02;;\n"
    )
    folder, report = program.folder / "mend", program.folder / "report.csv"
    totals = states(
        program, "regions", str(first), str(second), "--errors", str(folder), "--report",
        str(report), code=SOME_FAILED,
    )  # fmt: skip
    assert totals == {"created": 3, "updated": 1, "failed": 2}
    assert program.rows("SELECT name, valid_from::text FROM regionals WHERE code = '90'") == [
        ("Provinsi Baru", "2022-07-25")
    ]
    assert [one.name for one in folder.iterdir()] == ["2022.csv"]
    mended = (folder / "2022.csv").read_text()
    assert mended == "code;name;valid_from\n90.01;Kabupaten Satu;besok\n90.02;;\n"
    assert report.read_text().count("failed") == 2
    (folder / "2022.csv").write_text(mended.replace("besok", "2022-07-25").replace(";;", ";Dua;"))
    assert states(program, "regions", str(folder / "2022.csv")) == {"created": 1, "updated": 1}


def test_lines_that_cannot_be_read_come_back_as_they_stood(program: Program) -> None:
    path, mend = program.folder / "dinas.csv", program.folder / "mend.csv"
    path.write_bytes(
        b'name,email\n"Dinas "A,a@example.org\nDinas B,\xff\nDinas C,c@example.org,x\nDinas D\n'
        b"Dinas E,e@example.org\n"
    )
    arguments = ("--encoding", "utf-8", "--errors", str(mend))
    assert states(program, "organizations", str(path), *arguments, code=SOME_FAILED) == {
        "created": 1,
        "failed": 4,
    }
    kept = mend.read_bytes()
    assert (
        kept
        == b'name,email\n"Dinas "A,a@example.org\nDinas B,\xff\nDinas C,c@example.org,x\nDinas D\n'
    )
    mend.write_bytes(
        kept.replace(b'"Dinas "A', b"Dinas A").replace(b"\xff", b"b@example.org")
        .replace(b",x\n", b"\n").replace(b"Dinas D\n", b"Dinas D,\n")
    )  # fmt: skip
    assert states(program, "organizations", str(mend)) == {"created": 4}
    lines = program.folder / "dinas.jsonl"
    lines.write_text('{"name": "Dinas F"}\n{"name": "Dinas G"\n[1]\n')
    counts = states(program, "organizations", str(lines), "--errors", f"{lines}.gz", code=1)
    assert counts == {"created": 1, "failed": 2}
    with gzip.open(f"{lines}.gz", "rt") as file:
        assert file.read() == '{"name": "Dinas G"\n[1]\n'


def test_files_come_and_go_with_their_contents(program: Program, store: ObjectStore) -> None:
    del store
    folder = program.folder / "in"
    folder.mkdir()
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(picture, "PNG")
    (folder / "merah.png").write_bytes(picture.getvalue())
    (folder / "palsu.png").write_bytes(b"<svg/>")
    path = folder / "files.csv"
    path.write_text(
        "path,name,description\nmerah.png,Merah.png,Gambar\npalsu.png,,\nnone.png,,\n"
        "../../../etc/passwd,passwd.txt,\n"
    )
    report = program.folder / "report.jsonl"
    arguments = ("files", str(path), "--report", str(report))
    assert states(program, *arguments, "--dry-run", code=SOME_FAILED) == {"created": 1, "failed": 3}
    assert program.rows("SELECT 1 FROM files") == []
    assert states(program, *arguments, code=SOME_FAILED) == {"created": 1, "failed": 3}
    reasons = [row["errors"] for row in map(json.loads, report.read_text().splitlines())]
    assert "No such file" in str(reasons[2])
    assert "must lie in the folder" in str(reasons[3])
    assert states(program, *arguments, code=SOME_FAILED) == {"unchanged": 1, "failed": 3}
    output = program.folder / "out" / "files.jsonl"
    output.parent.mkdir()
    program.inside("export", "files", "-o", str(output))
    (row,) = [json.loads(line) for line in output.read_text().splitlines()]
    assert (output.parent / row["path"]).read_bytes() == picture.getvalue()
    assert states(program, "files", str(output)) == {"unchanged": 1}
    program.rows("DELETE FROM files")
    assert states(program, "files", str(output)) == {"created": 1}
    assert program.rows("SELECT id::text, name, description FROM files") == [
        (row["id"], "Merah.png", "Gambar")
    ]
    (output.parent / row["path"]).write_bytes(picture.getvalue() + b"x")
    assert states(program, "files", str(output), code=SOME_FAILED) == {"failed": 1}
    (output.parent / row["path"]).write_bytes(picture.getvalue())
    program.rows("DELETE FROM files")
    gone = program(
        "import", "files", str(output), code=UNAVAILABLE, MINIO_ENDPOINT_URL="http://127.0.0.1:9"
    )
    assert "does not answer" in gone.stderr


def test_an_import_never_writes_over_what_it_reads(program: Program) -> None:
    path = program.folder / "dinas.csv"
    path.write_text("name,email\nDinas Satu,bukan surel\n")
    words = ("import", "organizations", str(path))
    for option in ("--errors", "--report"):
        ended = program.inside(*words, option, str(path), code=WRONG_USE)
        assert "is read by this import" in ended.stderr
    twice = ("--errors", "x.csv", "--report", "./x.csv")
    assert "twice" in program.inside(*words, *twice, code=WRONG_USE).stderr
    assert path.read_text() == "name,email\nDinas Satu,bukan surel\n"
    assert program.rows("SELECT 1 FROM imports") == []


def test_what_comes_through_a_pipe_is_read_whole(program: Program) -> None:
    pipe = program.folder / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("name,email\nDinas Pipa,\n",))
    writer.start()
    assert states(program, "organizations", str(pipe)) == {"created": 1}
    writer.join()


def test_one_record_named_in_two_ways_is_told_as_repeated(program: Program) -> None:
    producer, name = program.rows(
        "SELECT id::text, name FROM organizations WHERE deleted_at IS NULL ORDER BY id LIMIT 1"
    )[0]
    path = program.folder / "mapsets.jsonl"
    rows = [{"name": "Peta Kembar", "producer": one} for one in (name, producer, name.upper())]
    path.write_text("\n".join(map(json.dumps, rows)))
    report = program.folder / "report.jsonl"
    arguments = ("mapsets", str(path), "--report", str(report))
    assert states(program, *arguments, code=SOME_FAILED) == {"failed": 3}
    told = [row["errors"] for row in map(json.loads, report.read_text().splitlines())]
    assert sum("Line 1 has this record" in str(errors) for errors in told) == 2


def test_regions_move_into_a_new_one_that_their_code_names(program: Program) -> None:
    path = program.folder / "regions.csv"
    path.write_text("90,Provinsi\n90.02.01,Kecamatan\n")
    states(program, "regions", str(path))
    path.write_text("90.02,Kabupaten\n")
    assert states(program, "regions", str(path)) == {"created": 1}
    parents = (
        "SELECT c.code, p.code FROM regionals c JOIN regionals p ON p.id = c.parent_id"
        " WHERE c.code LIKE '90%' ORDER BY c.code"
    )
    assert program.rows(parents) == [("90.02", "90"), ("90.02.01", "90.02")]
    path.write_text("90,Provinsi\n90.02.01,Kecamatan\n")
    assert states(program, "regions", str(path)) == {"unchanged": 2}


def test_an_import_that_was_given_up_is_not_taken_up_again(program: Program) -> None:
    path = program.folder / "dinas.csv"
    path.write_text("name,email\nDinas Satu,\n")
    states(program, "organizations", str(path))
    program.rows("UPDATE imports SET finished_at = NULL")
    assert states(program, "organizations", str(path)) == {"unchanged": 1}
    program.rows("DELETE FROM organizations WHERE name = 'Dinas Satu'")
    assert states(program, "organizations", str(path), "--resume") == {"created": 1}
    assert program.rows("SELECT 1 FROM organizations WHERE name = 'Dinas Satu'") == [(1,)]


def test_odd_values_fail_alone_and_odd_options_in_a_sentence(program: Program) -> None:
    path = program.folder / "odd.jsonl"
    path.write_text(
        '{"name": "Dinas A"}\n{"name": "B\\u0000", "x\\u0000": 1}\n{"name": "Dinas C"}\n'
    )
    counts = states(program, "organizations", str(path), "--ignore-unknown", code=SOME_FAILED)
    assert counts == {"created": 2, "failed": 1}
    whole = program.folder / "odd.json"
    whole.write_text('[{"name": 123456789012345678901234567890}, {"name": "Dinas D"}]')
    assert states(program, "organizations", str(whole), code=None)["created"] >= 1
    text = program.folder / "odd.csv"
    text.write_text("name\temail\nDinas E\t\n")
    assert states(program, "organizations", str(text), "--delimiter", r"\t") == {"created": 1}
    for wrong in (["--delimiter", ";;"], ["--encoding", "hex"], ["--encoding", "rot13"]):
        program.inside("import", "organizations", str(text), *wrong, code=WRONG_USE)
    doubled = program.folder / "doubled.csv"
    doubled.write_text("name,nama\na,b\n")
    arguments = ("import", "organizations", str(doubled), "--map", "nama=name")
    assert "meant as name" in program.inside(*arguments, code=WRONG_USE).stderr
