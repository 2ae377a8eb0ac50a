"""Both servers in their ordinary life: start, use, stop, start again."""

import contextlib
import io
import json
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from minio.error import S3Error
from psycopg2.extensions import parse_dsn

from satupeta_server.embedded import Addresses, EmbeddedServers, running_addresses
from satupeta_server.embedded.credentials import Credentials, credentials_path, load_credentials
from satupeta_server.embedded.files import LOG_LIMIT_BYTES
from satupeta_server.embedded.postgres import database_url

MakeServers = Callable[..., EmbeddedServers]


@pytest.fixture
def both(run: MakeServers) -> tuple[EmbeddedServers, Addresses]:
    servers = run()
    return servers, servers.start()


def test_a_row_and_an_object_are_there_after_a_second_start(
    run: MakeServers, tools: Any, data_dir: Path
) -> None:
    begin = time.monotonic()
    servers = run()
    addresses = servers.start()
    first_start = time.monotonic() - begin
    tools.query(addresses.database_url, "CREATE TABLE t AS SELECT 'peta' AS name")
    tools.store(addresses).make_bucket("files")
    tools.store(addresses).put_object("files", "key", io.BytesIO(b"isi"), 3)

    sockets = store_sockets(tools)
    assert sockets

    begin = time.monotonic()
    servers.stop()
    stop = time.monotonic() - begin
    servers.stop()
    assert_nothing_stays(data_dir, tools)
    assert [path for path in sockets if path.exists()] == []

    begin = time.monotonic()
    again = run().start()
    second_start = time.monotonic() - begin
    assert tools.query(again.database_url, "SELECT name FROM t") == [("peta",)]
    with tools.store(again).get_object("files", "key") as response:
        assert response.read() == b"isi"
    assert again == addresses
    assert first_start < 15
    assert second_start < 5
    assert stop < 8


def test_a_socket_that_a_killed_store_left_at_one_of_our_ports_goes_at_the_end(
    run: MakeServers, tools: Any
) -> None:
    servers = run(postgres=False)
    servers.start()
    stale = [
        Path("/", "tmp", f"seaweedfs-left-grpc-{port}.sock") for port in listening_ports(tools)
    ]
    assert stale
    owner = tools.children()[0].uids().real
    for path in stale:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        os.chown(path, owner, -1)

    servers.stop()

    assert [path for path in stale if path.exists()] == []


def listening_ports(tools: Any) -> set[int]:
    return {
        connection.laddr.port
        for child in tools.children()
        for connection in child.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def store_sockets(tools: Any) -> list[Path]:
    return [
        path
        for port in listening_ports(tools)
        for path in Path("/", "tmp").glob(f"seaweedfs-*-{port}.sock")
    ]


def assert_nothing_stays(data_dir: Path, tools: Any) -> None:
    assert not tools.children(recursive=True)
    assert not list((data_dir / "embedded" / "run").iterdir())
    assert running_addresses(data_dir) is None


def test_what_both_servers_let_in_and_show(
    both: tuple[EmbeddedServers, Addresses], tools: Any
) -> None:
    """One start serves many looks: each of the functions below says what must hold."""
    servers, addresses = both
    assert_only_loopback_listens(tools)
    assert_wrong_keys_are_refused(addresses, tools)
    assert_wrong_passwords_are_refused(addresses)
    assert_the_database_is_fit_to_keep_data(addresses, tools)
    assert_failed_statements_leave_no_values_in_the_log(addresses, tools, servers.data_dir)
    assert_no_secret_is_visible(servers.data_dir, tools)
    assert_files_are_private(servers.data_dir)
    assert_ctrl_c_does_not_reach_the_servers(tools)
    assert running_addresses(servers.data_dir) == addresses
    assert servers.check() is None


def assert_only_loopback_listens(tools: Any) -> None:
    listening = {
        (process.name(), connection.laddr.ip)
        for process in tools.children()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {name for name, _ in listening} == {"weed"}
    assert {address for _, address in listening} == {"127.0.0.1"}


def assert_wrong_keys_are_refused(addresses: Addresses, tools: Any) -> None:
    for change in (
        {"secret_key": "wrong"},
        {"access_key": "wrong"},
        {"access_key": None, "secret_key": None},
    ):
        with pytest.raises(S3Error) as caught:
            tools.store(addresses, **change).list_buckets()
        assert caught.value.response.status == 403


def assert_wrong_passwords_are_refused(addresses: Addresses) -> None:
    assert addresses.database_url is not None
    head, tail = addresses.database_url.split("@")
    scheme, _, _ = head.rpartition(":")
    for wrong in (f"{scheme}:wrong@{tail}", f"postgresql://postgres@{tail}"):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(wrong)


def assert_the_database_is_fit_to_keep_data(addresses: Addresses, tools: Any) -> None:
    wanted = {
        "fsync": "on",
        "data_checksums": "on",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "max_connections": "100",
        "is_superuser": "off",
    }
    for name, value in wanted.items():
        rows = tools.query(addresses.database_url, "SELECT current_setting(%s)", name)
        assert rows == [(value,)], name
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'satupeta'"
    assert tools.query(addresses.database_url, owner) == [("satupeta",)]
    assert tools.query(addresses.database_url, "SELECT lower('ÉÀ')") == [("éà",)]
    for extension in ("pg_trgm", "unaccent", "fuzzystrmatch", "btree_gin", "btree_gist", "citext"):
        tools.query(addresses.database_url, f"CREATE EXTENSION {extension}")


def assert_failed_statements_leave_no_values_in_the_log(
    addresses: Addresses, tools: Any, data_dir: Path
) -> None:
    tools.query(addresses.database_url, "CREATE TABLE people (name text PRIMARY KEY)")
    for _ in range(2):
        try:
            tools.query(addresses.database_url, "INSERT INTO people VALUES (%s)", "Rahasia Negara")
        except psycopg2.IntegrityError:
            break
    log = (data_dir / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "Rahasia" not in log


def assert_no_secret_is_visible(data_dir: Path, tools: Any) -> None:
    credentials = load_credentials(data_dir)
    assert credentials is not None
    arguments = ""
    for child in tools.children(recursive=True):
        # A backend may end while it is looked at.
        with contextlib.suppress(psutil.Error):
            arguments += " ".join(child.cmdline())
    assert "-s3.port" in arguments
    logs = "".join(log.read_text() for log in data_dir.glob("*.log"))
    assert len(list(data_dir.glob("*.log"))) == 2
    shown = arguments + logs + repr(credentials) + repr(running_addresses(data_dir))
    for secret in (
        credentials.database_password,
        credentials.database_superuser_password,
        credentials.object_store_secret_key,
    ):
        assert secret not in shown


def assert_files_are_private(data_dir: Path) -> None:
    private = [credentials_path(data_dir), *data_dir.glob("*.*")]
    assert len(private) >= 5
    for file in private:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for folder in ("secrets", "embedded/database", "embedded/object_store", "embedded/run"):
        assert stat.S_IMODE((data_dir / folder).stat().st_mode) == 0o700, folder
    assert not list(data_dir.glob("embedded/database/*password*"))


def assert_ctrl_c_does_not_reach_the_servers(tools: Any) -> None:
    for child in tools.children():
        assert os.getpgid(child.pid) != os.getpgid(0)
        assert os.getsid(child.pid) != os.getsid(0)


def test_two_folders_run_side_by_side(run: MakeServers, place: Path, tools: Any) -> None:
    one, two = run(place / "one").start(), run(place / "two").start()
    assert one.object_store_endpoint != two.object_store_endpoint
    tools.query(one.database_url, "CREATE TABLE only_in_one ()")
    assert tools.query(two.database_url, "SELECT to_regclass('only_in_one')") == [(None,)]
    tools.store(one).make_bucket("only-in-one")
    assert tools.store(two).list_buckets() == []


def test_other_ports_are_chosen_when_the_last_ones_are_taken(
    run: MakeServers, tools: Any, data_dir: Path
) -> None:
    servers = run(postgres=False)
    first = servers.start()
    tools.store(first).make_bucket("files")
    tools.store(first).put_object("files", "key", io.BytesIO(b"isi"), 3)
    servers.stop()
    ports = json.loads((data_dir / "embedded.json").read_text())["ports"]
    with socket.create_server(("127.0.0.1", ports["volume"])):
        second = run(postgres=False).start()
        assert second.object_store_endpoint != first.object_store_endpoint
        with tools.store(second).get_object("files", "key") as response:
            assert response.read() == b"isi"


@pytest.mark.parametrize(
    ("options", "running"),
    [
        ({"object_store": False}, {"postgres"}),
        ({"postgres": False}, {"weed"}),
        ({"postgres": False, "object_store": False}, set()),
    ],
)
def test_only_what_is_wanted_runs(
    run: MakeServers, tools: Any, options: dict[str, bool], running: set[str]
) -> None:
    addresses = run(**options).start()
    assert {child.name() for child in tools.children()} == running
    assert (addresses.database_url is not None) == ("postgres" in running)
    assert (addresses.object_store_endpoint is not None) == ("weed" in running)
    assert (addresses.object_store_secret_key is not None) == ("weed" in running)


@pytest.mark.parametrize("name", ["postgres", "weed"])
def test_check_tells_which_server_has_died(run: MakeServers, tools: Any, name: str) -> None:
    servers = run(postgres=name == "postgres", object_store=name == "weed")
    servers.start()
    assert servers.check() is None
    (child,) = tools.children()
    child.kill()
    psutil.wait_procs([child], timeout=5)
    sentence = servers.check()
    assert sentence is not None
    assert {"postgres": "PostgreSQL", "weed": "object store"}[name] in sentence
    assert sentence.endswith(".")


def test_any_path_will_do_and_no_temporary_folder_stays(
    run: MakeServers, place: Path, tools: Any
) -> None:
    name = "a name with spaces, commas, %20 ' and ü/" + "deep/" * 20
    servers = run(place / name)
    addresses = servers.start()
    assert tools.query(addresses.database_url, "SELECT 1") == [(1,)]
    assert tools.store(addresses).list_buckets() == []
    sockets = servers._sockets
    assert sockets is not None
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    servers.stop()
    assert sockets.name.startswith("satupeta-")
    assert not sockets.exists()


def test_a_short_path_is_quoted_in_the_address() -> None:
    credentials = Credentials("word", "", "", "")
    url = database_url(credentials, Path("/a b/%20@?&/ü"))
    assert parse_dsn(url)["host"] == "/a b/%20@?&/ü"


def test_a_forked_child_does_not_stop_the_servers_of_its_parent(
    run: MakeServers, tools: Any
) -> None:
    servers = run(object_store=False)
    addresses = servers.start()
    child = os.fork()
    if child == 0:
        servers.stop()
        os._exit(0)
    os.waitpid(child, 0)
    assert tools.query(addresses.database_url, "SELECT 1") == [(1,)]


def test_a_log_over_its_limit_is_set_aside_at_the_start(run: MakeServers, data_dir: Path) -> None:
    data_dir.mkdir(mode=0o711)
    with (data_dir / "postgres.log").open("wb") as log:
        log.truncate(LOG_LIMIT_BYTES + 1)
    run(object_store=False).start()
    assert (data_dir / "postgres.log").stat().st_size < LOG_LIMIT_BYTES
    assert (data_dir / "postgres.log.1").stat().st_size > LOG_LIMIT_BYTES


def test_a_start_says_what_it_does(data_dir: Path) -> None:
    said: list[str] = []
    with EmbeddedServers(data_dir, object_store=False, say=said.append):
        assert "Starting the embedded PostgreSQL" in said
    assert said[-1] == "Stopping the embedded PostgreSQL"
