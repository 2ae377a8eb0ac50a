"""One fault under load, and whether every promise held."""

import contextlib
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from tests.faults.figures import Figure, figures
from tests.faults.load import Load, Request
from tests.faults.portal import DATABASE_SECONDS, REQUEST_SECONDS, Portal
from tests.faults.stored import half_written, lost

RECOVERY_SECONDS = 3.0
READINESS_SECONDS = 2.0
BUSY_SECONDS = 4.0 if "PYTEST_XDIST_WORKER" in os.environ else 0.0
"""What other processes of the same run may add to a time; ``make faults`` is alone."""
SLACK_SECONDS = 1.0 + BUSY_SECONDS
DEADLINE_SECONDS = DATABASE_SECONDS + REQUEST_SECONDS
"""Finding out who calls asks the database once, before the request's own time begins."""
_WARM_SECONDS = 20.0
_CALM_SECONDS = 0.5


@dataclass
class Fault:
    """When a fault lasted, and how many there were."""

    load: Load
    spans: list[tuple[float, float]] = field(default_factory=list)
    count: int = 0
    complete: float | None = None
    """When it was wholly there, where that took a while."""
    stayed: float = 0.0
    certain_until: float = 0.0
    """Until then it surely was there: a server may serve before the test knows that it does."""

    @contextlib.contextmanager
    def lasting(self, number: int = 1) -> Iterator[None]:
        """What is done within is the fault; ``number`` of them."""
        begun = time.monotonic()
        yield
        ended = time.monotonic()
        self.spans.append((begun, ended))
        self.certain_until = self.stayed if self.stayed > begun else ended
        self.count += number

    def is_complete(self) -> None:
        """Say that it is wholly there only now."""
        self.complete = time.monotonic()

    def stay(self, seconds: float) -> None:
        """Let the load go on for so many seconds."""
        time.sleep(seconds)
        self.stayed = time.monotonic()

    def refused(self, kind: str) -> int:
        """How many requests of a kind were answered 503."""
        return sum(one.status == 503 for one in self.load.requests if one.kind == kind)

    @property
    def begun(self) -> float:
        """When the first began."""
        return self.spans[0][0]

    @property
    def ended(self) -> float:
        """When the last ended."""
        return self.spans[-1][1]


@contextlib.contextmanager
def injected(
    name: str,
    portal: Portal,
    *,
    down: Collection[str] = (),
    goes_on: Collection[str] = (),
    may_cut: Collection[str] = (),
    deadline: float = DEADLINE_SECONDS,
) -> Iterator[Fault]:
    """Put a portal under load, let the test break something, and hold all that is promised.

    ``down`` names what readiness must say to be down from READINESS_SECONDS after the beginning
    to the end, ``goes_on`` the kinds of requests that do not need what is broken and so are served
    all the while, ``may_cut`` the kinds of which an answer that has begun may break off.
    """
    said = len(portal.served.said.read_text())
    with portal.load() as load:
        assert load.wait_for_full_service(time.monotonic(), _WARM_SECONDS), summary(load.requests)
        fault = Fault(load)
        fault.stay(_CALM_SECONDS)
        yield fault
        load.wait_for_full_service(fault.ended, RECOVERY_SECONDS + SLACK_SECONDS)
        fault.stay(_CALM_SECONDS)
    recovery = recovery_seconds(load, fault)
    gone = lost(portal.settings, load.acknowledged)
    figures.append(
        Figure(
            name,
            fault.count,
            len(load.requests),
            load.acknowledged.writes,
            len(gone),
            recovery,
        )
    )
    tracebacks = portal.served.said.read_text()[said:].split("Traceback")[1:]
    assert not [one.partition("\n20")[0][-700:] for one in tracebacks]
    assert not gone
    assert not load.wrong
    assert not half_written(portal.settings)
    bad = list(bad_answers(load.requests, may_cut, deadline + SLACK_SECONDS))
    assert not bad
    failed = [one for one in load.requests if one.kind in goes_on and not one.is_served]
    assert not failed
    untrue = list(untrue_readiness(load, fault, down))
    assert not untrue
    assert recovery is not None, summary(load.since(fault.ended))
    assert recovery <= RECOVERY_SECONDS + BUSY_SECONDS, summary(load.since(fault.ended))
    assert no_leak(portal) is None


def recovery_seconds(load: Load, fault: Fault) -> float | None:
    """Seconds from the end of the fault to full service; None where it did not come.

    Full service is there once each kind of request is served and none fails any more.
    """
    after = load.since(fault.ended)
    last_failure = max((one.ended for one in after if not one.is_served), default=fault.ended)
    moments = []
    for kind in {one.kind for one in load.requests}:
        served = [one.ended for one in after if one.kind == kind and one.is_served]
        if not served:
            return None
        moments.append(min(served))
    return max(*moments, last_failure) - fault.ended


def bad_answers(
    requests: list[Request], may_cut: Collection[str], deadline: float
) -> Iterator[str]:
    """Name the answers that were neither served nor a 503 with Retry-After within the deadline."""
    for one in requests:
        if one.status == 0 and one.kind in may_cut:
            continue
        is_refusal = one.status == 503 and one.retry_after is not None
        if not (one.is_served or is_refusal) or one.seconds > deadline:
            yield f"{one.kind} was answered {one.status} after {one.seconds:.2f} s {one.error}"


def untrue_readiness(load: Load, fault: Fault, down: Collection[str]) -> Iterator[str]:
    """Name the answers about readiness that came late or were not true."""
    probes = [one for one in load.requests if one.kind == "ready"]
    begun, ended = fault.begun, fault.ended
    told_from = (fault.complete or begun) + READINESS_SECONDS + BUSY_SECONDS
    for one in probes:
        is_told = set(down) <= set(one.down)
        if one.seconds > READINESS_SECONDS + SLACK_SECONDS:
            yield f"readiness took {one.seconds:.2f} s"
        if (one.ended < begun or one.begun > ended + READINESS_SECONDS + BUSY_SECONDS) and one.down:
            yield f"{one.down} were said to be down without a fault"
        if told_from < one.ended < fault.certain_until and not is_told:
            yield f"{down} were down for {one.ended - begun:.2f} s, but not {one.down}"
    is_long = ended - begun > READINESS_SECONDS + BUSY_SECONDS
    if (
        down
        and is_long
        and not any(begun <= one.ended and set(down) <= set(one.down) for one in probes)
    ):
        yield f"{down} were never said to be down"


def no_leak(portal: Portal) -> str | None:
    """Wait a little for what is being closed; gives what stays too much all the same."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while (found := portal.leaks()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def summary(requests: list[Request]) -> str:
    """Count the answers by their kind and status, for who reads a failure."""
    counts: dict[tuple[str, int], list[float]] = {}
    for one in requests:
        counts.setdefault((one.kind, one.status), []).append(one.seconds)
    lines = sorted(
        f"{kind} {status}: {len(times)}, up to {max(times):.2f} s"
        for (kind, status), times in counts.items()
    )
    return "; ".join(lines)
