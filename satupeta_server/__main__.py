"""One API process on sockets that its parent bound; the parent is ``satupeta serve`` or ``dev``."""

import sys

from satupeta_server.logs import configure_logging
from satupeta_server.server import inherited_sockets, serve
from satupeta_server.settings import load_settings

if __name__ == "__main__":
    settings = load_settings(env_file=None)
    configure_logging(settings)
    serve(settings, inherited_sockets(sys.argv[1]))
