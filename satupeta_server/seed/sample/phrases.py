"""The texts of the sample mapsets.

A name and a description hold theme, place, year and edition, so no two mapsets share either: the
openings differ from their first word on, and neither a theme nor a place holds the words between.
"""

from random import Random

from satupeta_server.seed.sample.subjects import Subject

_OPENINGS = (
    "Peta {theme} {place} tahun {year}, edisi ke-{edition}.",
    "Data spasial {theme} untuk {place} tahun {year}, edisi ke-{edition}.",
    "Informasi geospasial tematik {theme} yang mencakup {place} tahun {year}, edisi ke-{edition}.",
    "Himpunan data {theme} di {place} tahun {year}, edisi ke-{edition}.",
)
_ORIGINS = (
    "Disusun melalui {method} dan disajikan pada skala {scale}.",
    "Diperoleh dari {method}; ketelitiannya setara peta skala {scale}.",
    "Sumbernya {method}, disajikan pada skala {scale}.",
)
_USES = (
    "Dipakai untuk mendukung {purpose}.",
    "Dimanfaatkan antara lain dalam {purpose}.",
    "Salah satu kegunaannya: {purpose}.",
)
_QUALITIES = (
    "Topologi dan atributnya sudah diperiksa.",
    "Struktur atributnya mengikuti Katalog Unsur Geografi Indonesia.",
    "Metadatanya disusun menurut SNI ISO 19115.",
    "Penyelarasan dengan wilayah tetangga sudah dilakukan.",
    "Bagian yang belum terverifikasi ditandai pada atribut status.",
)

_NOTES: dict[str, tuple[str | None, ...]] = {
    "approved": (
        "Data sesuai standar dan dapat dipublikasikan.",
        "Geometri, atribut, dan metadata lengkap.",
        "Disetujui setelah pemeriksaan topologi.",
        "Sudah selaras dengan batas administrasi terbaru.",
        None,
    ),
    "rejected": (
        "Metadata belum lengkap: sumber data dan tanggal belum diisi.",
        "Terdapat celah dan tumpang tindih antarpoligon.",
        "Sistem proyeksi pada layanan tidak sama dengan yang dicantumkan.",
        "Nama atribut belum mengikuti Katalog Unsur Geografi Indonesia.",
        "Layanan WMS tidak dapat dibuka.",
    ),
    "on_verification": (
        "Perbaikan sudah dilakukan sesuai catatan walidata.",
        "Diajukan kembali dengan metadata yang dilengkapi.",
    ),
}


def name_of(subject: Subject) -> str:
    """Give the name of the mapset about a subject."""
    later = f" Edisi {subject.edition}" if subject.edition > 1 else ""
    return f"{subject.theme.name} {subject.place.name} Tahun {subject.year}{later}"


def describe(subject: Subject, scale: str, random: Random) -> str:
    """Describe the mapset about a subject, in a few sentences."""
    theme = subject.theme
    opening = random.choice(_OPENINGS).format(
        theme=theme.name, place=subject.place.name, year=subject.year, edition=subject.edition
    )
    origin = random.choice(_ORIGINS).format(method=random.choice(theme.methods), scale=scale)
    use = random.choice(_USES).format(purpose=theme.purpose)
    return f"{opening} {theme.content} {origin} {use} {random.choice(_QUALITIES)}"


def note_for(status: str, random: Random) -> str | None:
    """Choose the note with which somebody gives a mapset a status."""
    return random.choice(_NOTES[status])
