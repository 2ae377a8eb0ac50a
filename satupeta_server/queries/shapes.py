"""What requests that differ only in their values have in common."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

from satupeta_server.queries.filters import Alternatives, Atom
from satupeta_server.queries.listing import Listing, ListRequest, Narrowed, asks_for_none, value_of
from satupeta_server.queries.paging import most_rows
from satupeta_server.queries.words import Word
from satupeta_server.statements import Slot


class _Values(dict[Hashable, Any]):
    def slot(self, value: Any) -> Slot:
        """Keep a value under the next number."""
        slot = Slot(len(self))
        self[slot.name] = value
        return slot


def shaped(
    listing: Listing,
    request: ListRequest,
    words: Sequence[Word] | None = None,
    *,
    needed: int | None = None,
) -> tuple[ListRequest, dict[Hashable, Any]]:
    """Part a request into one that has slots for values, and the values by the slots' names.

    Of the page only the place that it begins after is part of it, and how many rows, of all that
    are ``needed``, are read at most. Raises InvalidError for a filter that the list does not know.
    """
    values = _Values()
    fixed = 1 if listing.ordering(request).tiers else 0
    after = None if request.after is None else _after(request.after, values, fixed=fixed)
    shape = replace(
        request,
        filters=tuple(_alternatives(listing, group, values) for group in request.filters),
        search="",
        limit=None if needed is None else most_rows(needed),
        offset=0,
        narrowed=tuple(_narrowed(one, values) for one in request.narrowed),
        words=tuple(_word(word, values) for word in (request.searched if words is None else words)),
        after=after,
    )
    return shape, values


def _alternatives(listing: Listing, group: Alternatives, values: _Values) -> Alternatives:
    return tuple(_atom(listing.column(atom), atom, values) for atom in group)


def _atom(column: Any, atom: Atom, values: _Values) -> Atom:
    if asks_for_none(atom):
        return atom
    value = value_of(column, atom)
    return replace(
        atom, value=values.slot(value if atom.operator == "in" else column.db_value(value))
    )


def _narrowed(narrowed: Narrowed, values: _Values) -> Narrowed:
    return replace(narrowed, values=tuple(map(values.slot, narrowed.values)))


def _word(word: Word, values: _Values) -> Word:
    return Word(
        values.slot(word.text),
        None if word.words is None else values.slot(word.words),
        None if word.name_words is None else values.slot(word.name_words),
        # Without any there is nothing that an index would have to be asked for.
        values.slot(word.producers) if word.producers else None,
        word.is_rare and not word.producers,
        word.is_rare_in_names,
        word.is_common_in_names,
        None if word.known is None else values.slot(word.known),
        word.is_walked,
    )


def _after(position: tuple[Any, ...], values: _Values, *, fixed: int) -> tuple[Any, ...]:
    # Which tiers are left, and which keys have a value, changes the statement itself.
    rest = [None if value is None else values.slot(value) for value in position[fixed:]]
    return (*position[:fixed], *rest)
