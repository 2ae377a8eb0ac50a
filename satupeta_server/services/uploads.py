"""Deciding what an uploaded file is, by its name and its content together."""

import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import puremagic
from PIL import Image, UnidentifiedImageError

from satupeta_server.errors import InvalidError, UnsupportedTypeError, invalid
from satupeta_server.messages import Message

_HEAD_BYTES = 4096
_DIRECTORY_SIZE = 5
_LARGEST_DIRECTORY = 4 << 20
"""Bytes of the list of an archive's contents, which is read into memory: 30,000 names and more."""
_MOST_UNPACKED = 1 << 30
_MOST_EXPANSION = 100
_OLE_SIGNATURE = bytes.fromhex("d0cf11e0a1b11ae1")


@dataclass(frozen=True)
class Inspection:
    """What a file turned out to be; width and height in pixels, for images."""

    extension: str
    content_type: str
    width: int | None = None
    height: int | None = None


def inspect(path: Path, file_name: str, allowed: list[str], most_pixels: int) -> Inspection:
    """Decide the type of a file; an image is decoded whole to prove that it is one.

    Raises UnsupportedTypeError when the type is not allowed or the content is another one, and
    InvalidError for an image that is broken or has too many pixels.
    """
    extension = Path(file_name).suffix.lower().lstrip(".")
    if extension not in allowed:
        listed = ", ".join(sorted(allowed))
        raise _refused("file_type_not_allowed", allowed=listed)
    if extension in _IMAGES:
        return _inspect_image(path, extension, most_pixels)
    content_type, is_such = _DOCUMENTS.get(extension, (None, None))
    if is_such is None:
        content_type = _known_type(path, extension)
    elif not is_such(path):
        raise _refused("file_content_mismatch")
    return Inspection(extension, content_type or "application/octet-stream")


def _refused(key: str, **parameters: object) -> UnsupportedTypeError:
    message = Message(key, parameters)
    return UnsupportedTypeError(message, errors={"file": [message]})


def _inspect_image(path: Path, extension: str, most_pixels: int) -> Inspection:
    kind = _IMAGES[extension]
    try:
        with warnings.catch_warnings(), Image.open(path, formats=[kind]) as image:
            # Our own limit stands before Pillow's, which would only warn.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            width, height = image.size
            if width * height > most_pixels:
                raise invalid("file", "image_too_many_pixels", limit=most_pixels)
            image.load()
    except UnidentifiedImageError:
        raise _refused("file_content_mismatch") from None
    except Image.DecompressionBombError:
        raise invalid("file", "image_too_many_pixels", limit=most_pixels) from None
    except InvalidError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError):
        raise invalid("file", "image_broken") from None
    return Inspection(extension, f"image/{kind.lower()}", width, height)


def _known_type(path: Path, extension: str) -> str:
    """The type of a file of an extension that we have no rule of our own for."""
    try:
        matches = puremagic.magic_file(str(path))
    except (puremagic.PureError, ValueError):
        raise _refused("file_content_mismatch") from None
    for match in matches:
        if match.extension == f".{extension}":
            return match.mime_type or "application/octet-stream"
    raise _refused("file_content_mismatch")


def _head(path: Path) -> bytes:
    with path.open("rb") as content:
        return content.read(_HEAD_BYTES)


def _begins_with(*signatures: bytes) -> Callable[[Path], bool]:
    return lambda path: _head(path).startswith(signatures)


def _is_text(path: Path) -> bool:
    """Text without control characters, and no markup that a browser might run."""
    head = _head(path)
    if b"\0" in head:
        return False
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!", b"<?", b"<html", b"<svg", b"<script", b"<body", b"<head")):
        return False
    with path.open(encoding="utf-8", errors="strict", newline="") as content:
        try:
            while content.read(1 << 16):
                pass
        except UnicodeDecodeError:
            return not any(byte < 9 for byte in head)
    return True


def _is_json(path: Path) -> bool:
    return _is_text(path) and _head(path).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def _is_archive(path: Path) -> bool:
    return _names_in(path) is not None


def _holds(folder: str) -> Callable[[Path], bool]:
    """An Office Open XML package with the given main folder (ECMA-376, part 2)."""

    def check(path: Path) -> bool:
        names = _names_in(path) or []
        return "[Content_Types].xml" in names and any(name.startswith(folder) for name in names)

    return check


def _names_in(path: Path) -> list[str] | None:
    """Give the names in a zip archive, of which nothing is unpacked; None where it is none.

    Raises InvalidError for one that would fill the disk or the memory of whoever opens it.
    """
    size = path.stat().st_size
    if _directory_bytes(path) > _LARGEST_DIRECTORY:
        raise invalid("file", "archive_too_large")
    try:
        with zipfile.ZipFile(path) as package:
            parts = package.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    unpacked = sum(part.file_size for part in parts)
    is_bomb = unpacked > max(_MOST_UNPACKED, _MOST_EXPANSION * size)
    # Contents that take more room than there is lie over each other.
    if is_bomb or sum(part.compress_size for part in parts) > size:
        raise invalid("file", "archive_too_large")
    return [part.filename for part in parts]


def _directory_bytes(path: Path) -> int:
    """Give the length of an archive's list of contents, as it is told and as ZipFile reads it."""
    with path.open("rb") as content:
        end = zipfile._EndRecData(content)  # type: ignore[attr-defined]  # noqa: SLF001
    return int(end[_DIRECTORY_SIZE]) if end else 0


_IMAGES = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP"}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS: dict[str, tuple[str, Callable[[Path], bool]]] = {
    "pdf": ("application/pdf", _begins_with(b"%PDF-")),
    "zip": ("application/zip", _is_archive),
    "docx": (f"{_OFFICE}.wordprocessingml.document", _holds("word/")),
    "xlsx": (f"{_OFFICE}.spreadsheetml.sheet", _holds("xl/")),
    "doc": ("application/msword", _begins_with(_OLE_SIGNATURE)),
    "xls": ("application/vnd.ms-excel", _begins_with(_OLE_SIGNATURE)),
    "csv": ("text/csv", _is_text),
    "txt": ("text/plain", _is_text),
    "json": ("application/json", _is_json),
    "geojson": ("application/geo+json", _is_json),
}
