"""The provinces, regencies and cities of Indonesia, with the days on which their codes hold."""

import datetime
import re
from dataclasses import dataclass

from satupeta_server.seed.tables import read_compressed, read_table

LISTED_SINCE = datetime.date(2019, 10, 8)
"""The day of Permendagri 72/2019, whose annex lists the codes of 2019."""

_DAY = datetime.timedelta(days=1)
_WORDS = {
    "ADM.": "Administrasi",
    "DKI": "DKI",
    "KAB": "Kabupaten",
    "KAB.": "Kabupaten",
    "KEP.": "Kepulauan",
}
_MONTHS = (
    "Januari", "Februari", "Maret", "April", "Mei", "Juni",
    "Juli", "Agustus", "September", "Oktober", "November", "Desember",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Region:
    """One code of a province (``35``) or of a regency or city (``35.78``).

    It holds from ``valid_from`` to ``valid_to``, both days included; None: to this day.
    """

    code: str
    name: str
    valid_from: datetime.date
    valid_to: datetime.date | None = None
    description: str | None = None

    @property
    def is_province(self) -> bool:
        """Tell a province from a regency or city."""
        return len(self.code) == 2

    @property
    def full_name(self) -> str:
        """The name with its kind, which regencies and cities carry anyway."""
        return f"Provinsi {self.name}" if self.is_province else self.name


def reading_name(listed: str) -> str:
    """Bring a name of the annex, which is all in capitals, into the form that people write."""
    return " ".join(_WORDS.get(word, word.capitalize()) for word in listed.split())


def read_regions() -> list[Region]:
    """Read all provinces, regencies and cities, those whose codes no longer hold included."""
    founded = read_table("wilayah-pemekaran-2022.csv")
    replaced = {row["replaces"]: row for row in founded if row["replaces"]}
    names = {row["code"]: row["name"] for row in read_table("wilayah-nama.csv")}
    text = read_compressed("wilayah-permendagri-72-2019.csv.gz")
    listed = re.findall(r"^(\d\d(?:\.\d\d)?),(.+)$", text, re.MULTILINE)
    regions = [
        _listed(code, names.get(code) or reading_name(name), replaced.get(code))
        for code, name in listed
    ]
    return regions + [_founded(row) for row in founded]


def _listed(code: str, name: str, successor: dict[str, str] | None) -> Region:
    if successor is None:
        return Region(code, name, LISTED_SINCE)
    since = datetime.date.fromisoformat(successor["valid_from"])
    note = f"Sejak {_spelt(since)} berkode {successor['code']} ({successor['law']})."
    return Region(code, name, LISTED_SINCE, since - _DAY, note)


def _founded(row: dict[str, str]) -> Region:
    since = datetime.date.fromisoformat(row["valid_from"])
    former = f"Sebelum {_spelt(since)} berkode {row['replaces']}" if row["replaces"] else ""
    note = f"{former or f'Dibentuk pada {_spelt(since)}'} ({row['law']})."
    return Region(row["code"], row["name"], since, None, note)


def _spelt(day: datetime.date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
