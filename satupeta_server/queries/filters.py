"""The grammar of ``filter``.

An atom is ``field=value``; besides ``=`` there are ``!=``, ``<``, ``<=``, ``>``, ``>=`` and
``field in a,b,c``. Atoms arrive as repeated parameters, as a JSON list of atoms, or as a JSON
list in which a list of atoms is an alternative: the outer list means AND, the inner one OR.
Several parameters mean AND.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from satupeta_server.errors import InvalidError, invalid
from satupeta_server.statements import Slot

MOST_ATOMS = 100
_SHOWN_CHARACTERS = 60
_ATOM = re.compile(
    r"\s*(?P<field>\w+)\s*(?P<operator>!=|<=|>=|=|<|>|\bin\b)(?P<value>.*)", re.DOTALL
)


@dataclass(frozen=True)
class Atom:
    """One condition, not yet checked against any table."""

    field: str
    operator: str
    value: str | Slot


Alternatives = tuple[Atom, ...]
"""Atoms of which at least one must hold."""


def parse_filters(parameters: Iterable[str]) -> tuple[Alternatives, ...]:
    """Read all ``filter`` parameters of a request; every one of the results must hold.

    Raises InvalidError, on the field ``filter``, for anything that the grammar does not know.
    """
    groups: list[Alternatives] = []
    for parameter in parameters:
        text = parameter.strip()
        if text.startswith("["):
            groups.extend(_parse_list(text))
        elif text:
            groups.append((parse_atom(text),))
    if sum(len(group) for group in groups) > MOST_ATOMS:
        raise invalid("filter", "filter_too_many", limit=MOST_ATOMS)
    return tuple(groups)


def parse_atom(text: str) -> Atom:
    """Read one atom; it is split at its first operator."""
    match = _ATOM.fullmatch(text)
    if match is None:
        raise _malformed(text)
    return Atom(match["field"], match["operator"], match["value"].strip())


def _parse_list(text: str) -> Iterable[Alternatives]:
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _malformed(text) from None
    for entry in entries:
        alternatives = entry if isinstance(entry, list) else [entry]
        if not all(isinstance(atom, str) for atom in alternatives):
            raise _malformed(text)
        if alternatives:
            yield tuple(parse_atom(atom) for atom in alternatives)


def _malformed(text: str) -> InvalidError:
    return invalid("filter", "filter_malformed", atom=text[:_SHOWN_CHARACTERS])
