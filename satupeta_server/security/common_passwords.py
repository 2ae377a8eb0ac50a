"""Passwords that are tried first: of a common word, or of the user's own names, with trimmings.

The list holds words, not passwords. What people do to a word so that a rule is kept (a capital, a
year, a symbol, letters that look like digits) is taken away from a password before it is looked
up, so one word stands for thousands: rahasia for Rahasia123!, R4hasia-2026# and RahasiaRahasia1!.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable
from importlib.resources import files

_LOOKS_LIKE = {"@": "a", "4": "a", "8": "b", "3": "e", "6": "g", "9": "g", "!": "i", "|": "i",
               "0": "o", "$": "s", "5": "s", "7": "t", "+": "t", "2": "z"}  # fmt: skip
_LETTERS = [str.maketrans({**_LOOKS_LIKE, "1": one}) for one in "il"]
_BEFORE, _AFTER = re.compile(r"^[\W\d_]+"), re.compile(r"[\W\d_]+$")
_BETWEEN = re.compile(r"[\W_]+")
_REPEATED = re.compile(r"(.+?)\1+")
_SHORTEST_OWN = 3
_LEAST_LETTERS = 4
"""So many letters besides the own names, or in a short password at all, are no mere trimming."""
_SHORT = 12


def is_common(password: str, own: Iterable[str] = ()) -> bool:
    """Tell whether a password is a common word, or one of the ``own`` names, with trimmings."""
    names = _parts(own)
    return any(
        word in _words() or _is_made_of(word, names) or _is_hardly_a_word(word, password)
        for word in _plain(password)
    )


def _plain(text: str) -> set[str]:
    """The words that a text may be made from."""
    folded = _folded(text)
    found = set()
    for begun in (folded, _BEFORE.sub("", folded)):
        # Some of what follows may still be letters in disguise: satupet4! is satupeta.
        for end in range(len(_AFTER.sub("", begun)), len(begun) + 1):
            found |= {_word(begun[:end].translate(letters)) for letters in _LETTERS}
    return found


def _word(text: str) -> str:
    word = _BETWEEN.sub("", text)
    repeated = _REPEATED.fullmatch(word)
    return repeated[1] if repeated else word


def _folded(text: str) -> str:
    """Without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in decomposed if not unicodedata.combining(one))


def _parts(own: Iterable[str]) -> set[str]:
    words = (word for name in own for word in _BETWEEN.split(_folded(name.partition("@")[0])))
    plain = {_AFTER.sub("", _BEFORE.sub("", word)) for word in words}
    return {word for word in plain if len(word) >= _SHORTEST_OWN}


def _is_made_of(word: str, names: set[str]) -> bool:
    by_length = sorted(names, key=len)
    # One name may be a part of two others that follow each other.
    rests = {_without(word, by_length), _without(word, by_length[::-1])}
    return any(rest != word and len(rest) < _LEAST_LETTERS for rest in rests)


def _without(word: str, names: list[str]) -> str:
    for name in names:
        word = word.replace(name, "")
    return word


def _is_hardly_a_word(word: str, password: str) -> bool:
    return len(set(word)) < _LEAST_LETTERS - 1 and len(password) <= _SHORT


@functools.cache
def _words() -> frozenset[str]:
    text = (files("satupeta_server") / "data" / "common-passwords.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for entry in line.split() for word in _plain(entry))
