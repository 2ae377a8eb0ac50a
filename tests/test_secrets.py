"""Secrets that development makes for itself, and files that only their owner reads."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from satupeta_server.errors import StartError
from satupeta_server.secrets_store import FILE_NAME, with_generated_secrets, write_private
from satupeta_server.security.encryption import Encryptor
from satupeta_server.security.tokens import Tokens
from satupeta_server.settings import Settings, load_settings

GIVEN = SecretStr("Zeu8Ohth-aeKie0ie-Xoo9Quai-Ahng6xie")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting from outside."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settings_in(folder: Path, **overrides: Any) -> Settings:
    return load_settings(None, data_dir=folder, **overrides)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_development_makes_its_secrets_and_keeps_them(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    first = with_generated_secrets(settings_in(folder))
    content = (folder / FILE_NAME).read_bytes()
    assert mode(folder / FILE_NAME) == 0o600
    assert with_generated_secrets(settings_in(folder)) == first
    assert (folder / FILE_NAME).read_bytes() == content
    other = with_generated_secrets(settings_in(tmp_path / "other"))
    assert other.secret_key != first.secret_key
    assert other.encryption_keys != first.encryption_keys


def test_what_is_made_is_good_enough_for_every_algorithm(tmp_path: Path) -> None:
    made = with_generated_secrets(settings_in(tmp_path))
    for algorithm in ("HS256", "HS384", "HS512"):
        again = settings_in(
            tmp_path,
            algorithm=algorithm,
            secret_key=made.secret_key,
            encryption_keys=made.encryption_keys,
        )
        Tokens(again)
    Encryptor(made.encryption_key_ring())


def test_a_secret_that_is_set_is_neither_replaced_nor_written(tmp_path: Path) -> None:
    settings = with_generated_secrets(settings_in(tmp_path, secret_key=GIVEN))
    assert settings.secret_key == GIVEN
    assert GIVEN.get_secret_value() not in (tmp_path / FILE_NAME).read_text(encoding="utf-8")
    assert list(json.loads((tmp_path / FILE_NAME).read_bytes())) == ["encryption_keys"]


def test_a_secret_that_came_later_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    before = with_generated_secrets(settings_in(tmp_path, secret_key=GIVEN))
    after = with_generated_secrets(settings_in(tmp_path))
    assert after.encryption_keys == before.encryption_keys
    assert after.secret_key not in (None, GIVEN)


def test_production_makes_no_secret(tmp_path: Path) -> None:
    production = settings_in(tmp_path / "var").model_copy(update={"environment": "production"})
    assert with_generated_secrets(production) == production
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"secret_key": 1}', "\udcff"])
def test_a_damaged_file_is_never_overwritten(tmp_path: Path, content: str) -> None:
    damaged = content.encode(errors="surrogateescape")
    (tmp_path / FILE_NAME).write_bytes(damaged)
    with pytest.raises(StartError, match=f"{FILE_NAME} cannot be read"):
        with_generated_secrets(settings_in(tmp_path))
    assert (tmp_path / FILE_NAME).read_bytes() == damaged


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file", encoding="utf-8")
    with pytest.raises(StartError) as error:
        with_generated_secrets(settings_in(tmp_path / "var"))
    assert str(tmp_path / "var") in str(error.value)
    assert str(error.value).endswith(".")


def test_a_private_file_is_private_whatever_the_umask_or_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o666)
    (tmp_path / "accounts.new").write_text("left behind", encoding="utf-8")
    (tmp_path / "accounts.new").chmod(0o666)
    before = os.umask(0)
    try:
        write_private(path, b"new")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["accounts.json"]


def test_a_private_file_does_not_follow_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("kept", encoding="utf-8")
    (tmp_path / "secrets.new").symlink_to(elsewhere)
    write_private(tmp_path / "secrets.json", b"secret")
    assert elsewhere.read_text(encoding="utf-8") == "kept"
    assert not (tmp_path / "secrets.json").is_symlink()


def test_a_reader_sees_a_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    contents = {b"a" * 100_000, b"b" * 200_000}
    write_private(path, b"a" * 100_000)
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        for content in sorted(contents):
            write_private(path, content)
    done.set()
    reader.join()
    assert seen <= contents
