"""The other portal's API: logging in, reading lists and records, fetching files."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import orjson

from satupeta_server.errors import InputError
from satupeta_server.fetching import ForbiddenAddressError
from satupeta_server.transfer.portal.addresses import (
    base_addresses,
    origin_of,
    redirected,
)
from satupeta_server.transfer.portal.exchange import (
    Answer,
    Exchange,
    Request,
    TooMuchError,
    unreachable,
)

_RENEWED_AFTER_SECONDS = 600
"""A token whose end nobody told is used no longer."""
_EARLY_SECONDS = 60
_MOST_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_FIRST_TRIES = 2
_AGENT = {"User-Agent": "satupeta", "Accept": "application/json", "Accept-Encoding": "gzip"}


class UnreadableError(Exception):
    """Something of the other portal cannot be read; the text is a sentence that says why."""


class DeniedError(UnreadableError):
    """The user may not read it there."""


class AbsentError(UnreadableError):
    """It is not there."""


@dataclass(frozen=True)
class Listed:
    """A page of a list as it came; ``total`` and ``has_more`` are None where they are not told."""

    items: list[Any]
    total: int | None
    has_more: bool | None


@dataclass(frozen=True)
class Download:
    """A file that has come whole; size in bytes, SHA-256 in hexadecimal."""

    path: Path
    name: str
    content_type: str
    size: int
    checksum: str


@dataclass
class _Token:
    text: str = field(repr=False)
    renew_at: float


class PortalClient:
    """Reads as one user; the password stays in memory, for a new login when a token ends."""

    def __init__(self, exchange: Exchange, username: str, password: str) -> None:
        self.base = ""
        self._exchange = exchange
        self._username = username
        self._password = password
        self._token: _Token | None = None

    async def open(self, address: str) -> None:
        """Find the API at an address, and log in.

        Raises InputError for an address without such an API and for a wrong login,
        UnreachableError when nobody answers.
        """
        self._exchange.trust(base_addresses(address)[0])
        for base in base_addresses(address):
            if await self._is_api(base):
                self.base = base
                await self._login()
                return
        raise InputError(f"There is no API of a portal at {base_addresses(address)[0]}.")

    async def close(self) -> None:
        """End the session there."""
        if self._token is not None:
            headers = {**_AGENT, "Authorization": f"Bearer {self._token.text}"}
            request = Request("POST", f"{self.base}/auth/logout", headers)
            await self._exchange.send(request, tries=1)

    async def role(self) -> str | None:
        """Give the name of the user's role there, where it is told."""
        try:
            me = await self.get("/me")
        except UnreadableError:
            return None
        role = me.get("role") if isinstance(me, dict) else None
        name = role.get("name") if isinstance(role, dict) else None
        return name if isinstance(name, str) else None

    async def page(self, path: str, **parameters: object) -> Listed:
        """Read a page of a list.

        Raises UnreadableError, of which DeniedError and AbsentError are kinds, TooMuchError for
        a page that is too large, and UnreachableError.
        """
        content = await self.get(f"{path}?{urlencode(parameters, safe=':')}")
        items = content.get("items") if isinstance(content, dict) else None
        if not isinstance(items, list):
            raise UnreadableError(f"{path} gives no list.")
        total, has_more = content.get("total"), content.get("has_more")
        return Listed(
            items,
            total if isinstance(total, int) and not isinstance(total, bool) else None,
            has_more if isinstance(has_more, bool) else None,
        )

    async def get(self, path: str) -> Any:
        """Read JSON; raises as :meth:`page` does."""
        address = f"{self.base}{path}"
        answer = await self._authorised(address)
        for _ in range(_MOST_REDIRECTS):
            if answer.status not in _REDIRECTS:
                break
            target = redirected(address, answer.headers.get("location"))
            if target is None or origin_of(target) != origin_of(self.base):
                raise UnreadableError(f"{_bare(path)} is redirected to another place.")
            address = target
            answer = await self._authorised(address)
        _refuse_status(answer.status, _bare(path))
        try:
            return _parsed(answer.body)
        except (ValueError, RecursionError):
            raise UnreadableError(f"{_bare(path)} gives no JSON.") from None

    async def download(self, file_id: object, target: Path, largest: int) -> Download:
        """Fetch a file; anybody may, so the token is not sent and redirects are followed.

        Raises UnreadableError, TooMuchError beyond ``largest`` bytes, and UnreachableError.
        """
        path = f"/files/{file_id}/download"
        address: str | None = f"{self.base}{path}"
        headers = {"User-Agent": _AGENT["User-Agent"], "Accept-Encoding": "identity"}
        for _ in range(_MOST_REDIRECTS):
            if address is None:
                break
            request = Request("GET", address, headers, target=target, largest=largest)
            try:
                answer = await self._exchange.send(request)
            except ForbiddenAddressError as error:
                raise UnreadableError(f"{path} is redirected. {error}") from None
            if answer.status not in _REDIRECTS:
                _refuse_status(answer.status, path)
                return _downloaded(answer, target)
            address = redirected(address, answer.headers.get("location"))
        raise UnreadableError(f"{path} is redirected without end.")

    async def _authorised(self, address: str) -> Answer:
        """Send with the token; after a 401 once more, with a new one."""
        if self._token is None or time.time() > self._token.renew_at:
            await self._login()
        answer = await self._exchange.send(self._with_token(address))
        if answer.status == 401:
            await self._login()
            answer = await self._exchange.send(self._with_token(address))
        return answer

    def _with_token(self, address: str) -> Request:
        text = self._token.text if self._token else ""
        return Request("GET", address, {**_AGENT, "Authorization": f"Bearer {text}"})

    async def _is_api(self, base: str) -> bool:
        """Tell whether a list that everybody may read is there, before a password goes out."""
        request = Request("GET", f"{base}/categories?limit=1", _AGENT)
        try:
            answer = await self._exchange.send(request, tries=_FIRST_TRIES)
        except TooMuchError:
            return False
        if answer.status in _REDIRECTS:
            target = redirected(request.address, answer.headers.get("location"))
            if target is not None and origin_of(target) != origin_of(base):
                place = "://".join(origin_of(target))
                raise InputError(f"{base} redirects to {place}; give that address.")
        content = _object(answer.body)
        return answer.status in (401, 403) if content is None else _is_of_api(answer, content)

    async def _login(self) -> None:
        form = {"username": self._username, "password": self._password}
        request = Request("POST", f"{self.base}/auth/login", _AGENT, form)
        self._token = None
        answer = await self._exchange.send(request)
        content = _object(answer.body)
        if content is None or answer.status in (404, 405):
            raise InputError(f"{self.base}/auth/login is no login of a portal.")
        if answer.status >= 500:
            raise unreachable(f"{self.base}/auth/login", answer.status)
        inner = content.get("data")
        found = inner if isinstance(inner, dict) and "access_token" in inner else content
        text = found.get("access_token")
        is_good = 200 <= answer.status < 300 and not content.get("error")
        if not is_good or not isinstance(text, str) or not re.fullmatch(r"[!-~]+", text):
            raise InputError("The other portal refuses this username with this password.")
        self._token = _Token(text, _renewal(found.get("expires_at")))


def _is_of_api(answer: Answer, content: Mapping[str, Any]) -> bool:
    return answer.status in (401, 403) or isinstance(content.get("items"), list)


def _renewal(expires_at: object) -> float:
    now = time.time()
    if isinstance(expires_at, (int, float)) and expires_at > now:
        return max(now + 1, float(expires_at) - _EARLY_SECONDS)
    return now + _RENEWED_AFTER_SECONDS


def _parsed(body: bytes) -> Any:
    """Parse JSON; one bad letter or number must not cost the whole page."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        content = _parsed(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _refuse_status(status: int, path: str) -> None:
    if status in (401, 403):
        raise DeniedError(f"The user may not read {path} there.")
    if status in (404, 405, 410):
        raise AbsentError(f"{path} is not there.")
    if not 200 <= status < 300:
        raise UnreadableError(f"{path} is answered with {status}.")


def _bare(path: str) -> str:
    return path.partition("?")[0]


def _downloaded(answer: Answer, path: Path) -> Download:
    if answer.status != 200:
        raise UnreadableError(f"A file is answered with {answer.status}.")
    content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    name = _file_name(answer.headers.get("content-disposition", ""))
    return Download(path, name, content_type, answer.size, answer.checksum)


def _file_name(disposition: str) -> str:
    """Read the name of a file as it is sent (RFC 6266), without any folder."""
    extended = re.search(r"filename\*=UTF-8''([^;\s]+)", disposition, re.IGNORECASE)
    plain = re.search(r'filename="?([^";]+)"?', disposition, re.IGNORECASE)
    name = unquote(extended[1], errors="replace") if extended else plain[1] if plain else ""
    name = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "", name.replace("\\", "/").rpartition("/")[2])
    return name.strip()[-200:]
