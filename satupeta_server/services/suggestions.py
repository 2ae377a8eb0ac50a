"""What a search box suggests while somebody types: what everybody may see."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import orjson
import peewee
from peewee import SQL, fn

from satupeta_server.errors import AppError
from satupeta_server.queries.matching import (
    Wanted,
    are_common,
    begins_with,
    is_among,
    matching,
    newest_matching,
    relevance,
    split,
    wanted_words,
)
from satupeta_server.queries.vocabulary import WORD, Meaning, Terms, read_terms
from satupeta_server.representations.base import array_text, json_object
from satupeta_server.representations.search import GROUPS, KINDS
from satupeta_server.security.callers import Caller
from satupeta_server.services.meanings import NO_WORD, ForgivingService, meanings_of
from satupeta_server.services.records import ReadService
from satupeta_server.services.search import answer_of, written
from satupeta_server.statements import Slot

MOST_SUGGESTIONS = 20
_ALTERNATIVES = 100
"""Words that may stand for one that is searched: a few are enough to suggest some."""
_SAMPLE = 30
"""Matches of a table among which names and words are looked for."""
_WINDOW = 200
"""The newest mapsets, which are looked at one by one for words that very many have."""

Suggestion = Mapping[str, Any]


class SuggestionService:
    """Completes what is typed, by public records only: the answer is the same to everybody."""

    def __init__(self, services: Mapping[str, ReadService]) -> None:
        self.services = services
        self._forgiving = ForgivingService(services)

    def prepare(self) -> None:
        """Write the statements for one word: the first visitors need not wait for that."""
        written(self._names)
        for is_common in (False, True):
            written(self._statement, 1, is_common)
        self._forgiving.prepare(Caller())

    async def rehearse(self) -> None:
        """Run them once, so that a connection has planned them before the first visitor comes."""
        with contextlib.suppress(AppError):
            await self._beginning(NO_WORD)
            await meanings_of(Terms((NO_WORD,), is_open=True), _ALTERNATIVES)
            for is_common in (False, True):
                await answer_of([[NO_WORD]], {}, self._statement, 1, is_common)
            await self._forgiving.rehearse(Caller())

    async def suggest(self, text: str, limit: int) -> dict[str, Any]:
        """Give names that begin with a text, then names with its words, then its last word.

        There are never more than MOST_SUGGESTIONS.
        Raises InvalidError for a text that is blank or too long.
        """
        terms = read_terms(text)
        if not terms.words:
            return {"items": []}
        items = _distinct(await self._beginning(text))
        if len(items) < limit:
            found: Sequence[Meaning] | None = await meanings_of(terms, _ALTERNATIVES)
            if found:
                items = _distinct([*items, *await self._suggested(text, terms, found)])
            if found and not items:
                found = await self._forgiving.meant(Caller(), found)
                items = _distinct(await self._suggested(text, terms, found)) if found else []
        return {"items": items[:limit]}

    async def _suggested(
        self, text: str, terms: Terms, found: Sequence[Meaning]
    ) -> Iterable[Suggestion]:
        if not all(meaning.words for meaning in found):
            return ()
        names, words = await self._containing(found)
        # Where it says nothing, the last word has no meaning (services/meanings.py).
        is_open = terms.is_open and len(found) == len(terms.words)
        return [*names, *(_completions(text, found[-1], words) if is_open else ())]

    async def _beginning(self, text: str) -> Iterator[Suggestion]:
        beginning = " ".join(text.split()) + (" " if text[-1].isspace() else "")
        return _mixed(await answer_of([beginning], {}, self._names))

    def _names(self) -> Any:
        columns = []
        for name, group in GROUPS.items():
            source = group.model.alias()
            condition = self._visible(name, source) & begins_with(source, Slot(0))
            rows = source.select(source.id, source.name).where(condition).limit(MOST_SUGGESTIONS)
            columns.append(_named(rows.alias("named")))
        return peewee.Select(columns=columns)

    async def _containing(self, found: Sequence[Meaning]) -> tuple[Iterator[Suggestion], set[str]]:
        """Names with the words, and the words of public records that stand for the last."""
        given = [list(meaning.words) for meaning in found]
        row = await answer_of(given, {}, self._statement, len(found), are_common(found))
        return _mixed(row[: len(GROUPS)]), set(chain.from_iterable(row[len(GROUPS) :]))

    def _statement(self, count: int, is_common: bool) -> Any:  # noqa: FBT001
        asked, wanted = wanted_words(count)
        tables, names, words = [asked], [], []
        for name, group in GROUPS.items():
            sample = self._sample(name, wanted, is_common=is_common)
            table = sample.cte(f"sample_{name}", materialized=True)
            names.append(_named(_fitting(table).alias("named")))
            if not group.is_html:
                words.append(_words(table, wanted[-1]))
            tables.append(table)
        return peewee.Select(columns=[*names, *words]).with_cte(*tables)

    def _sample(self, name: str, wanted: Wanted, *, is_common: bool) -> Any:
        """Some rows that match, and how well they do."""
        group, source = GROUPS[name], GROUPS[name].model.alias()
        visible = self._visible(name, source)
        if name == "mapsets" and is_common:
            found = newest_matching(source, visible, wanted, group.read, group.order, _WINDOW)
        else:
            found = matching(source, visible, wanted, group.read, is_indexed=group.is_indexed)
        rows = found.limit(_SAMPLE).alias("rows")
        fit = relevance(rows.c, wanted).alias("fit")
        return peewee.Select([rows], [rows.c.id, rows.c.name, rows.c.search_text, fit])

    def _visible(self, name: str, source: Any) -> Any:
        return self.services[name].visible(Caller(), source)


def _fitting(table: Any) -> Any:
    """The rows with words in their names, the best first."""
    rows = peewee.Select([table], [table.c.id, table.c.name]).where(table.c.fit < SQL("2"))
    return rows.order_by(table.c.fit).limit(MOST_SUGGESTIONS)


def _named(rows: Any) -> Any:
    return array_text(json_object({"id": rows.c.id, "name": rows.c.name}), rows)


def _words(table: Any, wanted: Any) -> Any:
    """Those of some words that stand in a table's rows."""
    word = fn.unnest(split(table.c.search_text)).alias("word")
    rows = peewee.Select([table], [word]).alias("standing")
    standing = peewee.Select([rows], [rows.c.word]).distinct()
    return fn.array(standing.where(is_among(rows.c.word, wanted)))


def _mixed(row: Sequence[str]) -> Iterator[Suggestion]:
    """The suggestions of all groups in turn, so that none crowds out another."""
    groups = [
        [{"text": hit["name"], "kind": kind, "id": hit["id"]} for hit in orjson.loads(hits)]
        for kind, hits in zip(KINDS.values(), row, strict=True)
    ]
    turns = zip_longest(*groups)
    return (one for turn in turns for one in turn if one is not None)


def _completions(text: str, meaning: Meaning, words: Iterable[str]) -> Iterator[Suggestion]:
    """The text, with other words of its kind instead of the last one."""
    last = [*WORD.finditer(text)][-1]
    head = text[: last.start()].lstrip()
    for word in sorted(words, key=meaning.words.index):
        parts = WORD.findall(word)
        if len(parts) == 1 and parts[0] != meaning.plain:
            yield {"text": head + parts[0], "kind": "word", "id": None}


def _distinct(suggestions: Iterable[Suggestion]) -> list[Suggestion]:
    """Leave out what reads like an earlier suggestion."""
    seen: dict[str, Suggestion] = {}
    for suggestion in suggestions:
        seen.setdefault(suggestion["text"].casefold(), suggestion)
    return [*seen.values()]
