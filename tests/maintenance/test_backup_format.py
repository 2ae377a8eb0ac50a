"""A backup that was cut or altered anywhere is found out, without any server."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from satupeta_server.errors import InputError
from satupeta_server.maintenance.backup_format import (
    FORMAT,
    MANIFEST,
    BackupFile,
    BackupWriter,
    FailedError,
    Manifest,
    Summary,
    opened,
)
from satupeta_server.maintenance.backup_output import Pipe, replacing

MANIFEST_OF_ONE = Manifest("0.1.0", "2026-01-31T00:00:00+00:00", "18", [], {}, {}, [], True)
CONTENT = os.urandom(700)


def made(manifest: Manifest = MANIFEST_OF_ONE) -> bytes:
    """A small backup, whole."""
    output = io.BytesIO()
    writer = BackupWriter(output, 1_760_000_000)
    writer.add_json(MANIFEST, manifest)
    writer.add_bytes("objects/gambar/é.png", CONTENT)
    writer.add_json("summary.json", Summary())
    writer.finish()
    writer.close()
    return output.getvalue()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "one.satupeta.tar"
        path.write_bytes(content)
        return path

    return write


def verify(path: Path) -> None:
    with path.open("rb") as file:
        BackupFile(file, path.name).verify(lambda _: None)


def test_a_whole_one_is_whole_and_any_tar_reads_it(write: Callable[[bytes], Path]) -> None:
    path = write(made())
    verify(path)
    with tarfile.open(path) as archive:
        assert archive.getnames() == [
            MANIFEST, "objects/gambar/é.png", "summary.json", "checksums.sha256", "seal.sha256",
        ]  # fmt: skip
        content = archive.extractfile("objects/gambar/é.png")
        assert content is not None
        assert content.read() == CONTENT
    with opened(path, None) as backup:
        assert backup.manifest == MANIFEST_OF_ONE
        assert len(list(backup.members())) == 5


def test_any_byte_that_is_changed_is_found(write: Callable[[bytes], Path]) -> None:
    content = made()
    path = write(content)
    with path.open("r+b", buffering=0) as file:
        for position in range(len(content)):
            os.pwrite(file.fileno(), bytes([content[position] ^ 0x10]), position)
            with pytest.raises(InputError):
                BackupFile(file, path.name).verify(lambda _: None)
            os.pwrite(file.fileno(), content[position : position + 1], position)
        BackupFile(file, path.name).verify(lambda _: None)


def test_any_cut_is_found(write: Callable[[bytes], Path]) -> None:
    content = made()
    for size in (0, 1, 511, 512, *range(600, len(content), 97), *range(len(content) - 4, 0, -512)):
        with pytest.raises(InputError):
            verify(write(content[:size]))


def test_what_was_added_or_put_together_is_found(write: Callable[[bytes], Path]) -> None:
    content = made()
    for other in (content + b"x", content + bytes(512), content + content, b"\0" + content):
        with pytest.raises(InputError):
            verify(write(other))


def test_the_damaged_part_is_named(write: Callable[[bytes], Path]) -> None:
    content = made()
    place = content.index(CONTENT)
    with pytest.raises(FailedError, match=r"in objects/gambar/é\.png"):
        verify(write(content[:place] + b"\0\1" + content[place + 2 :]))


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"name,code\n", bytes(4096), os.urandom(9000), b"\x1f\x8b\x08" + bytes(600)],
    ids=["empty", "letter", "table", "zeros", "noise", "gzip"],
)
def test_what_is_no_backup_is_said_to_be_none(
    write: Callable[[bytes], Path], content: bytes
) -> None:
    with pytest.raises(InputError, match=r"is no backup that satupeta db backup made"):
        verify(write(content))


def test_a_tar_of_another_program_is_no_backup(tmp_path: Path) -> None:
    for name, text in (("letter.txt", "x"), (MANIFEST, "x"), (MANIFEST, "[]"), (MANIFEST, "{}")):
        path = tmp_path / "other.tar"
        with tarfile.open(path, "w") as archive:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
        with pytest.raises(InputError, match=r"is no backup"):
            verify(path)


def test_a_newer_form_is_said_to_be_one(write: Callable[[bytes], Path]) -> None:
    newer = Manifest(**{**vars(MANIFEST_OF_ONE), "version": "9.1", "format": FORMAT + 1})
    with pytest.raises(InputError, match=r"made by Satu Peta 9\.1"):
        verify(write(made(newer)))


def test_what_comes_through_a_pipe_is_read_as_well(tmp_path: Path) -> None:
    with opened(None, io.BytesIO(made())) as backup:
        backup.verify(lambda _: None)
        assert backup.name == "Standard input"


# --- Where it is written --------------------------------------------------------------------------


def test_a_file_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.satupeta.tar"
    path.write_bytes(b"the older one")
    with replacing(path) as file:
        file.write(b"the newer one")
        assert path.read_bytes() == b"the older one"
    assert path.read_bytes() == b"the newer one"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "one.satupeta.tar"
    with pytest.raises((KeyboardInterrupt, FailedError)), replacing(path):  # noqa: PT012
        (tmp_path / f".{path.name}.part").write_bytes(b"half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_one_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".one.part").write_bytes(b"left behind, and longer than what comes")
    with replacing(tmp_path / "one") as file:
        file.write(b"new")
    assert (tmp_path / "one").read_bytes() == b"new"


def test_two_do_not_write_the_same_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "one") as file:
        file.write(b"first")
        with pytest.raises(InputError, match="Another process"), replacing(tmp_path / "one"):
            raise AssertionError
    assert (tmp_path / "one").read_bytes() == b"first"


def test_names_that_cannot_be_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    long = tmp_path / ("x" * 300)
    for path in (Path("/dev/null"), tmp_path / "no" / "x", tmp_path / "file" / "x", long):
        with pytest.raises(InputError) as refused, replacing(path):
            raise AssertionError
        assert not isinstance(refused.value, FailedError)
    (tmp_path / ".linked.part").symlink_to(tmp_path / "file")
    with pytest.raises(InputError), replacing(tmp_path / "linked"):
        raise AssertionError


def test_a_pipe_takes_all_or_raises() -> None:
    reader, writer = os.pipe()
    assert Pipe(writer).write(b"all") == 3
    assert os.read(reader, 10) == b"all"
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        Pipe(writer).write(b"none")
    os.close(writer)


def test_a_manifest_is_plain_to_read(write: Callable[[bytes], Path]) -> None:
    with tarfile.open(write(made())) as archive:
        content = archive.extractfile(MANIFEST)
        assert content is not None
        assert json.load(content)["postgresql"] == "18"
