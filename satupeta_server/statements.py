"""Statements that are put together once and run with other values each time.

Peewee takes longer to write a statement with a whole representation in it than PostgreSQL does
to answer it, and PostgreSQL longer to plan it than to run it. So both is done once: the text is
kept by its shape, and the plan by each connection.
"""

import itertools
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from peewee import SQL

MOST_PREPARED = 300_000
"""Characters of the statements that a connection keeps plans of; beyond it begins anew.

A plan takes about 70 bytes of PostgreSQL's memory for each, in every connection.
"""

_numbers = itertools.count(1)
_PLACES = re.compile("%s|%%")

Values = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Slot:
    """A value that each run of a statement brings, by its name."""

    name: Hashable


def parameter(value: Any, kind: str = "") -> SQL:
    """The expression of a slot, or of a value that the driver knows, as a type of PostgreSQL."""
    return SQL(f"%s::{kind}" if kind else "%s", (value,))


class Statement(str):
    """The text of a statement, with the slots and constants at its places."""

    __slots__ = ("is_planned_anew", "name", "parameters")

    parameters: Sequence[Any]
    name: str
    is_planned_anew: bool
    """Whether the best plan depends so much on the values that it is not worth keeping."""

    @classmethod
    def of(cls, text: str, parameters: Sequence[Any], *, is_planned_anew: bool = False) -> Self:
        """Take what Peewee has written."""
        statement = cls(text)
        statement.parameters = tuple(parameters)
        statement.name = f"statement_{next(_numbers)}"
        statement.is_planned_anew = is_planned_anew
        return statement

    def bound(self, values: Values) -> list[Any]:
        """All parameters in their order, for the text itself."""
        return [values[one.name] if isinstance(one, Slot) else one for one in self.parameters]

    def prepared(self) -> tuple[str, list[Any]]:
        """PREPARE of this statement, and its constants: a plan may depend on them."""
        numbers, parameters = itertools.count(1), iter(self.parameters)

        def place(match: re.Match[str]) -> str:
            if match[0] == "%%":
                return "%%"
            return f"${next(numbers)}" if isinstance(next(parameters), Slot) else "%s"

        text = _PLACES.sub(place, self)
        constants = [one for one in self.parameters if not isinstance(one, Slot)]
        return f"PREPARE {self.name} AS {text}", constants

    def execution(self, values: Values) -> tuple[str, list[Any]]:
        """EXECUTE of this statement, once it is prepared, and the values of its slots."""
        slots = [values[one.name] for one in self.parameters if isinstance(one, Slot)]
        places = ", ".join(["%s"] * len(slots))
        return f"EXECUTE {self.name} ({places})" if slots else f"EXECUTE {self.name}", slots
