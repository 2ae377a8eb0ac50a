"""Passwords: never cut, never in the clear, and no faster for users that do not exist."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satupeta_server.security.passwords import (
    LONGEST_BYTES,
    broken_password_rule,
    check_password,
    hash_password,
    in_thread,
)

ROUNDS = 4
GOOD = "Rahasia-2026!"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=18))
@settings(max_examples=30)
def test_a_password_matches_its_own_hash_only(password: str) -> None:
    password_hash = hash_password(password, ROUNDS)
    assert check_password(password, password_hash, ROUNDS)
    assert not check_password(f"{password}x", password_hash, ROUNDS)
    assert not check_password("", password_hash, ROUNDS) or not password


def test_a_hash_shows_nothing_and_is_never_the_same() -> None:
    first, second = hash_password(GOOD, ROUNDS), hash_password(GOOD, ROUNDS)
    assert first != second
    assert GOOD not in first
    assert first.startswith("$2b$04$")


@pytest.mark.parametrize("filler", ["x", "é", "😀"])
def test_over_72_bytes_is_refused_and_never_cut(filler: str) -> None:
    start = "Ab1!"
    longest = start + filler * ((LONGEST_BYTES - len(start)) // len(filler.encode()))
    assert len(longest.encode()) == LONGEST_BYTES
    assert broken_password_rule(longest) is None
    longer = longest + "x"
    problem = broken_password_rule(longer)
    assert problem is not None
    assert "72" in problem.text("id")
    assert "72" in problem.text("en")
    with pytest.raises(ValueError, match="72"):
        hash_password(longer, ROUNDS)
    assert not check_password(longer, hash_password(longest, ROUNDS), ROUNDS)


@pytest.mark.parametrize(
    ("password", "is_good"),
    [
        (GOOD, True),
        ("Sandi_1234", True),
        ("Ä1!aaaaa", True),
        ("Rahasia-2026".lower(), False),
        ("Rahasia2026", False),
        ("Rahasia-satu", False),
        ("Ab1!", False),
        ("", False),
        ("Spasi 2026", False),
    ],
)
def test_the_rule_is_that_of_the_portal(password: str, is_good: bool) -> None:
    assert (broken_password_rule(password) is None) == is_good


def test_nobody_has_a_password() -> None:
    assert not check_password("the password of nobody", None, ROUNDS)
    assert not check_password("", None, ROUNDS)
    assert not check_password("x" * 100, None, ROUNDS)


@pytest.mark.alone
def test_an_unknown_user_costs_as_much_as_a_wrong_password() -> None:
    rounds = 8
    password_hash = hash_password(GOOD, rounds)

    def seconds(known: str | None) -> float:
        begin = time.process_time()
        for _ in range(5):
            check_password("a wrong password", known, rounds)
        return time.process_time() - begin

    seconds(None)
    ratio = min(seconds(None) for _ in range(3)) / min(seconds(password_hash) for _ in range(3))
    assert 0.5 < ratio < 2


async def test_hashing_runs_beside_the_event_loop() -> None:
    assert await in_thread(check_password, GOOD, hash_password(GOOD, ROUNDS), ROUNDS)
