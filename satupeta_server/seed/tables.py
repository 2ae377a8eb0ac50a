"""Reading the data files of the package."""

import csv
import gzip
import io
import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

_DATA = files("satupeta_server") / "data"


def data_file(name: str) -> Traversable:
    """Find a data file by its path below ``satupeta_server/data``."""
    return _DATA.joinpath(*name.split("/"))


def read_table(name: str) -> list[dict[str, str]]:
    """Read a CSV file with a header line."""
    return list(csv.DictReader(io.StringIO(data_file(name).read_text(encoding="utf-8"))))


def read_toml(name: str) -> dict[str, Any]:
    """Read a TOML file."""
    return tomllib.loads(data_file(name).read_text(encoding="utf-8"))


def read_compressed(name: str) -> str:
    """Read the text of a gzip file."""
    return gzip.decompress(data_file(name).read_bytes()).decode()
