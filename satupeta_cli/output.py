"""Listings: a table for people, or JSON, JSON Lines and CSV for programs, on standard output."""

import csv
import datetime
import json
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

Row = Mapping[str, Any]
Function = TypeVar("Function", bound=Callable[..., Any])

FORMS = {
    "json": "One JSON array.",
    "jsonl": "One JSON object a line.",
    "csv": "Comma-separated values with a header line.",
}


def listing_options(command: Function) -> Function:
    """Give a command ``--json``, ``--jsonl`` and ``--csv``, which reach it as ``form``."""
    for form, text in reversed(FORMS.items()):
        option = click.option(f"--{form}", "form", flag_value=form, default=None, help=text)
        command = option(command)
    return command


def as_json(value: object) -> str:
    """Write a value as JSON, as people like to read it."""
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=2)


def write_listing(
    rows: Iterable[Row], columns: Sequence[str], form: str | None, *, hint: str = ""
) -> None:
    """Write rows; programs get every key, people the columns, with their names as titles.

    ``hint`` is told to people, on standard error, when there are no rows.
    """
    if form == "json":
        click.echo(as_json(list(rows)))
    elif form == "jsonl":
        for row in rows:
            click.echo(json.dumps(row, default=_plain, ensure_ascii=False))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    else:
        _write_table(list(rows), columns, hint)


def write_record(record: Row, form: str | None) -> None:
    """Write one record: a line a field for people, one object for programs."""
    if form == "csv":
        write_listing([record], list(record), form)
    elif form is not None:
        indent = 2 if form == "json" else None
        click.echo(json.dumps(record, default=_plain, ensure_ascii=False, indent=indent))
    else:
        width = max(map(len, record), default=0)
        for name, value in record.items():
            click.echo(f"{name.ljust(width)}  {_cell(value)}")


def _write_table(rows: Sequence[Row], columns: Sequence[str], hint: str) -> None:
    if not rows:
        click.echo(hint or "Nothing found.", err=True)
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _write_rich_table(columns, cells)
        return
    # What is piped is not cut to the width of a terminal that is not there.
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in (columns, *cells):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _write_rich_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for line in cells:
        table.add_row(*line)
    Console(markup=False, highlight=False, emoji=False).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
