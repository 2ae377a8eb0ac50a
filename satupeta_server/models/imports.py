"""Imports of files, and what became of each of their rows."""

import peewee
from playhouse.postgres_ext import ArrayField, BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference


class Import(BaseModel):
    """One import; unfinished while it runs, and after it was interrupted."""

    kind = peewee.TextField()
    files = ArrayField(peewee.TextField, index=False)
    fingerprint = peewee.TextField()
    started_at = DateTimeTZField(default=now)
    finished_at = DateTimeTZField(null=True)
    totals = BinaryJSONField(null=True)

    class Meta:
        table_name = "imports"


class ImportBatch(BaseModel):
    """Some rows of an import: a letter of ``states`` for each, and why the failed ones did."""

    id = None  # type: ignore[assignment]
    import_id = reference(Import, "import_id")
    place = peewee.TextField()
    states = peewee.TextField()
    errors = BinaryJSONField(null=True)

    class Meta:
        table_name = "import_batches"
        primary_key = peewee.CompositeKey("import_id", "place")
