"""Passwords: their rule, their hash, and checking one at the same cost for unknown users."""

import asyncio
import functools
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from satupeta_server.messages import Message
from satupeta_server.security.common_passwords import is_common

Result = TypeVar("Result")

LONGEST_BYTES = 72
"""bcrypt reads no further, so a longer password is refused instead of cut."""

_threads = ThreadPoolExecutor(2, thread_name_prefix="passwords")


def broken_password_rule(password: str, own: Iterable[str] = ()) -> Message | None:
    """Say what is wrong with a new password, or None.

    The rule is the portal's own: 8 characters or more, among them an upper-case letter, a digit
    and a symbol; and at most 72 bytes. Nor may it be a common word, or one of the user's ``own``
    names, with trimmings.
    """
    if len(password.encode()) > LONGEST_BYTES:
        return Message("password_too_long")
    complete = (
        len(password) >= 8
        and any(character.isupper() for character in password)
        and any(character.isdigit() for character in password)
        and re.search(r"[^\w\s]|_", password)
    )
    if not complete:
        return Message("password_too_weak")
    return Message("password_too_common") if is_common(password, own) else None


def hash_password(password: str, rounds: int) -> str:
    """Hash a password with bcrypt at the given cost."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def check_password(password: str, password_hash: str | None, rounds: int) -> bool:
    """Compare a password with a hash; without a hash it costs the same and is False."""
    encoded = password.encode()
    reference = password_hash or _hash_of_nobody(rounds)
    matches = bcrypt.checkpw(encoded[:LONGEST_BYTES], reference.encode())
    return matches and password_hash is not None and len(encoded) <= LONGEST_BYTES


async def in_thread(work: Callable[..., Result], *arguments: object) -> Result:
    """Run the hashing, which takes a quarter of a second, beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)


@functools.cache
def _hash_of_nobody(rounds: int) -> str:
    return hash_password("the password of nobody", rounds)
