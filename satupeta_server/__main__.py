"""One API process on sockets that its parent bound; the parent is ``satupeta serve`` or ``dev``."""

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
    serve(settings, inherited_sockets(descriptors))
