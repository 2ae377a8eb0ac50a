"""The news of the sample catalogue."""

import datetime
import uuid
from collections.abc import Sequence
from typing import Any

from satupeta_server.models.news import News
from satupeta_server.seed.sample.moments import ZONE
from satupeta_server.seed.tables import read_toml
from satupeta_server.seed.writing import Row, insert_missing, stable_id

_HOUR = datetime.time(9, 30, tzinfo=ZONE)


def insert_articles(pictures: Sequence[uuid.UUID]) -> None:
    """Insert the news."""
    articles = read_toml("sample/news.toml")["article"]
    rows = [
        _article(article, pictures[-1 - number % len(pictures)])
        for number, article in enumerate(articles)
    ]
    insert_missing(News, rows, "name")


def _article(article: dict[str, Any], picture: uuid.UUID) -> Row:
    published = datetime.datetime.combine(article["published"], _HOUR)
    return {
        "id": stable_id("News", article["name"], published),
        "name": article["name"],
        "description": article["html"].strip(),
        "thumbnail": picture,
        "is_active": article.get("active", True),
        "created_at": published,
        "updated_at": published,
    }
