"""News, whose HTML is sanitised before it is stored."""

import re
from collections import Counter
from typing import Any

import nh3

from satupeta_server.errors import invalid
from satupeta_server.models.files import File
from satupeta_server.representations.news import NEWS, NEWS_LISTING
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import RecordService, Resource, Values

_TAGS = {
    "a", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "div", "em", "figcaption",
    "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "mark", "ol", "p", "pre",
    "s", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th",
    "thead", "tr", "u", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"class", "style", "title"},
    "a": {"href", "target"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start", "type"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "col": {"span"},
}
_STYLES = {"text-align", "color", "background-color", "width", "height"}
_SCHEMES = {"http", "https", "mailto", "tel"}


DEEPEST = 200
"""Elements in one another; an article has ten."""
_TAG = re.compile(r"<(/?)([a-z][^\s/>]*)")
_VOID = {"br", "col", "hr", "img"}


def sanitised(html: str) -> str:
    """Keep what a rich-text editor makes, and nothing that a browser would execute."""
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        filter_style_properties=_STYLES,
        link_rel="noopener noreferrer nofollow",
    )


def is_too_deep(html: str) -> bool:
    """Tell whether elements may stand deeper in each other than any article needs.

    Cleaning takes time that grows with the square of the depth. A closing tag counts only where
    one of its name is open, as a browser would have it.
    """
    is_open: Counter[str] = Counter()
    for closing, name in _TAG.findall(html.lower()):
        if closing and is_open[name]:
            is_open[name] -= 1
        elif not closing and name not in _VOID:
            is_open[name] += 1
        if is_open.total() > DEEPEST:
            return True
    return False


class NewsService(RecordService):
    """Articles."""

    resource = Resource("news", NEWS, NEWS_LISTING, references={"thumbnail": File})

    async def prepared(self, caller: Caller, values: Values, row: Any) -> Values:
        """Sanitise the description; raises InvalidError where its elements stand too deep."""
        del caller, row
        if values.get("description"):
            if is_too_deep(values["description"]):
                raise invalid("description", "html_too_deep", limit=DEEPEST)
            return {**values, "description": sanitised(values["description"])}
        return values
