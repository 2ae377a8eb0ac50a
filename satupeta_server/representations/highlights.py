"""Texts in which the words that were found are marked, as HTML that is safe to show."""

import html
import re
import unicodedata
from collections.abc import Collection, Sequence

from satupeta_server.queries.vocabulary import WORD, Meaning

LONGEST_FRAGMENT = 200
_BEFORE = 60
"""Characters of a fragment that stand before its first marked word."""
_TAG = re.compile(r"<[^>]*>?")
_BLANKS = re.compile(r"\s+")


def marked_words(meanings: Sequence[Meaning]) -> frozenset[str]:
    """Give the words to be marked, in their plain form.

    A word of the vocabulary may be several that no blank parts; then only what begins as the
    search does is one of them.
    """
    marked = {meaning.plain for meaning in meanings}
    for meaning in meanings:
        for word in meaning.words:
            parts = WORD.findall(word)
            marked |= {part for part in parts if len(parts) == 1 or part.startswith(meaning.plain)}
    return frozenset(marked)


def highlighted(text: str, words: Collection[str]) -> str:
    """Escape a text and put ``<mark>`` around some of its words, which are given plain."""
    pieces, end = [], 0
    for match in WORD.finditer(text):
        if _plain(match[0]) in words:
            pieces += [
                html.escape(text[end : match.start()]),
                f"<mark>{html.escape(match[0])}</mark>",
            ]
            end = match.end()
    return "".join([*pieces, html.escape(text[end:])])


def fragment(text: str, words: Collection[str]) -> str:
    """Cut a text to about 200 characters around the first of the words."""
    text = _BLANKS.sub(" ", text).strip()
    first = next((hit.start() for hit in WORD.finditer(text) if _plain(hit[0]) in words), 0)
    start = 0 if first <= _BEFORE else _next_word(text, first - _BEFORE)
    if len(text) - start <= LONGEST_FRAGMENT:
        return ("… " if start else "") + text[start:]
    end = max(text.rfind(" ", start, start + LONGEST_FRAGMENT), first + _BEFORE)
    return ("… " if start else "") + text[start:end].rstrip() + " …"


def without_tags(text: str) -> str:
    """Give the text of an HTML fragment; it is no HTML, and must be escaped to become such."""
    return html.unescape(_TAG.sub(" ", text))


def _next_word(text: str, place: int) -> int:
    blank = text.find(" ", place, place + _BEFORE)
    return place if blank < 0 else blank + 1


def _plain(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.lower())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))
