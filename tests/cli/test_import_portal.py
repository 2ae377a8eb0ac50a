"""``satupeta import portal``: an older backend with all its oddities, and interruptions."""

import csv
import io
import json
import os
import signal
import stat
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from satupeta_cli import portal as command
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from satupeta_server.transfer.portal import exchange
from satupeta_server.transfer.portal.outcomes import TOTAL_COLUMNS
from satupeta_server.transfer.portal.resources import ORDER
from tests.cli.program import (
    DONE,
    SATUPETA,
    SOME_FAILED,
    UNAVAILABLE,
    WRONG_USE,
    Program,
)
from tests.portals import Items, OldPortal, served, serving
from tests.world import PASSWORD, World

SECRET = "kata-sandi-geoserver-lama"
DATES = {"created_at": "2021-03-04T05:06:07+07:00", "modified_at": "2022-01-02T03:04:05"}


def key(number: int) -> str:
    return f"0190aaaa-0000-7000-8000-{number:012}"


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(content, "PNG")
    return content.getvalue()


def mapset(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": key(number),
        "name": f"Peta {number}",
        "description": "",
        "scale": None,
        "layer_url": "https://lama.example.org/geoserver/wms?layers=a&bbox=110,-8,112,-6",
        "metadata_url": "",
        "status_validation": "approved",
        "classification": {"id": key(50), "name": "publik"},
        "category": {"id": key(40), "name": "Pertanian Lama"},
        "projection_system": {"id": key(60), "name": "SRGI2013"},
        "producer": {"id": key(10), "name": "Dinas Lama"},
        "regional": {"id": key(70), "code": "35.78", "name": "Surabaya"},
        "sources": [{"id": key(90), "name": "GS", "credential": {"credential_type": "geoserver"}}],
        "data_status": "tetap",
        "data_version": 2019,
        "coverage_level": "",
        "is_active": True,
        "is_popular": 0,
        "views": 7,
        **DATES,
        **changes,
    }


def old_items() -> Items:
    role = {"id": key(1), "name": "data_manager", "description": None, "is_active": True}
    legacy = {"id": key(2), "name": "opd"}
    organization = {"id": key(10), "name": "Dinas Lama"}
    user = {"role": role, "organization": organization, "is_active": True, **DATES}
    return {
        "roles": [role, legacy],
        "organizations": [
            {
                **organization, "email": "", "website": "dinas-lama.example.org", "is_active": True,
                "thumbnail": key(100), "phone_number": 3155, **DATES,
            },
            {"id": key(11), "name": "Dinas Pekerjaan Umum", "thumbnail": key(101)},
            {"id": key(12), "name": "Dinas Rusak", "thumbnail": key(102)},
            {"id": 13, "name": "Dinas Bernomor"},
            "bukan objek",
        ],
        "users": [
            {
                "id": key(20), "name": "Ani", "username": "ani", "email": "ani@lama.example.org",
                **user,
            },
            {
                "id": key(21), "name": "Opa", "username": "opa", "email": "opa@lama.example.org",
                **user, "role": legacy, "password": "hash",
            },
            {"id": key(22), "name": "W", "username": "Walidata", "email": "w@example.org", **user},
            {
                "id": key(23), "name": "Ina", "username": "ina", "email": "ina@lama.example.org",
                **user, "is_active": False,
                "profile_picture": f"http://x/api/files/{key(100)}/download",
            },
        ],
        "categories": [
            {"id": key(40), "name": "Pertanian Lama", "is_active": "true"},
            {"id": key(41), "name": "pertanian lama"},
        ],
        "classifications": [
            {"id": key(50), "name": "PUBLIK", "is_open": True, "is_secret": False},
            {"id": key(51), "name": "Internal", "is_secret": True},
        ],
        "map_projection_systems": [{"id": key(60), "name": "SRGI2013"}],
        "credentials": [
            {
                "id": key(80), "name": "Akun", "credential_type": "geoserver",
                "credential_metadata": {"environment": "prod", "version": 2.25},
                "created_by": key(20), "updated_by": key(999), "is_default": None, **DATES,
            },
        ],
        "map_sources": [
            {
                "id": key(90), "name": "GS", "url": "https://lama.example.org/geoserver",
                "credential": {"id": key(80), "name": "Akun"}, "is_active": True, **DATES,
            },
            {"id": key(91), "name": "Tanpa", "url": "https://lama.example.org/geonetwork",
             "credential": {"id": None, "name": None, "credential_type": None}},
            {"id": key(92), "name": "Rusak", "url": "lama"},
        ],
        "mapsets": [
            *(mapset(1000 + number) for number in range(60)),
            mapset(2000, name="Peta 1000"),
            mapset(2001, classification=None),
            mapset(2002, status_validation="draf", layer_url="tidak ada", coverage_area="dunia"),
            mapset(2003, producer={"id": key(11), "name": "Dinas Pekerjaan Umum"}),
            mapset(2004, name="x" * 300),
            mapset(2005, classification={"id": key(51), "name": "Internal"}),
        ],
        "news": [
            {
                "id": key(110), "name": "Kabar", "thumbnail": "", "is_active": True, **DATES,
                "description": f'<p onclick="x()">a<img src="/api/files/{key(103)}/download"></p>',
            },
        ],
    }  # fmt: skip


def old_portal(**changes: Any) -> OldPortal:
    files = {
        key(100): ("image/png", picture()),
        key(101): ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        key(102): ("image/png", picture()[: picture().index(b"IDAT") + 8]),
        key(103): ("application/octet-stream", picture()),
    }
    secrets = {key(80): {"username": "gs", "password": SECRET, "port": 8080}}
    return OldPortal(old_items(), files, secrets, **changes)


@pytest.fixture
def program(settings: Settings, tmp_path: Path, store: ObjectStore) -> Program:
    return Program(settings, tmp_path)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FIRST_PAUSE_SECONDS", 0.01)


def words(base: str, *options: str) -> tuple[str, ...]:
    return ("import", "portal", base, "--username", "admin", *options)


def counts(text: str) -> dict[str, dict[str, int]]:
    rows = {row.pop("resource"): row for row in json.loads(text)}
    return {name: {state: n for state, n in row.items() if n} for name, row in rows.items()}


def move(
    program: Program, base: str, *options: str, code: int = SOME_FAILED
) -> dict[str, dict[str, int]]:
    ended = program.inside(
        *words(base, *options), "--json", code=code, SATUPETA_PASSWORD="Lama-2019!"
    )
    assert "Lama-2019!" not in ended.stdout + ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    return counts(ended.stdout)


def test_the_resources_are_known() -> None:
    assert command.RESOURCES == ORDER
    assert command.COLUMNS == TOTAL_COLUMNS


def test_an_older_backend_comes_as_far_as_it_is_valid(program: Program, world: World) -> None:
    portal = old_portal()
    happened: set[str] = set()

    def once(path: str) -> int | None:
        """A token that ends in the middle, and a proxy that is disturbed."""
        if path == "/api/map_sources" and path not in happened:
            portal.tokens.clear()
        status = 503 if path == "/api/users" and path not in happened else None
        happened.add(path)
        time.sleep(0.002)
        return status

    portal.before = once
    with serving(portal) as base:
        came = move(program, base, "--report", "report.csv")
        again = move(program, f"{base}/api")
    assert came == {
        "roles": {"mapped": 1, "failed": 1},
        "files": {"created": 2, "failed": 2},
        "organizations": {"created": 2, "failed": 3, "incomplete": 2},
        "users": {"created": 2, "failed": 2},
        "categories": {"created": 1, "mapped": 1},
        "classifications": {"mapped": 1, "failed": 1},
        "map_projection_systems": {"mapped": 1},
        "regionals": {"mapped": 1},
        "credentials": {"created": 1},
        "map_sources": {"created": 2, "failed": 1},
        "mapsets": {"created": 62, "failed": 4, "incomplete": 1},
        "news": {"created": 1},
    }
    assert again["mapsets"] == {"unchanged": 62, "failed": 4, "incomplete": 1}
    assert again["files"] == {"unchanged": 2, "failed": 2}
    assert again["credentials"] == {"unchanged": 1}
    assert not any("created" in row or "skipped" in row for row in again.values()), again
    assert portal.sent_tokens_with_files == []
    check_reasons(program)
    check_rows(program)
    kept = json.dumps(program.rows("SELECT to_jsonb(a)::text FROM audit_log a"))
    report = (program.folder / "report.csv").read_text(encoding="utf-8")
    for secret in ("Lama-2019!", SECRET, *portal.tokens):
        assert secret not in kept
        assert secret not in report
    assert moves(program) == 1


def moves(program: Program) -> int:
    """How many moves the audit log tells of; what they made stands there, too."""
    return [one[0] for one in program.audit()].count("import_portal")


def check_reasons(program: Program) -> None:
    report = (program.folder / "report.csv").read_text(encoding="utf-8")
    told = {row["id"] or row["name"]: row for row in csv.DictReader(io.StringIO(report))}
    expected = {
        key(2): "no role of this name",
        key(10): "website:",
        key(11): "Another organization here has the same name",
        key(12): f"thumbnail: The file {key(102)} did not come",
        "13": "id:",
        key(21): "role_id: There is no role “opd”",
        key(22): "Another user here has the same username",
        key(51): "differs: is_secret",
        key(92): "url:",
        key(101): "not accepted",
        key(102): "broken",
        key(2001): "classification_id:",
        key(2002): "layer_url:",
        key(2003): "producer_id: There is no organization “Dinas Pekerjaan Umum”",
        key(2004): "name:",
        key(2005): "classification_id: There is no classification “Internal”",
    }
    for record_id, words_of_reason in expected.items():
        assert words_of_reason in told[record_id]["reason"], told[record_id]
    assert set(told[key(2002)]["reason"].split()) >= {"status_validation:", "coverage_area:"}


def check_rows(program: Program) -> None:
    mapsets = program.rows(
        "SELECT m.status_validation, m.created_at = '2021-03-04T05:06:07+07', m.updated_at ="
        " '2022-01-02T03:04:05+07', m.bounding_box::text, c.is_open, r.code, m.data_version,"
        " (SELECT count(*) FROM mapset_sources s WHERE s.mapset_id = m.id),"
        " (SELECT count(*) FROM mapset_histories h WHERE h.mapset_id = m.id),"
        " (SELECT count(*) FROM mapset_revisions v WHERE v.mapset_id = m.id)"
        " FROM mapsets m JOIN classifications c ON c.id = m.classification_id"
        " JOIN regionals r ON r.id = m.regional_id WHERE m.id = %s",
        [key(1000)],
    )
    assert mapsets == [
        ("approved", True, True, "(112,-6),(110,-8)", True, "35.78", "2019", 1, 1, 1)
    ]
    assert program.rows(
        "SELECT status_validation, layer_url FROM mapsets WHERE id = %s", [key(2002)]
    ) == [("on_verification", None)]
    people = "SELECT u.username, r.name, u.password_hash, u.profile_picture::text FROM users u"
    assert program.rows(f"{people} JOIN roles r ON r.id = u.role_id WHERE u.id >= %s AND u.id < %s",
                        [key(20), key(30)]) == [
        ("ani", "data_manager", None, None),
        ("ina", "data_manager", None, key(100)),
    ]  # fmt: skip
    (actors,) = program.rows(
        "SELECT c.created_by::text, u.username FROM credentials c JOIN users u ON"
        " u.id = c.updated_by WHERE c.id = %s",
        [key(80)],
    )
    assert actors == (key(20), "system")
    (html,) = program.rows("SELECT description FROM news WHERE id = %s", [key(110)])[0]
    assert html == f'<p>a<img src="{program.settings.base_url}/api/files/{key(103)}/download"></p>'


def test_new_users_get_links_or_a_first_password(program: Program) -> None:
    with serving(old_portal()) as base:
        said = program.inside(
            *words(base, "--only", "users", "--only", "organizations"),
            code=SOME_FAILED, SATUPETA_PASSWORD="Lama-2019!",
        ).stderr  # fmt: skip
        assert "1 users who came have no password" in said
        options = ("--only", "users", "--reset-links", "links.csv")
        move(program, base, *options)
        path = program.folder / "links.csv"
        (row,) = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (row["username"], row["email"]) == ("ani", "ani@lama.example.org")
        assert "/api/auth/password-reset/page#" in row["link"]
        assert program.rows("SELECT count(*) FROM password_resets") == [(1,)]
        refused = program.inside(*words(base, *options), code=WRONG_USE, SATUPETA_PASSWORD="x")
        assert "links.csv cannot be made: File exists" in refused.stderr
        program.rows("DELETE FROM password_resets")
        program.rows("DELETE FROM users WHERE username IN ('ani', 'ina')")
        first = program.folder / "first.txt"
        first.write_text("Sandi-Pertama-1!\n", encoding="utf-8")
        number = os.open(first, os.O_RDONLY)
        move(program, base, "--only", "users", "--initial-password-fd", str(number))
        os.close(number)
    assert program.rows("SELECT count(DISTINCT password_hash) FROM users WHERE username = 'ani'")


def test_what_is_no_portal_or_no_login_is_said_in_a_sentence(program: Program) -> None:
    def refusal(base: str, code: int, typed: str = "Lama-2019!") -> str:
        ended = program.inside(*words(base), code=code, SATUPETA_PASSWORD=typed)
        assert ended.stderr.startswith("satupeta: ")
        assert len(ended.stderr.splitlines()) == 1
        assert ended.stdout == ""
        return ended.stderr

    portal = old_portal()
    with serving(portal) as base:
        assert "refuses this username" in refusal(base, WRONG_USE, "salah")
        assert "no API of a portal" in refusal(f"{base}/antah", WRONG_USE)
        assert portal.asked.count("/antah/auth/login") == 0
    assert "does not answer" in refusal(base, UNAVAILABLE)
    for address in ("ftp://a.example", "https://a:b@c.example", "http://[", "file:///etc/passwd"):
        refusal(address, WRONG_USE)


def test_the_other_side_dies_in_the_middle_and_a_second_run_ends_it(program: Program) -> None:
    portal = old_portal()
    portal.before = lambda path: 502 if path == "/api/mapsets" else None
    with serving(portal) as base:
        ended = program.inside(
            *words(base), "--json", code=UNAVAILABLE, SATUPETA_PASSWORD="Lama-2019!"
        )
        assert counts(ended.stdout)["users"]["created"] == 2
        assert "answers 502" in ended.stderr
        portal.before = lambda _path: None
        came = move(program, base)
    assert came["users"] == {"unchanged": 2, "failed": 2}
    assert came["mapsets"]["created"] == 62
    assert moves(program) == 2


def test_a_killed_move_is_run_again_and_nothing_is_doubled(program: Program) -> None:
    portal = old_portal()
    reached, goes_on = threading.Event(), threading.Event()

    def hold(path: str) -> int | None:
        if path == "/api/mapsets" and portal.asked.count(path) > 1:
            reached.set()
            goes_on.wait(30)
        return None

    portal.before = hold
    with serving(portal) as base:
        process = subprocess.Popen(
            [*SATUPETA, *words(base)],
            cwd=program.folder,
            env={**program.environment, "SATUPETA_PASSWORD": "Lama-2019!"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert reached.wait(30)
        process.send_signal(signal.SIGKILL)
        process.wait()
        goes_on.set()
        assert program.rows("SELECT count(*) FROM mapsets WHERE name LIKE 'Peta %'") == [(50,)]
        came = move(program, base)
    assert came["mapsets"] == {"created": 12, "unchanged": 50, "failed": 4, "incomplete": 1}
    assert program.rows("SELECT count(*), count(DISTINCT mapset_id) FROM mapset_histories") == [
        (62, 62)
    ]
    assert moves(program) == 2


def test_a_list_that_lies_is_noticed_and_ends(program: Program) -> None:
    portal = old_portal()
    portal.items = {"categories": [{"id": key(40), "name": "A"}] * 60}
    with serving(portal) as base:
        came = move(program, base, "--only", "categories", "--report", "r.jsonl")
    assert came == {"categories": {"created": 1, "failed": 1}}
    assert "60 records as it says, and 1 came" in (program.folder / "r.jsonl").read_text()


def test_a_portal_may_know_no_order_and_ask_for_patience(program: Program) -> None:
    asked: list[float] = []

    def busy_once(path: str) -> int | None:
        asked.append(time.monotonic())
        return 429 if len(asked) == 4 else None

    portal = old_portal(knows_sort=False, before=busy_once)
    with serving(portal) as base:
        assert move(program, base, "--only", "map_projection_systems", code=DONE) == {
            "map_projection_systems": {"mapped": 1}
        }
    assert asked[4] - asked[3] >= 1


def test_a_file_is_not_fetched_from_where_only_we_can_go(program: Program) -> None:
    inner = OldPortal({})
    seen: list[str] = []
    inner.before = seen.append  # type: ignore[assignment]
    with serving(inner) as elsewhere:
        portal = old_portal()
        portal.redirects[f"/api/files/{key(100)}/download"] = f"{elsewhere}/api/files/x/download"
        with serving(portal) as base:
            came = move(program, base, "--only", "organizations", "--report", "told.jsonl")
    assert set(came["files"]) == {"failed"}
    assert "FETCH_ALLOWED_NETWORKS" in (program.folder / "told.jsonl").read_text()
    assert seen == []


@pytest.mark.settings(fetch_allowed_networks=["127.0.0.0/8"])
def test_a_token_goes_to_nobody_else(program: Program) -> None:
    thief = OldPortal({"categories": []})
    seen: list[str] = []
    with serving(thief) as elsewhere:
        portal = old_portal()
        portal.redirects["/api/categories"] = f"{elsewhere}/api/categories"
        portal.redirects[f"/api/files/{key(100)}/download"] = f"{elsewhere}/api/files/x/download"
        thief.before = seen.append  # type: ignore[assignment]
        thief.files["x"] = ("image/png", picture())
        with serving(portal) as base:
            said = program.inside(*words(base), code=WRONG_USE, SATUPETA_PASSWORD="x").stderr
            assert f"redirects to {elsewhere}; give that address" in said
            portal.redirects["/api/news"] = portal.redirects.pop("/api/categories")
            came = move(program, base, "--only", "news", "--only", "organizations")
    assert came["news"] == {"failed": 1}
    assert came["files"]["created"] == 1
    assert seen == ["/api/files/x/download"]
    assert thief.sent_tokens_with_files == []


def test_a_dry_run_writes_nothing_and_says_the_same(
    program: Program, settings: Settings, store: ObjectStore
) -> None:
    tables = ("organizations", "users", "files", "mapsets", "news", "credentials", "audit_log")
    counting = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in tables)
    before = program.rows(counting)
    with serving(old_portal()) as base:
        tried = move(program, base, "--dry-run", "--reset-links", "links.csv")
        assert program.rows(counting) == before
        assert not (program.folder / "links.csv").exists()
        assert move(program, base) == tried


ODD: tuple[Any, ...] = (
    [], {}, [None], {"id": None}, 5, -1.5, 10**30, True, "\0", "x" * 30_000, "\ud800", "0", "NaN",
    "2024-13-45", "2024-01-01T00:00:00+15:59", "0001-01-01T00:00:00", "00000000-0000-0000-0000-0",
    "01968B53-A910-7A67-BD10-975B8923B92E", ["a", 1, {}], {"name": []}, {"name": "x", "id": "y"},
)  # fmt: skip


@pytest.mark.long
def test_no_value_is_too_odd(program: Program) -> None:
    portal = old_portal(largest_page=1000)
    number = 10_000
    for resource, rows in portal.items.items():
        known = dict(rows[0])
        more: list[Any] = [None, [], 5]
        for name in {*known, "thumbnail", "bounding_box", "temporal_start", "epoch", "valid_from"}:
            for odd in ODD:
                number += 1
                fresh = {"id": key(number), "name": f"Aneh {number}"}
                if resource == "users":
                    fresh |= {"username": f"aneh{number}", "email": f"aneh{number}@example.org"}
                more.append({**known, **fresh, name: odd})
                portal.secrets[key(number)] = odd
        rows.extend(more)
    portal.items["histories"] = [
        {
            "id": key(90_000 + place * 100 + column),
            "mapset_id": key(1000),
            "notes": "a",
            "validation_type": "approved",
            "timestamp": DATES["created_at"],
            name: odd,
        }
        for place, odd in enumerate(ODD)
        for column, name in enumerate(
            ("mapset_id", "notes", "validation_type", "timestamp", "user")
        )
    ]
    with serving(portal) as base:
        first = move(program, base, "--report", "odd.jsonl")
        again = move(program, base)
    assert first["mapsets"]["created"] > 100
    for resource, row in again.items():
        assert "created" not in row, (resource, row)
        assert row.get("unchanged", 0) == first[resource].get("created", 0) + first[resource].get(
            "unchanged", 0
        ), resource


def test_what_is_secret_there_never_becomes_public_here(program: Program) -> None:
    portal = old_portal()
    (ours,) = program.rows("SELECT id::text FROM classifications WHERE is_open")[0]
    portal.items["classifications"] = [{"id": ours, "name": "Publik", "is_secret": True}]
    portal.items["mapsets"] = [mapset(1, classification={"id": ours, "name": "Publik"})]
    with serving(portal) as base:
        came = move(program, base)
        assert came["classifications"] == came["mapsets"] == {"failed": 1}
        del portal.items["classifications"]
        portal.items["mapsets"] = [mapset(1, classification={"id": key(51), "name": "Publik"})]
        assert move(program, base, "--only", "mapsets")["mapsets"] == {"failed": 1}


def test_this_very_system_is_unchanged(program: Program) -> None:
    with served(program.settings, program.folder) as base:
        ended = program(
            *("import", "portal", base, "--username", "administrator", "--password-fd", "0"),
            "--csv", code=DONE, typed=PASSWORD + "\n",
        )  # fmt: skip
    for row in csv.DictReader(io.StringIO(ended.stdout)):
        assert {name for name, n in row.items() if name != "resource" and int(n)} <= {"unchanged"}
    assert uuid.UUID(key(1)).version == 7
