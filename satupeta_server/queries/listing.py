"""What a list can be filtered, sorted and searched by, and the query that does it."""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import peewee
from peewee import SQL, NodeList, fn

from satupeta_server.errors import InvalidError, invalid
from satupeta_server.messages import Message
from satupeta_server.queries.cursors import read_cursor
from satupeta_server.queries.facets import Facet
from satupeta_server.queries.filters import Alternatives, Atom, parse_filters
from satupeta_server.queries.ordering import Key, Ordering, Tier
from satupeta_server.queries.values import (
    ValueProblem,
    is_storable,
    parse_boolean,
    parse_date,
    parse_datetime,
    parse_decimal,
    parse_integer,
    parse_text,
    parse_uuid,
    parser_of,
)
from satupeta_server.queries.words import Word
from satupeta_server.statements import Slot, parameter

LONGEST_SEARCH = 255
LARGEST_OFFSET = 10**18
MOST_VALUES = 100
MOST_SEARCHED = 30
"""Words of a search."""
MOST_FACETED = 30
"""Filters and words beside facets: each facet's statement holds nearly all of them once more."""
_LARGE = 10
_FAR = 5000

Expression = Callable[[Any], Any]


@dataclass(frozen=True)
class ListRequest:
    """The parameters of one list, read but not yet checked against a table."""

    filters: tuple[Alternatives, ...] = ()
    sort: str | None = None
    search: str = ""
    limit: int | None = None
    offset: int = 0
    narrowed: tuple["Narrowed", ...] = ()
    """What the list's own parameters ask for; all of it must hold."""
    words: tuple[Word, ...] | None = None
    """The words of the search, where more is known of them than the search tells."""
    after: tuple[Any, ...] | None = None
    """The place in the list's order after which the page begins."""
    facets: tuple[str, ...] = ()

    @property
    def searched(self) -> tuple[Word, ...]:
        """The words that all must stand in a row."""
        if self.words is not None:
            return self.words
        return tuple(map(Word, dict.fromkeys(self.search.split())))

    @property
    def size(self) -> int:
        """The number of filters, alternatives too, and of words."""
        return sum(map(len, self.filters)) + len(self.searched)

    @property
    def is_large(self) -> bool:
        """Whether so much is asked that hardly anybody asks in the same way again."""
        return self.size > _LARGE

    @property
    def is_far(self) -> bool:
        """Whether so many rows come before the page that they must not be read themselves."""
        return self.limit is not None and self.limit > _FAR

    @property
    def is_walked(self) -> bool:
        """Whether the rows of a search are looked for among the first ones, at first."""
        words = self.searched
        return all(word.is_walked for word in words) and any(word.known for word in words)

    @property
    def number_of_fields(self) -> int:
        """The number of fields that are filtered by."""
        return len({atom.field for alternatives in self.filters for atom in alternatives})

    @property
    def compares(self) -> bool:
        """Whether a filter is anything but an equality: it may find all rows or none."""
        return any(atom.operator != "=" for alternatives in self.filters for atom in alternatives)

    def is_rare(self, tier: Tier) -> bool:
        """Tell whether few rows are known to be in a tier of the search."""
        if tier.implies_search:
            return any(word.is_rare_in_names for word in self.searched)
        return any(word.is_rare for word in self.searched)

    @property
    def filtered_fields(self) -> set[str]:
        """The fields that are filtered by, where no other stands in the same alternatives."""
        fields = [{atom.field for atom in alternatives} for alternatives in self.filters]
        return {name for names in fields if len(names) == 1 for name in names}


@dataclass(frozen=True)
class Narrowed:
    """What one of the list's own parameters asks for."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Narrowing:
    """A parameter of its own by which a list can be narrowed, and what the document says of it.

    ``read`` makes the values of a condition and raises ValueProblem where a text has no meaning;
    ``condition`` makes the condition of a source and those values, or slots for them.
    """

    read: Callable[[str], tuple[Any, ...]]
    condition: Callable[[Any, Sequence[Any]], Any]
    schema: Mapping[str, Any]
    example: str
    description: str
    few: int
    """Rows up to which all that are found are ordered, rather than walked in their order."""


def parse_list_request(parameters: Mapping[str, Sequence[str]]) -> ListRequest:
    """Read ``filter``, ``sort``, ``search``, ``limit`` and ``offset``.

    Of a parameter that is given several times the last counts, except ``filter``. Raises
    InvalidError that names the parameter.
    """

    def last(name: str) -> str:
        return _last(parameters, name)

    search = last("search")
    if len(search) > LONGEST_SEARCH:
        raise invalid("search", "search_too_long", limit=LONGEST_SEARCH)
    if not is_storable(search):
        raise invalid("search", "not_text_safe")
    check_number_of_words(len(set(search.split())))
    limit = last("limit")
    return ListRequest(
        filters=parse_filters(parameters.get("filter", ())),
        sort=last("sort") or None,
        search=search,
        limit=_whole_number("limit", limit) if limit else None,
        offset=_whole_number("offset", last("offset") or "0"),
    )


def check_number_of_words(number: int) -> None:
    """Raise InvalidError where a search has more words than it may."""
    if number > MOST_SEARCHED:
        raise invalid("search", "search_too_many", limit=MOST_SEARCHED)


def _last(parameters: Mapping[str, Sequence[str]], name: str) -> str:
    return (parameters.get(name) or [""])[-1].strip()


def _whole_number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise invalid(name, "must_be_integer")
    number = int(text[:20])
    if number > LARGEST_OFFSET or len(text) > 19:
        raise invalid(name, "too_big", limit=LARGEST_OFFSET)
    return number


@dataclass(frozen=True)
class Listing:
    """How the list of one resource can be asked for.

    ``filters`` and ``sorts`` name columns. What is searched is the table's ``search_text``.
    """

    model: Any
    filters: tuple[str, ...]
    sorts: tuple[str, ...]
    default_sort: str = "name:asc"
    is_capped: bool = False
    extra_sorts: Mapping[str, Expression] = field(default_factory=dict)
    has_names: bool = True
    """Whether a search without a sort puts first what has the words in its name."""
    is_searchable: bool = True
    """Whether the table has a ``search_text``; without one a search is ignored."""
    public: Mapping[str, object] = field(default_factory=dict)
    """What all that the public sees has in common: fields and values."""
    narrowings: Mapping[str, Narrowing] = field(default_factory=dict)
    """By the names of the parameters."""
    facets: Mapping[str, Facet] = field(default_factory=dict)
    """By the names that clients ask for them by."""
    has_cursor: bool = False
    """Whether its pages can be walked by a cursor; it is capped, then."""

    def read(self, parameters: Mapping[str, Sequence[str]]) -> ListRequest:
        """Read what every list knows and what only this one does.

        Raises InvalidError that names the parameter.
        """
        request = parse_list_request(parameters)
        if not self.is_searchable:
            request = replace(request, search="")
        narrowed = tuple(
            _narrowed(name, narrowing, text)
            for name, narrowing in self.narrowings.items()
            if (text := _last(parameters, name))
        )
        facets = self._facets(_last(parameters, "facets"))
        request = replace(request, narrowed=narrowed, facets=facets)
        if facets and request.size > MOST_FACETED:
            raise invalid("facets", "facets_too_many", limit=MOST_FACETED)
        cursor = _last(parameters, "cursor")
        if not self.has_cursor or not cursor:
            return request
        if _last(parameters, "offset"):
            raise invalid("offset", "offset_with_cursor")
        try:
            return replace(request, after=read_cursor(self.ordering(request), cursor))
        except ValueProblem as problem:
            raise InvalidError(errors={"cursor": [problem.message]}) from None

    def _facets(self, text: str) -> tuple[str, ...]:
        names = [name for part in text.split(",") if (name := part.strip())] if self.facets else []
        for name in names:
            if name not in self.facets:
                known = ", ".join(self.facets)
                raise invalid("facets", "facet_unknown", facet=name[:60], known=known)
        return tuple(dict.fromkeys(names))

    def for_public(self, request: ListRequest) -> ListRequest:
        """Leave out the filters that leave out nothing of what the public sees.

        Raises InvalidError for a filter that the list does not know.
        """
        filters = tuple(group for group in request.filters if not self._is_public(group))
        return replace(request, filters=filters)

    def _is_public(self, group: Alternatives) -> bool:
        columns = [self.column(atom) for atom in group]
        values = [
            None if asks_for_none(atom) else value_of(column, atom)
            for column, atom in zip(columns, group, strict=True)
        ]
        return any(
            atom.operator == "=" and atom.field in self.public and self.public[atom.field] == value
            for atom, value in zip(group, values, strict=True)
        )

    def condition(self, source: Any, request: ListRequest, *, without: str = "") -> Any:
        """All that a request narrows the list by, as one condition.

        ``without`` is a field whose filters are left out, where no other field stands beside
        it in the same alternatives.
        """
        condition = peewee.SQL("true")
        for alternatives in request.filters:
            if all(atom.field == without for atom in alternatives):
                continue
            condition &= any_of([self._atom(source, atom) for atom in alternatives])
        for word in request.searched:
            condition &= word.condition(source)
        for narrowed in request.narrowed:
            condition &= self.narrowings[narrowed.name].condition(source, narrowed.values)
        return condition

    def order(self, source: Any, request: ListRequest) -> list[Any]:
        """The order of a request, as a statement takes it."""
        return self.ordering(request).clauses(source)

    def ordering(self, request: ListRequest) -> Ordering:
        """The order of a request; one that is not known falls back to the default.

        The default of a search is by relevance: where the name has all the words, then where
        it has some of them, then the rest; each as without a search.
        """
        known = self._ordering(request.sort or "")
        if known is not None:
            return known
        default, words = self._default_ordering(), request.searched
        if not words or not self.has_names:
            return default
        tiers = _relevance(words, is_descending=default.is_descending)
        keys = (Key(_tier_of(tiers), _parse_tier), *default.keys)
        name = f"relevance:{' '.join(request.search.split())}"
        return Ordering(name, keys, default.is_descending, tiers)

    def limit(self, request: ListRequest, list_limit: int) -> int | None:
        """How many rows at most; None is all of them."""
        if self.is_capped:
            return min(request.limit if request.limit is not None else list_limit, list_limit)
        return request.limit

    def _default_ordering(self) -> Ordering:
        ordering = self._ordering(self.default_sort)
        if ordering is None:
            raise ValueError(self.default_sort)
        return ordering

    def _ordering(self, sort: str) -> Ordering | None:
        name, _, direction = sort.partition(":")
        key = self._key(name)
        if key is None or direction not in ("asc", "desc", ""):
            return None
        return Ordering(f"{name}:{direction or 'asc'}", (key,), direction == "desc")

    def _key(self, name: str) -> Key | None:
        if name in self.extra_sorts:
            return Key(self.extra_sorts[name], parse_text, is_nullable=True)
        if name not in self.sorts:
            return None
        column = self.model._meta.fields[name]

        def expression(source: Any) -> Any:
            value = getattr(source, name)
            # What is chosen is spelled in one way, and an index serves to choose and to sort by.
            is_free = isinstance(column, peewee.TextField) and not column.choices
            return fn.lower(value) if is_free else value

        return Key(expression, parser_of(column), column.null)

    def _atom(self, source: Any, atom: Atom) -> Any:
        column = self.column(atom)
        return _compare(getattr(source, atom.field), column, atom)

    def column(self, atom: Atom) -> Any:
        """The column that an atom names; raises InvalidError for one that is no filter."""
        if atom.field not in self.filters:
            known = ", ".join(self.filters)
            raise invalid("filter", "filter_unknown_field", field=atom.field[:60], known=known)
        return self.model._meta.fields[atom.field]


def _narrowed(name: str, narrowing: Narrowing, text: str) -> Narrowed:
    try:
        return Narrowed(name, narrowing.read(text))
    except ValueProblem as problem:
        raise InvalidError(errors={name: [problem.message]}) from None


def _parse_tier(text: str) -> int:
    """Read a tier; whoever asks may have more words than are known before they are looked up."""
    if text not in _TIERS:
        raise ValueProblem("must_be_cursor")
    return int(text)


def _relevance(words: Sequence[Word], *, is_descending: bool) -> tuple[Tier, ...]:
    """By how many words stand in the name: all, some, none."""

    def every(source: Any) -> Any:
        return all_of([word.in_name(source) for word in words])

    # An index reads all rows of each word that may stand there without the others.
    by_index = not any(word.is_common_in_names for word in words)

    def some(source: Any) -> Any:
        held, missed = (
            [word.in_name(source, by_index=by_index) for word in words],
            [word.not_in_name(source) for word in words],
        )
        return any_of(held) & any_of(missed)

    def none_of_them(source: Any) -> Any:
        return all_of([word.not_in_name(source) for word in words])

    whole, part, none = (2, 1, 0) if is_descending else (0, 1, 2)
    tiers = [Tier(whole, every, implies_search=True)]
    if len(words) > 1:
        tiers.append(Tier(part, some))
    return (*tiers, Tier(none, none_of_them))


def _tier_of(tiers: Sequence[Tier]) -> Expression:
    *others, last = tiers

    def expression(source: Any) -> Any:
        return peewee.Case(
            None, [(tier.condition(source), tier.value) for tier in others], last.value
        )

    return expression


def all_of(conditions: Sequence[Any]) -> Any:
    """Join conditions, of which there is at least one, so that all of them must hold."""
    return functools.reduce(operator.and_, conditions)


def any_of(conditions: Sequence[Any]) -> Any:
    """Join conditions, of which there is at least one, so that one of them must hold."""
    return functools.reduce(operator.or_, conditions)


def _compare(expression: Any, column: Any, atom: Atom) -> Any:
    if asks_for_none(atom):
        return expression.is_null(atom.operator == "=")
    value = value_of(column, atom)
    if atom.operator == "in":
        kind = _KINDS[parser_of(column)]
        return NodeList((expression, SQL(f"= ANY(%s::text[]::{kind}[])", (value,))))
    if isinstance(value, Slot):
        value = parameter(value, _KINDS[parser_of(column)])
    # "Not this value" is meant to hold for rows without one, too.
    if atom.operator == "!=":
        return (expression != value) | expression.is_null()
    return _OPERATORS[atom.operator](expression, value)


def asks_for_none(atom: Atom) -> bool:
    """Whether an atom asks for what has no value, or for what has one."""
    return not atom.value and atom.operator in ("=", "!=")


def value_of(column: Any, atom: Atom) -> Any:
    """Read the value of an atom, or its values as texts; a slot stays one.

    Raises InvalidError, on the field ``filter``, for what the column or the operator does not
    know.
    """
    if isinstance(atom.value, Slot):
        return atom.value
    if atom.operator in _ORDERING and isinstance(column, _UNORDERED):
        raise invalid("filter", "filter_operator", operator=atom.operator, field=atom.field)
    if atom.operator != "in":
        return _value(column, atom, atom.value)
    texts = atom.value.split(",")
    if len(texts) > MOST_VALUES:
        raise invalid("filter", "filter_too_many", limit=MOST_VALUES)
    return [str(_value(column, atom, text.strip())) for text in texts]


def _value(column: Any, atom: Atom, text: str) -> Any:
    try:
        return parser_of(column)(text)
    except ValueProblem as problem:
        message = Message("filter_value", {"field": atom.field, "reason": problem.message})
        raise InvalidError(errors={"filter": [message]}) from None


_KINDS: Mapping[Any, str] = {
    parse_uuid: "uuid",
    parse_boolean: "boolean",
    parse_integer: "integer",
    parse_decimal: "numeric",
    parse_datetime: "timestamptz",
    parse_date: "date",
    parse_text: "text",
}
_TIERS = ("0", "1", "2")
_ORDERING = ("<", "<=", ">", ">=")
_UNORDERED = (peewee.BooleanField, peewee.UUIDField, peewee.ForeignKeyField)
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
