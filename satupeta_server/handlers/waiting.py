"""Waiting for one's turn, and no longer than a request may take."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from tornado.web import Finish

from satupeta_server.errors import UnavailableError
from satupeta_server.handlers.base import BaseHandler

CLIENT_HAS_GONE = 499
"""What the log says of a request whose client did not wait for its turn; nobody gets it."""

Method = Callable[..., Awaitable[None]]


def give_up(handler: BaseHandler) -> NoReturn:
    """End a request whose client has gone."""
    handler.set_status(CLIENT_HAS_GONE, "Client Closed Request")
    raise Finish


def in_turn(method: Method) -> Method:
    """Let a handler's method work for only some requests of one caller at once, in order.

    A caller is a user or, where nobody is logged in, an address. What works without the
    database, or mostly waits for others than it (logins, files, health), needs no turn.
    """

    @functools.wraps(method)
    async def waiting(self: BaseHandler, *path: Any) -> None:
        seconds = self.services.settings.request_timeout_seconds
        caller = self.caller.user_id or self.caller.address
        try:
            async with (
                asyncio.timeout(seconds) as self.deadline,
                self.settings["turns"].take(caller),
            ):
                if self.is_client_gone:
                    give_up(self)
                if not self.write_kept():
                    await method(self, *path)
        except TimeoutError:
            if self.is_client_gone:
                give_up(self)
            raise UnavailableError from None
        finally:
            self.deadline = None

    return waiting
