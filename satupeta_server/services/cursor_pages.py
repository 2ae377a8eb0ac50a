"""Pages of a list that can be walked by a cursor, whose rows are many and are counted once."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import orjson
import peewee
from peewee import SQL, fn

from satupeta_server.queries.cursors import write_cursor
from satupeta_server.queries.facets import (
    Counting,
    Facet,
    counted_facets,
    counts_to_keep,
    facet_object,
)
from satupeta_server.queries.few_rows import ordered_by_total
from satupeta_server.queries.kept import (
    NEWEST,
    TOTAL,
    count_of,
    counted,
    counted_to_keep,
    is_to_be_kept,
    kept_count,
)
from satupeta_server.queries.listing import ListRequest
from satupeta_server.queries.ordering import Ordering, Tier
from satupeta_server.queries.paging import cut
from satupeta_server.queries.shapes import shaped
from satupeta_server.queries.tiers import Route, Way, tier_first, tiered_rows
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import Scope
from satupeta_server.services.kept_counts import (
    WORTH_KEEPING,
    count_key,
    forget_other_cluster,
    keep_counts,
)
from satupeta_server.services.records import MOST_SHAPES, Page, RecordService, compiled, run
from satupeta_server.services.vocabulary import Vocabulary
from satupeta_server.settings import Settings
from satupeta_server.statements import Slot, Statement, parameter

MOST_PLANNED_FILTERS = 3
"""Filters and words up to which one plan is good enough whatever their values are."""
MOST_PLANNED_FIELDS = 2
"""The same of the fields that are filtered by."""

_LIMIT = parameter(Slot("limit"), "bigint")
_OFFSET = parameter(Slot("offset"), "bigint")


@dataclass(frozen=True)
class _Plan:
    """The statement of a page, and those whose texts say what it counts."""

    page: Statement
    total: Statement
    facets: Sequence[Statement]
    """One for each counting."""


class CursorService(RecordService):
    """A resource whose listing has a cursor, and maybe facets."""

    changes: ClassVar[Any]
    """The log of its rows that came and went."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._vocabulary = Vocabulary()
        self._knows_cluster = False

    async def list(self, caller: Caller, request: ListRequest) -> Page:
        """Give a page, the number of all rows, the next page's cursor and the facets.

        All is from one snapshot. Raises InvalidError for a filter that the resource does not
        know.
        """
        listing = self.resource.listing
        limit = listing.limit(request, self.settings.list_limit) or 0
        if caller.scope(f"{self.resource.subject}:read") is Scope.PUBLIC:
            request = listing.for_public(request)
        if not self._knows_cluster:
            await forget_other_cluster()
            self._knows_cluster = True
        needed = request.offset + limit + 1
        words = await self._vocabulary.find(request.search, needed)
        shape, values = shaped(listing, request, words, needed=needed)
        plan = (self._plan if shape.is_large else self._kept_plan)(caller.shape(), shape)
        values |= caller.values()
        zone = self.settings.timezone
        total_key = count_key(plan.total, values, zone)
        facet_keys = [count_key(one, values, zone) for one in plan.facets]
        values |= {"kept": total_key, "limit": limit, "offset": request.offset}
        values |= {_facets(number): key for number, key in enumerate(facet_keys)}
        values["facet_limit"] = self.settings.list_limit
        row = await run(plan.page, values)
        _keep(total_key, facet_keys, row)
        return _as_page(listing.ordering(request), request, limit, row)

    async def common_words(self, share: float) -> Sequence[str]:
        """Give the words that more than a share of the rows hold, the most common first."""
        return await self._vocabulary.common(share)

    def _plan(self, caller: Caller, shape: ListRequest) -> _Plan:
        source = self.resource.model.alias()
        kept = kept_count("kept", self.changes)
        page = self._numbered(source, caller, shape)
        columns = [
            *self._page_columns(shape, page),
            TOTAL,
            SQL("pg_current_snapshot()::text"),
            peewee.Case(None, ((is_to_be_kept(kept), counted_to_keep()),)),
        ]
        tables = [kept, counted(kept, self.changes, source, self._condition(caller, shape))]
        countings = self._countings(caller, shape)
        if countings:
            known = [kept_count(_facets(number), self.changes) for number in range(len(countings))]
            counts = counted_facets(countings, known, self.resource.model, self.changes)
            facets = {name: self.resource.listing.facets[name] for name in shape.facets}
            tables += [*known, counts]
            columns.append(facet_object(facets, counts, parameter(Slot("facet_limit"), "bigint")))
            columns += [
                peewee.Case(None, ((is_to_be_kept(table), counts_to_keep(counting, counts)),))
                for counting, table in zip(countings, known, strict=True)
            ]
        query = peewee.Select([page], columns).with_cte(*tables)
        return _Plan(
            compiled(query, is_planned_anew=self._is_uneven(shape)),
            compiled(count_of(source, self._condition(caller, shape)(source))),
            [_facets_text(one, self.resource.model) for one in countings],
        )

    _kept_plan = lru_cache(maxsize=MOST_SHAPES)(_plan)

    def _is_uneven(self, shape: ListRequest) -> bool:
        """Whether the values tell which plan is best."""
        is_much = shape.size > MOST_PLANNED_FILTERS or shape.number_of_fields > MOST_PLANNED_FIELDS
        return bool(shape.narrowed) or shape.is_far or shape.compares or is_much

    def _condition(
        self, caller: Caller, shape: ListRequest, without: str = ""
    ) -> Callable[[Any], Any]:
        def condition(source: Any) -> Any:
            asked = self.resource.listing.condition(source, shape, without=without)
            return self.visible(caller, source) & asked

        return condition

    def _countings(self, caller: Caller, shape: ListRequest) -> Sequence[Counting]:
        # Facets that leave out no filter count the same rows, and all of them whichever are asked
        # for, so that what is kept of them serves everybody.
        together: dict[str, dict[str, Facet]] = {}
        for name, facet in self.resource.listing.facets.items():
            without = facet.field if facet.field in shape.filtered_fields else ""
            together.setdefault(without, {})[name] = facet
        return [
            Counting(facets, self._condition(caller, shape, without))
            for without, facets in together.items()
            if not facets.keys().isdisjoint(shape.facets)
        ]

    def _numbered(self, source: Any, caller: Caller, shape: ListRequest) -> Any:
        """The rows of the page by their places, and one more: it tells whether there is a next."""
        ordering = self.resource.listing.ordering(shape)
        # What is found by several fields, or must be ordered, is found by ids and keys alone: these
        # stand in the indexes, and of the whole rows only those of the page are read.
        is_narrow = self._is_uneven(shape) or shape.number_of_fields > 1
        is_narrow |= bool(ordering.tiers)
        if ordering.tiers:
            rows = tiered_rows(
                self.resource.model,
                self._walked(caller, shape),
                self._gathered(caller, shape),
                lambda row: self.visible(caller, row) & _may_be_found(row),
                shape.after,
                functools.partial(_way, shape),
                shape.limit or 0,
            )
        else:
            rows = source.select().where(self._condition(caller, shape)(source))
            if shape.after is not None:
                rows = rows.where(ordering.after(source, shape.after))
            if shape.narrowed:
                few = max(self.resource.listing.narrowings[one.name].few for one in shape.narrowed)
                rows = ordered_by_total(rows, ordering, source, few)
            else:
                rows = rows.columns(*ordering.columns(source)) if is_narrow else rows
                rows = rows.order_by(*ordering.clauses(source))
        if shape.after is None:
            # What lies beyond the end would be walked only to be left out.
            rows = rows.where(_OFFSET < TOTAL)
        one_more = SQL("%s::bigint + 1", (Slot("limit"),))
        cut_out = cut(rows, shape.limit, one_more, None if shape.after else _OFFSET)
        page = (self._whole_rows(cut_out, ordering) if is_narrow else cut_out).alias("page")
        place = fn.row_number().over().alias("place")
        return peewee.Select([page], [SQL("page.*"), place]).alias("numbered")

    def _walked(self, caller: Caller, shape: ListRequest) -> Route:
        if shape.is_walked:
            shape = replace(shape, words=tuple(word.walked() for word in shape.searched))
        condition = self._tier_condition(caller, shape)
        ordering = self.resource.listing.ordering(shape)
        return Route(ordering, lambda row, tier: condition(row, tier) & _may_be_found(row))

    def _gathered(self, caller: Caller, shape: ListRequest) -> Route:
        found = replace(shape, words=tuple(word.gathered() for word in shape.searched))
        return Route(self.resource.listing.ordering(found), self._tier_condition(caller, found))

    def _whole_rows(self, cut_out: Any, ordering: Ordering) -> Any:
        """The rows of which the ids and keys were cut out: what comes before them is not read."""
        best, row = cut_out.alias("best"), self.resource.model.alias()
        rows = row.select(row).join(best, on=(row.id == best.c.id))
        if not ordering.tiers:
            return rows.order_by(*ordering.by_columns().clauses(best.c))
        rows = rows.select_extend(best.c.tier)
        return rows.order_by(*tier_first(ordering, best.c))

    def _tier_condition(self, caller: Caller, shape: ListRequest) -> Callable[[Any, Tier], Any]:
        def condition(source: Any, tier: Tier) -> Any:
            asked = replace(shape, words=()) if tier.implies_search else shape
            return self._condition(caller, asked)(source) & tier.condition(source)

        return condition

    def _page_columns(self, shape: ListRequest, page: Any) -> Sequence[Any]:
        """The items, the place of the last of them, and whether any row follows it."""
        ordering = self.resource.listing.ordering(shape)
        if ordering.tiers:
            keys = [key.expression(page.c) for key in ordering.within_tier().keys]
            position = fn.json_build_array(page.c.tier, *keys, page.c.id)
        else:
            position = ordering.position(page.c)
        json = self.resource.representation.json(page.c)
        items = fn.json_agg(json).filter(page.c.place <= _LIMIT)
        last = fn.json_agg(position).filter(page.c.place == _LIMIT)
        return [
            fn.coalesce(items, SQL("'[]'::json")).cast("text"),
            last.cast("text"),
            fn.count(SQL("*")) > _LIMIT,
        ]


def _way(shape: ListRequest, tier: Tier) -> Way:
    if shape.is_rare(tier):
        return Way.GATHER
    if shape.is_walked:
        return Way.EITHER
    is_known = tier.implies_search and any(word.name_words for word in shape.searched)
    return Way.GATHER if is_known else Way.WALK


def _may_be_found(row: Any) -> Any:
    """That a row is not younger than all that are found: the walk begins at the first of them."""
    return row.created_at <= NEWEST


def _facets(number: int) -> str:
    """The name of the kept counts of a counting, by its place."""
    return f"facets_{number}"


def _facets_text(counting: Counting, model: Any) -> Statement:
    """What facets count, as a text: it is never run."""
    return compiled(counting.groups(model.alias(), SQL("true"), SQL("1")))


def _keep(total_key: str, facet_keys: Sequence[str], row: tuple[Any, ...]) -> None:
    """Keep the counts that a page was answered with, where they were dear."""
    _items, _position, _is_followed, total, snapshot, kept_total, *facets = row
    counts = {
        key: text
        for key, text in zip(facet_keys, facets[1:], strict=True)
        if text is not None and _rows_of(text) >= WORTH_KEEPING
    }
    if kept_total and total >= WORTH_KEEPING:
        counts[total_key] = kept_total
    if counts:
        keep_counts(counts, snapshot)


def _rows_of(counts: str) -> int:
    """How many rows were counted, each once for a facet."""
    return sum(one["count"] for one in orjson.loads(counts))


def _as_page(ordering: Ordering, request: ListRequest, limit: int, row: tuple[Any, ...]) -> Page:
    items, position, is_followed, total, _snapshot, _kept_total, *facets = row
    cursor = write_cursor(ordering, orjson.loads(position)[0]) if position and is_followed else None
    members = {"next_cursor": orjson.dumps(cursor).decode()}
    if facets:
        members["facets"] = facets[0]
    return Page(
        items,
        total,
        limit,
        request.offset,
        has_more=is_followed if request.after else request.offset + limit < total,
        next_cursor=cursor,
        members=members,
    )
