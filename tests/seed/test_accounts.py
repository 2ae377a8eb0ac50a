"""The first accounts and the file that tells their passwords."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from satupeta_server.database import Database
from satupeta_server.errors import StartError
from satupeta_server.models.base import now
from satupeta_server.models.organizations import Organization
from satupeta_server.models.users import User
from satupeta_server.security.passwords import broken_password_rule, check_password
from satupeta_server.seed import accounts
from satupeta_server.seed.accounts import make_accounts
from satupeta_server.seed.reference import seed_reference
from satupeta_server.seed.sample import load_sample
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

ROLES = {
    "administrator": "administrator",
    "walidata": "data_validator",
    "pengelola": "data_manager",
    "viewer": "data_viewer",
}


@pytest.fixture(autouse=True)
def _seeded(migrated_database: Database) -> None:
    seed_reference()


@pytest.fixture
def path(settings: Settings) -> Path:
    """The file of the accounts."""
    return settings.data_dir / "accounts.json"


def user_of(username: str) -> Any:
    """The user of a name, with role and organization."""
    return User.get(User.username == username)


def test_the_first_start_makes_one_user_per_role_and_a_private_file(
    settings: Settings, path: Path
) -> None:
    made = make_accounts(settings)
    assert json.loads(path.read_text()) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {account["username"]: account["role"] for account in made} == ROLES
    for account in made:
        user = user_of(account["username"])
        assert check_password(account["password"], user.password_hash, 4)
        assert broken_password_rule(account["password"]) is None
        assert len(account["password"]) >= 16
        assert user.organization_id_key is not None
        assert user.email == f"{account['username']}@example.org"
    assert [row.name for row in Organization.select()] == ["Dinas Komunikasi dan Informatika"]


def test_passwords_differ_between_users_and_installations(settings: Settings, path: Path) -> None:
    made = make_accounts(settings)
    path.unlink()
    User.delete().where(User.username.in_(list(ROLES))).execute()
    again = make_accounts(settings)
    assert len({account["password"] for account in made + again}) == 8


def test_the_file_is_private_from_its_first_byte(
    settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    replace = Path.replace

    def spy(self: Path, target: Path) -> Path:
        modes.append(stat.S_IMODE(self.stat().st_mode))
        assert not path.exists()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    before = os.umask(0)
    try:
        make_accounts(settings)
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert [entry.name for entry in settings.data_dir.iterdir()] == ["accounts.json"]


def test_a_draft_that_others_may_read_is_not_written_into(settings: Settings, path: Path) -> None:
    path.parent.mkdir(parents=True)
    draft = path.with_suffix(".new")
    draft.write_text("left behind")
    draft.chmod(0o644)
    make_accounts(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not draft.exists()


def test_a_crash_before_the_users_are_there_loses_no_password(
    settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(accounts, "_insert", crash)
        with pytest.raises(KeyboardInterrupt):
            make_accounts(settings)
    told = json.loads(path.read_text())
    assert User.select().where(User.username.in_(list(ROLES))).count() == 0
    assert make_accounts(settings) == told
    for account in told:
        assert check_password(account["password"], user_of(account["username"]).password_hash, 4)


def test_a_second_start_gives_the_same_and_changes_nobody(settings: Settings) -> None:
    made = make_accounts(settings)
    User.update(password_hash="changed", revision=2).where(User.username == "walidata").execute()
    before = list(User.select().order_by(User.id).dicts())
    assert make_accounts(settings) == made
    assert list(User.select().order_by(User.id).dicts()) == before


def test_a_deleted_user_does_not_come_back(settings: Settings) -> None:
    make_accounts(settings)
    User.update(deleted_at=now()).where(User.username == "viewer").execute()
    make_accounts(settings)
    assert User.select().where(User.username == "viewer", User.living()).count() == 0


def test_a_missing_user_gets_the_password_of_the_file(settings: Settings) -> None:
    made = {account["username"]: account["password"] for account in make_accounts(settings)}
    User.delete().where(User.username == "pengelola").execute()
    make_accounts(settings)
    assert check_password(made["pengelola"], user_of("pengelola").password_hash, 4)


def test_no_password_is_invented_for_users_who_are_there(settings: Settings, path: Path) -> None:
    make_accounts(settings)
    path.unlink()
    User.delete().where(User.username == "viewer").execute()
    assert make_accounts(settings) == []
    assert not path.exists()
    assert User.select().where(User.username == "viewer").count() == 0


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"username": "viewer"}]', '{"a": 1}', "7"])
def test_a_broken_file_stops_the_start_with_a_sentence(
    settings: Settings, path: Path, content: str
) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(StartError, match=r"accounts\.json cannot be read"):
        make_accounts(settings)
    assert path.read_text() == content


def test_an_unwritable_folder_stops_the_start_with_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StartError, match="cannot be written: No space left on device"):
        make_accounts(settings)
    assert User.select().where(User.username.in_(list(ROLES))).count() == 0


def test_the_accounts_belong_to_the_first_organization_of_the_sample(
    settings: Settings, store: ObjectStore
) -> None:
    load_sample(settings, store, count=1)
    make_accounts(settings)
    organization: Any = Organization.get(Organization.name == "Dinas Komunikasi dan Informatika")
    assert all(user_of(name).organization_id_key == organization.id for name in ROLES)
    assert Organization.select().count() == 30


def test_the_sample_comes_as_well_after_the_accounts(
    settings: Settings, store: ObjectStore
) -> None:
    make_accounts(settings)
    load_sample(settings, store, count=1)
    assert Organization.select().count() == 30
