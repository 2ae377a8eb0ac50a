"""The fault suite: real servers are killed, frozen, filled and cut off under a recorded load.

How a test is made::

    def test_what_must_hold(portal: Portal) -> None:
        with injected("what is broken", portal, down={"database"}) as fault:
            with fault.lasting():       # from here on the fault is there
                portal.servers.kill_database()
                fault.stay(1.5)         # seconds under load
                portal.servers.start_database()

- ``portal`` is a ``satupeta serve`` on a PostgreSQL and an object store of the suite's own
  (``portal.py``); ``gated`` is another one, that reaches them through proxies (``gate.py``) which
  do what a real server cannot be made to do. Both live as long as the run: that none is started
  anew between the faults is what shows that they recover by themselves.
- ``injected`` (``faults.py``) starts the load (``load.py``: readers, writers, uploads, downloads
  and a prober of readiness, each request recorded), waits for full service before and after the
  fault, and then holds all promises of docs/reliability.md: what was acknowledged is there, nothing
  is half-written (``stored.py``), errors are 503 with Retry-After within the deadline, readiness
  told the truth, and service was full again in time.
- ``make faults`` runs all of it, the long tests too, and writes the figures into
  docs/reliability.md (``figures.py``); no other run changes that file.
"""

import pytest

pytest.register_assert_rewrite("tests.faults.faults")
