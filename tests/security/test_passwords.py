"""Passwords: never cut, never in the clear, and no faster for users that do not exist."""

import secrets
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satupeta_server.messages import Message
from satupeta_server.security.common_passwords import is_common
from satupeta_server.security.passwords import (
    LONGEST_BYTES,
    broken_password_rule,
    check_password,
    hash_password,
    in_thread,
)

ROUNDS = 4
GOOD = "Sawah-Hijau-2026!"


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
        ("Gamelan_1234", True),
        ("Ä1!ekologi", True),
        (GOOD.lower(), False),
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


@pytest.mark.parametrize(
    "password",
    [
        "Indonesia2024!", "Jakarta123!", "Satupeta1!", "Rahasia123!", "P@ssw0rd1", "Pa55w0rd#",
        "Qwerty123!", "R4h4s1a-2026!", "RahasiaRahasia1!", "1Q2w3e4r!", "123Jakarta!", "Adm1n@2026",
        "Adm1n1str@t0r!", "Bupati_2024", "ＲAHASIA123!", "Ráhasia123!", "J.a.k.a.r.t.a.1",
        "A1234567!", "Aaaaaaa1!", "Walidata#1", "S4tuPet4!!!!!1",
    ],
)  # fmt: skip
def test_a_common_word_stays_one_whatever_is_done_to_it(password: str) -> None:
    problem = broken_password_rule(password)
    assert problem == Message("password_too_common")
    assert "ditebak" in problem.text("id")
    assert "guessed" in problem.text("en")


@pytest.mark.parametrize(
    ("password", "is_good"),
    [
        ("Ratnawulan2026!", False),
        ("Ratna-Wulandari-1", False),
        ("R4tna.Wulandar1#9", False),
        ("RWulandari77!", False),
        ("Wulandari-Kebun-7!", True),
        ("Kebun-Teh-77!", True),
    ],
)
def test_the_own_names_make_no_password(password: str, is_good: bool) -> None:
    names = ["Ratna Wulandari", "ratnawulan", "r.wulandari@example.org"]
    assert (broken_password_rule(password, names) is None) == is_good


@given(st.text(max_size=30), st.lists(st.text(max_size=10), max_size=3))
def test_any_text_can_be_judged(password: str, own: list[str]) -> None:
    is_common(password, own)


def test_random_passwords_are_never_common() -> None:
    alphabet = string.ascii_letters + string.digits + "-_.+="
    drawn = ["".join(secrets.choice(alphabet) for _ in range(16)) for _ in range(2000)]
    assert not [one for one in drawn if is_common(one, ["Administrator", "admin@example.org"])]
