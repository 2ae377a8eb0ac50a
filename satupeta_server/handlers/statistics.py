"""``/statistics``: figures of the mapsets, as JSON, as CSV and as a page."""

import csv
import html
import io
from collections.abc import Iterator
from typing import Any

from satupeta_server.errors import InvalidError, invalid
from satupeta_server.escaping import escaped
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.pages import PageHandler
from satupeta_server.handlers.waiting import in_turn
from satupeta_server.messages import Language
from satupeta_server.queries.values import ValueProblem, parse_date, parse_uuid
from satupeta_server.services.statistics import Chosen

_COLUMNS = ("part", "id", "name", "count")
_PARTS = ("status", "month", "category", "organization", "region")
_TITLES = ("title", "total", "decisions", "median", "p90", "views", "downloads")
_SHOWN = 15
"""Rows of a part on the page."""
_WORDS: dict[Language, dict[str, str]] = {
    "id": {
        "title": "Statistik",
        "total": "Mapset",
        "decisions": "Keputusan verifikasi",
        "median": "Lama verifikasi, median (jam)",
        "p90": "Lama verifikasi, persentil ke-90 (jam)",
        "status": "Menurut status",
        "month": "Menurut bulan",
        "category": "Menurut kategori",
        "organization": "Menurut organisasi",
        "region": "Menurut wilayah",
        "approved": "disetujui",
        "rejected": "ditolak",
        "on_verification": "dalam verifikasi",
        "views": "Dilihat",
        "downloads": "Diunduh",
        "most_viewed": "Paling banyak dilihat",
        "viewed_by": "Dilihat, menurut organisasi",
        "none": "Belum ada.",
        "share": "Bagian",
        "number": "Jumlah",
    },
    "en": {
        "title": "Statistics",
        "total": "Mapsets",
        "decisions": "Decisions of verification",
        "median": "Time of verification, median (hours)",
        "p90": "Time of verification, 90th percentile (hours)",
        "status": "By status",
        "month": "By month",
        "category": "By category",
        "organization": "By organization",
        "region": "By region",
        "approved": "approved",
        "rejected": "rejected",
        "on_verification": "in verification",
        "views": "Views",
        "downloads": "Downloads",
        "most_viewed": "Most viewed",
        "viewed_by": "Views by organization",
        "none": "There are none yet.",
        "share": "Share",
        "number": "Number",
    },
}


class StatisticsHandler(BaseHandler):
    """``/statistics``."""

    @in_turn
    async def get(self) -> None:
        """Answer the figures; CSV with ``format=csv``."""
        form = self.last("format").strip() or "json"
        if form not in ("json", "csv"):
            raise invalid("format", "must_be_one_of", allowed="json, csv")
        figures = await _figures(self)
        if form == "json":
            self.write_json(figures)
            return
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="statistics.csv"')
        self.write(_as_csv(figures))


class StatisticsPageHandler(PageHandler):
    """``/statistics/page``."""

    @in_turn
    async def get(self) -> None:
        """Answer the figures as a page, in the reader's language."""
        figures, words = await _figures(self), _WORDS[self.language]
        self.add_header("Vary", "Accept-Language")
        self.write_page(
            "statistics.html",
            parts={"parts": "".join(_sections(figures, self.language))},
            language=self.language,
            project_name=self.services.settings.project_name,
            number=_written(figures["total"], self.language),
            decisions_number=_written(figures["verification"]["decisions"], self.language),
            median_number=_written(figures["verification"]["median_hours"], self.language),
            p90_number=_written(figures["verification"]["p90_hours"], self.language),
            views_number=_written(figures["hits"]["views"], self.language),
            downloads_number=_written(figures["hits"]["downloads"], self.language),
            **{name: words[name] for name in _TITLES},
        )


async def _figures(handler: BaseHandler) -> dict[str, Any]:
    changes = handler.settings["changes"]
    version = changes.version if changes.is_known else None
    return await handler.services.statistics.figures(handler.caller, _chosen(handler), version)


def _chosen(handler: BaseHandler) -> Chosen:
    """Read the parameters; raises InvalidError that names one."""
    values: dict[str, Any] = {}
    for name, field, read in (
        ("organization_id", "organization_id", parse_uuid),
        ("from", "first", parse_date),
        ("to", "last", parse_date),
    ):
        if not (text := handler.last(name).strip()):
            continue
        try:
            values[field] = read(text)
        except ValueProblem as problem:
            raise InvalidError(errors={name: [problem.message]}) from None
    chosen = Chosen(**values)
    if chosen.first and chosen.last and chosen.last < chosen.first:
        raise invalid("to", "order_of_dates")
    return chosen


def _as_csv(figures: dict[str, Any]) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(_COLUMNS)
    for name, value in (("total", figures["total"]), *figures["verification"].items()):
        writer.writerow((name, "", "", "" if value is None else value))
    for name, value in figures["hits"].items():
        writer.writerow((name, "", "", value))
    for part in _PARTS:
        for one in figures[f"by_{part}"]:
            name = escaped(str(one.get("name", one.get("value"))))
            writer.writerow((part, one.get("id", ""), name, one["count"]))
    for part, found in (("mapset", "by_hits"), ("organization", "hits_by_organization")):
        for one in figures[found]:
            for kind in ("views", "downloads"):
                row = (f"{part}_{kind}", one["id"], escaped(one["name"]), one[kind])
                writer.writerow(row)
    return written.getvalue()


def _sections(figures: dict[str, Any], language: Language) -> Iterator[str]:
    for name in _PARTS:
        yield _section(name, figures[f"by_{name}"], language)
    for name, found in (("most_viewed", "by_hits"), ("viewed_by", "hits_by_organization")):
        yield _section(name, [{**one, "count": one["views"]} for one in figures[found]], language)


def _section(name: str, found: list[dict[str, Any]], language: Language) -> str:
    """A part as a table, in which bars show the shares."""
    words = _WORDS[language]
    rows = "".join(_rows(found, language))
    title = html.escape(words[name])
    if not rows:
        return f"<section><h2>{title}</h2><p>{html.escape(words['none'])}</p></section>"
    head = "".join(f"<th>{html.escape(words[one])}</th>" for one in ("share", "number"))
    return (
        f"<section><h2>{title}</h2><table><thead><tr><th>{title}</th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></section>"
    )


def _rows(found: list[dict[str, Any]], language: Language) -> Iterator[str]:
    words = _WORDS[language]
    most = max((one["count"] for one in found), default=1)
    # Of months the newest are of use, of the others the largest.
    is_by_month = bool(found) and str(found[0].get("value", ""))[:1].isdigit()
    for one in found[-_SHOWN:] if is_by_month else found[:_SHOWN]:
        value = str(one.get("name", one.get("value")))
        name = html.escape(words.get(value, value))
        count = one["count"]
        yield (
            f'<tr><th scope="row">{name}</th><td><meter min="0" max="{most}" value="{count}">'
            f"{count}</meter></td><td>{_written(count, language)}</td></tr>"
        )


def _written(value: float | None, language: Language) -> str:
    """A number as readers of the language write it; hours with one decimal."""
    if value is None:
        return "–"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return text.translate({ord(","): ".", ord("."): ","}) if language == "id" else text
