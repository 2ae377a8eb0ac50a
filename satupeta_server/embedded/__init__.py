"""Real PostgreSQL and a real S3 store as children of our own process, for who has neither."""

from satupeta_server.embedded.errors import EmbeddedError
from satupeta_server.embedded.lock import DataFolderLock
from satupeta_server.embedded.servers import Addresses, EmbeddedServers, running_addresses

__all__ = [
    "Addresses",
    "DataFolderLock",
    "EmbeddedError",
    "EmbeddedServers",
    "running_addresses",
]
