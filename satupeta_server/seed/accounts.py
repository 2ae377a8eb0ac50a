"""The first accounts: one user of each role, with passwords that only a file of 0600 tells."""

import secrets
import string
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from satupeta_server.errors import StartError
from satupeta_server.models.base import now
from satupeta_server.models.organizations import Organization
from satupeta_server.models.roles import Role
from satupeta_server.models.users import User
from satupeta_server.secrets_store import write_private
from satupeta_server.security.passwords import broken_password_rule, hash_password
from satupeta_server.seed.writing import exclusive
from satupeta_server.settings import Settings

Account = dict[str, str]

FILE_NAME = "accounts.json"

ACCOUNTS = {
    "administrator": ("administrator", "Administrator"),
    "walidata": ("data_validator", "Walidata"),
    "pengelola": ("data_manager", "Pengelola Data"),
    "viewer": ("data_viewer", "Viewer"),
}
"""Role and name by username."""

_ORGANIZATION = "Dinas Komunikasi dan Informatika"
_ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI"))) + "-_.+="
_LENGTH = 20


def make_accounts(settings: Settings) -> list[Account]:
    """Make the first accounts, or read those of an earlier start.

    The file is whole on the disk before any user exists, so a crash loses no password; users
    that are missing get the passwords of the file. A user who is there, changed or deleted, is
    left alone. Users without a file are nobody's to give out: the list is then empty.

    Raises StartError when the file cannot be read or written.
    """
    path = settings.data_dir / FILE_NAME
    with exclusive():
        taken = _taken_usernames()
        accounts = _read(path) if path.exists() else _invent(path, taken)
        missing = [account for account in accounts if account["username"] not in taken]
        if missing:
            _insert(missing, settings.bcrypt_rounds)
    return accounts


def _taken_usernames() -> set[str]:
    users: Any = User
    found = users.select(users.username).where(users.username.in_(list(ACCOUNTS))).tuples()
    return {username for (username,) in found}


def _read(path: Path) -> list[Account]:
    try:
        accounts = orjson.loads(path.read_bytes())
        known = [
            {"username": each["username"], "password": each["password"], "role": each["role"]}
            for each in accounts
            if each["username"] in ACCOUNTS
        ]
    except (OSError, ValueError, TypeError, KeyError):
        raise StartError(
            f"{path} cannot be read as a list of accounts; restore it, or remove it."
        ) from None
    return known


def _invent(path: Path, taken: set[str]) -> list[Account]:
    if taken:
        return []
    accounts = [
        {"username": username, "password": _password(), "role": role}
        for username, (role, _) in ACCOUNTS.items()
    ]
    write_private(path, orjson.dumps(accounts, option=orjson.OPT_INDENT_2) + b"\n")
    return accounts


def _password() -> str:
    """Draw a password that keeps the portal's rule and has no letters that look alike."""
    while True:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        if broken_password_rule(password) is None:
            return password


def _insert(accounts: Sequence[Account], rounds: int) -> None:
    roles = {role.name: role.id for role in Role.select()}
    organization_id = _organization_id()
    passwords = [account["password"] for account in accounts]
    # bcrypt lets go of the interpreter's lock: four at once take the time of two or fewer.
    with ThreadPoolExecutor(len(passwords)) as threads:
        hashes = list(threads.map(lambda password: hash_password(password, rounds), passwords))
    for account, password_hash in zip(accounts, hashes, strict=True):
        role, name = ACCOUNTS[account["username"]]
        User.insert(
            username=account["username"],
            name=name,
            email=f"{account['username']}@example.org",
            password_hash=password_hash,
            password_changed_at=now(),
            role_id=roles[role],
            organization_id=organization_id,
        ).execute()


def _organization_id() -> Any:
    """Find the organization of the accounts, or any living one, or make it."""
    organizations: Any = Organization
    living = organizations.select(organizations.id).where(organizations.living())
    found = (
        living.where(organizations.name == _ORGANIZATION).first()
        or living.order_by(organizations.created_at, organizations.id).first()
    )
    return found.id if found else Organization.create(name=_ORGANIZATION).id
