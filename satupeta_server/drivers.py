"""Which of PostgreSQL's drivers an API process loads."""

import sys


def leave_out_psycopg() -> None:
    """Keep Peewee from loading psycopg, which only the worker's queue needs.

    Peewee takes it wherever it is installed, beside the driver that it really uses; that is 11 MB
    in each process. Must be called before Peewee is imported.
    """
    sys.modules.setdefault("psycopg", None)  # type: ignore[arg-type]
