"""Changes of a move: committed piece by piece, told, and recorded once."""

from collections.abc import Awaitable, Callable, Sequence

from satupeta_server.database import database
from satupeta_server.security.callers import Caller
from satupeta_server.services.audit import record_action
from satupeta_server.transfer.portal.outcomes import CHANGES, Entry, Tally
from satupeta_server.transfer.portal.resources import PORTAL

ACTION = "import_portal"


class Work:
    """Commits each piece whole or not at all; what it tells has happened."""

    def __init__(
        self, caller: Caller, address: str, told: Callable[[Entry], None], *, is_trial: bool
    ) -> None:
        self.tally = Tally()
        self.is_trial = is_trial
        self._caller = caller
        self._address = address
        self._told = told
        self._is_recorded = False

    def tell(self, entry: Entry) -> None:
        """Count and report how a record ended."""
        self.tally.add(entry)
        self._told(entry)

    async def commit(self, piece: Callable[[], Awaitable[Sequence[Entry]]]) -> Sequence[Entry]:
        """Do a piece of the move in one transaction.

        The first one that changes anything also writes the one audit record: so a move that is
        interrupted has left it, too.
        """
        async with database.whole():
            entries = await piece()
            records = not self._is_recorded and any(one.fate in CHANGES for one in entries)
            if records:
                await record_action(self._caller, ACTION, PORTAL, portal=self._address)
        self._is_recorded = self._is_recorded or records
        for entry in entries:
            self.tell(entry)
        return entries
