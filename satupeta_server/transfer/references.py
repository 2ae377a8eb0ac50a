"""Which record a cell means, that names it by id, name or code; and how to name a record."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from satupeta_server.queries.values import ValueProblem
from satupeta_server.transfer.kinds import Kind, Reference

_SEVERAL = uuid.UUID(int=0)


@dataclass
class Names:
    """The living records of one table, by what they are called."""

    ids: set[uuid.UUID] = field(default_factory=set)
    by_name: dict[str, uuid.UUID] = field(default_factory=dict)
    labels: dict[uuid.UUID, str] = field(default_factory=dict)

    def add(self, record_id: uuid.UUID, names: Iterable[str | None]) -> None:
        """Take a record in; its first name is how it is called in exports."""
        self.ids.add(record_id)
        for name in names:
            if not name:
                continue
            self.labels.setdefault(record_id, name)
            key = _normal(name)
            same = self.by_name.get(key, record_id)
            self.by_name[key] = record_id if same == record_id else _SEVERAL

    def resolve(self, text: str) -> uuid.UUID:
        """Give the id; raises ValueProblem when there is none, or more than one."""
        found = self.by_name.get(_normal(text))
        if found is not None and found != _SEVERAL:
            return found
        try:
            by_id = uuid.UUID(text.strip())
        except ValueError:
            by_id = None
        if by_id in self.ids and by_id is not None:
            return by_id
        raise ValueProblem("several_named_so" if found else "none_named_so", name=text[:100])

    def label(self, record_id: uuid.UUID) -> str:
        """Call a record so that :meth:`resolve` finds it again."""
        label = self.labels.get(record_id)
        is_unique = label is not None and self.by_name.get(_normal(label)) == record_id
        return label if label is not None and is_unique else str(record_id)


class References:
    """All that the references of one kind may name, read once."""

    def __init__(self, kind: Kind) -> None:
        self._names = {column: _read(one) for column, one in kind.references.items()}

    def names(self, column: str) -> Names:
        """Give the records that a column may name."""
        return self._names[column]


def _read(reference: Reference) -> Names:
    model: Any = reference.model
    columns = [getattr(model, key) for key in reference.keys]
    names = Names()
    for record_id, *texts in model.select(model.id, *columns).where(model.living()).tuples():
        names.add(record_id, texts)
    return names


def _normal(text: str) -> str:
    return " ".join(text.split()).lower()
