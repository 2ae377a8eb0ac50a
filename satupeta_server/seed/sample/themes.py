"""What the mapsets of the sample catalogue show."""

from dataclasses import dataclass

from satupeta_server.seed.tables import read_toml


@dataclass(frozen=True, slots=True)
class Theme:
    """One theme, with the texts and choices from which its mapsets are made."""

    name: str
    slug: str
    category: str
    local_producer: str
    national_producer: str
    methods: tuple[str, ...]
    scales: tuple[str, ...]
    period: str
    content: str
    purpose: str
    is_coastal: bool


def read_themes() -> list[Theme]:
    """Read all themes, in the order of their file."""
    data = read_toml("sample/themes.toml")
    return [
        Theme(
            name=row["name"],
            slug=row["slug"],
            category=row["category"],
            local_producer=row["producers"][0],
            national_producer=row["producers"][1],
            methods=tuple(data["methods"][row["method"]]),
            scales=tuple(data["scales"][row["scale"]]),
            period=row["period"],
            content=row["content"],
            purpose=row["purpose"],
            is_coastal=row.get("coastal", False),
        )
        for row in data["theme"]
    ]
