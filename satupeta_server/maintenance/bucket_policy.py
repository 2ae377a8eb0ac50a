"""What anybody can do with the bucket without a key, declared and tried; and closing it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from satupeta_server.maintenance.bucket_store import AdministeredStore, RefusedError


@dataclass(frozen=True)
class Access:
    """What callers without a key may do."""

    declared: tuple[str, ...]
    """The actions that the bucket's policy allows to everybody."""
    can_list: bool
    can_read: bool

    @property
    def is_open(self) -> bool:
        """Tell whether there is anything that they may do."""
        return bool(self.declared) or self.can_list or self.can_read

    @property
    def text(self) -> str:
        """Say it to people."""
        if self.declared:
            return f"the bucket's policy gives to everybody: {', '.join(self.declared)}"
        if self.can_list:
            return "everybody can list the bucket"
        return "everybody can read objects" if self.can_read else _CLOSED


_CLOSED = "nobody reaches objects without a key"


def anonymous_access(store: AdministeredStore) -> Access:
    """Read the policy, and really try to list and to read without a key."""
    try:
        statements = [one for one in _statements(store.policy()) if is_for_everybody(one)]
    except RefusedError:
        # The store knows no policies.
        statements = []
    declared = {action for one in statements for action in _as_list(one.get("Action"))}
    listing = f"{store.bucket}?list-type=2&max-keys=1"
    can_read = any(
        store.answer_to_anybody("HEAD", f"{store.bucket}/{quote(name)}").status == 200
        for name in store.first_names(1)[:1]
    )
    can_list = store.answer_to_anybody("GET", listing).status == 200
    return Access(tuple(sorted(declared)), can_list, can_read)


def close_policy(store: AdministeredStore, *, dry_run: bool = False) -> list[dict[str, Any]]:
    """Take from the policy what it allows to everybody, and give those statements."""
    policy = store.policy()
    statements = _statements(policy)
    kept = [one for one in statements if not is_for_everybody(one)]
    closed = [one for one in statements if is_for_everybody(one)]
    if closed and not dry_run:
        store.set_policy({**policy, "Statement": kept} if kept else {})
    return closed


def is_for_everybody(statement: dict[str, Any]) -> bool:
    """Tell whether a statement allows something to callers without a key."""
    principal = statement.get("Principal")
    named = principal.values() if isinstance(principal, dict) else [principal]
    is_open = any("*" in _as_list(one) for one in named) or "NotPrincipal" in statement
    return statement.get("Effect") == "Allow" and is_open


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    statements = policy.get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
