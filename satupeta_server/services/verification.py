"""The states of a mapset's verification and who may lead from one to another.

A mapset begins in verification; a validator approves or rejects it; a rejected one is submitted
again by whoever may change it. A change that does not start from the present state is refused
as outdated, so of two validators who decide at once the second learns of it. A validator who
proves with If-Match to know the present state may lead it anywhere.
"""

from typing import Any

from satupeta_server.errors import ConflictError, ForbiddenError
from satupeta_server.models.mapsets import Mapset, MapsetHistory
from satupeta_server.security.callers import Caller

IN_VERIFICATION = "on_verification"
APPROVED = "approved"
REJECTED = "rejected"

_STEPS = {
    (IN_VERIFICATION, APPROVED),
    (IN_VERIFICATION, REJECTED),
    (REJECTED, IN_VERIFICATION),
}
_DIALOG = {"status_validation", "notes", "layer_url"}


def refuse_stale_dialog(caller: Caller, row: Mapset, values: dict[str, Any]) -> None:
    """Raise ConflictError when a verifier decides on a layer address that has changed since.

    The portal's verify dialog, which is known by what it sends, repeats the address that the
    verifier saw (contract, 14.12).
    """
    is_dialog = values.get("status_validation") in (APPROVED, REJECTED) and set(values) <= _DIALOG
    if not (is_dialog and "layer_url" in values and caller.may("mapsets:verify")):
        return
    if values["layer_url"] != row.layer_url:
        raise ConflictError("layer_changed", errors={})


async def check_transition(caller: Caller, row: Mapset, status: str, *, is_confirmed: bool) -> None:
    """Let a change of the status pass or refuse it.

    ``is_confirmed`` says that If-Match named the present revision. Raises ForbiddenError when
    the caller may not verify, ConflictError when the status that the caller saw is outdated.
    """
    if caller.may("mapsets:verify"):
        if not is_confirmed and (row.status_validation, status) not in _STEPS:
            raise ConflictError("status_outdated")
    elif status != IN_VERIFICATION:
        # An edit form repeats the status that it was opened with; that is no attempt to verify.
        outdated = await _once_had(row, status)
        raise ConflictError("status_outdated") if outdated else ForbiddenError("verify_needed")
    elif row.status_validation != REJECTED:
        raise ConflictError("status_outdated")


async def _once_had(row: Mapset, status: str) -> bool:
    condition = (MapsetHistory.mapset_id == row.id) & (MapsetHistory.validation_type == status)
    return await MapsetHistory.aio_get_or_none(condition) is not None
