"""News, whose HTML is sanitised before it is stored."""

from typing import Any

import nh3

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


class NewsService(RecordService):
    """Articles."""

    resource = Resource("news", NEWS, NEWS_LISTING, references={"thumbnail": File})

    async def prepared(self, caller: Caller, values: Values, row: Any) -> Values:
        """Sanitise the description."""
        del caller, row
        if values.get("description"):
            return {**values, "description": sanitised(values["description"])}
        return values
