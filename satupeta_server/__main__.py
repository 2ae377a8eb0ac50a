"""One process of ``satupeta serve`` or ``dev``, which ends with it.

It is an API process on sockets that the parent bound, or with ``worker`` in their place the worker.
"""

import os
import signal
import sys
import threading
import time

from satupeta_server.logs import configure_logging
from satupeta_server.server import inherited_sockets, serve
from satupeta_server.settings import load_settings

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


if __name__ == "__main__":
    settings = load_settings(env_file=None)
    configure_logging(settings)
    descriptors, parent = sys.argv[1:]
    end_with_parent(int(parent))
    if descriptors == "worker":
        # API processes start sooner without what only the worker needs.
        from satupeta_server.worker import run

        run(settings)
    else:
        serve(settings, inherited_sockets(descriptors))
