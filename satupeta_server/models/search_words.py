"""The words of everything that can be searched."""

import peewee
from playhouse.postgres_ext import ArrayField

from satupeta_server.models.base import BaseModel


class SearchWord(BaseModel):
    """A word as it stands between blanks in a plain text, with its stems; the database adds it."""

    id = None  # type: ignore[assignment]
    word = peewee.TextField()
    stems = ArrayField(peewee.TextField, index=False)

    class Meta:
        table_name = "search_words"
        primary_key = False
