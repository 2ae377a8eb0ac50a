"""One process of ``satupeta serve`` or ``dev``, which ends with it.

It is an API process on sockets that the parent bound, or with ``worker`` in their place the worker.
"""

import os
import signal
import sys
import threading
import time

from satupeta_server.drivers import leave_out_psycopg

WATCH_SECONDS = 0.5


def end_with_parent(parent: int) -> None:
    """End this process in order once its parent is gone, or it would hold the port for ever.

    ``parent`` is the parent's own word: it may be gone before this process can ask who it is.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main(work: str, parent: int) -> None:
    """Do what the parent asks for until it asks for the end, or is gone."""
    if work != "worker":
        leave_out_psycopg()
    # What each needs is loaded only now: some of it only after that, and some by one alone.
    from satupeta_server.logs import configure_logging  # noqa: PLC0415
    from satupeta_server.settings import load_settings  # noqa: PLC0415

    settings = load_settings(env_file=None)
    configure_logging(settings)
    end_with_parent(parent)
    if work == "worker":
        from satupeta_server.worker import run  # noqa: PLC0415

        run(settings)
    else:
        from satupeta_server.server import inherited_sockets, serve  # noqa: PLC0415

        serve(settings, inherited_sockets(work))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
