"""``satupeta import`` and ``satupeta export``."""

import json
from pathlib import Path

import pytest

from satupeta_cli.commands import import_
from satupeta_server import database
from satupeta_server.seed.sample import load_sample
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from satupeta_server.transfer.kinds import KINDS as KINDS_KNOWN
from satupeta_server.transfer.sources import FORMATS
from tests.cli.program import DONE, SOME_FAILED, WRONG_USE, Program

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
