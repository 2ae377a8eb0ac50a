"""The addresses of the other portal, and those of its files inside texts."""

import re
import uuid
from collections.abc import Callable, Collection, Iterator
from urllib.parse import urljoin, urlsplit, urlunsplit

from satupeta_server.errors import InputError
from satupeta_server.settings_values import is_web_address

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_FILE_END = re.compile(rf"/files/({_UUID})/download/?(?:[?#].*)?")
# Bounded, since a picture inside the text itself is a word of a million letters.
_FILE_IN_TEXT = re.compile(
    rf"""(?:(?:https?:)?//[^\s"'<>/]{{1,255}})?/[^\s"'<>]{{0,200}}?files/({_UUID})/download"""
)
LONGEST_ADDRESS = 2_000


def base_addresses(address: str) -> tuple[str, ...]:
    """Give the addresses at which the API may stand: as it is named, and below ``/api``.

    Raises InputError for what is no address of http or https, or has a password in it.
    """
    wrong = InputError(f"{address[:100]!r} is no address such as https://old.example.org/api.")
    text = address.strip()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
    except ValueError:
        raise wrong from None
    if "@" in parts.netloc:
        raise InputError("Give the address without a user in it, and the name with --username.")
    base = urlunsplit((parts.scheme.lower(), parts.netloc, parts.path.rstrip("/"), "", ""))
    if len(base) > LONGEST_ADDRESS or not is_web_address(base, with_path=True):
        raise wrong
    return (base,) if parts.path.rstrip("/").endswith("/api") else (base, f"{base}/api")


def host_of(address: str) -> str:
    """Give the name of the host, in lower case; empty where an address has none."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def origin_of(address: str) -> tuple[str, str]:
    """Give scheme and place of an address: what a token may be sent to."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, f"{(parts.hostname or '').lower()}:{port}"


def redirected(address: str, location: str | None) -> str | None:
    """Give the address that a redirect leads to; None where it leads to no web address."""
    try:
        target = urljoin(address, location or "")
        parts = urlsplit(target)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and bool(location)
    except ValueError:
        return None
    return target if is_web else None


def file_id(value: object) -> uuid.UUID | None:
    """Read a reference to a file: its id, or the address of its download.

    Raises ValueError for anything else.
    """
    if value is None or value == "":
        return None
    text = str(value).strip()
    found = _FILE_END.search(text)
    return uuid.UUID(found[1] if found else text)


class FileAddresses:
    """The addresses of the other portal's files, as its articles name them."""

    def __init__(self, hosts: Collection[str], ours: str) -> None:
        self._hosts = {host.lower() for host in hosts}
        self._ours = ours

    def ids_in(self, html: str) -> Iterator[uuid.UUID]:
        """Give the ids of the files that a text names."""
        for found in _FILE_IN_TEXT.finditer(html):
            if self._is_theirs(found[0]):
                yield uuid.UUID(found[1])

    def rewritten(self, html: str, is_here: Callable[[uuid.UUID], bool]) -> str:
        """Point a text at our own files, as far as they are here."""

        def ours(found: re.Match[str]) -> str:
            key = uuid.UUID(found[1])
            is_ours = self._is_theirs(found[0]) and is_here(key)
            return f"{self._ours}/files/{key}/download" if is_ours else found[0]

        return _FILE_IN_TEXT.sub(ours, html)

    def _is_theirs(self, address: str) -> bool:
        host = host_of(address)
        return not host or host in self._hosts
