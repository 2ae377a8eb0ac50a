"""Free TCP ports on loopback."""

import secrets
import socket
from collections.abc import Mapping, Sequence

LOOPBACK = "127.0.0.1"
GRPC_OFFSET = 10_000

# A port and its gRPC port both stay below 32,768, where Linux begins to hand ports out to
# outgoing connections: no passing connection can take one between two starts.
_LOWEST = 10_240
_HIGHEST = 32_767 - GRPC_OFFSET
_HIGHEST_ALLOWED = 55_000


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of loopback now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of the last run that linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_free_pair(port: int) -> bool:
    """Whether `port` and its gRPC port are free and small enough."""
    return 1024 <= port < _HIGHEST_ALLOWED and is_free(port) and is_free(port + GRPC_OFFSET)


def choose_ports(names: Sequence[str], remembered: Mapping[str, object]) -> dict[str, int]:
    """A port for each of `names`, its gRPC port free too: the remembered ones when all are."""
    ports = {name: port for name in names if isinstance(port := remembered.get(name), int)}
    all_differ = len(set(ports.values())) == len(names)
    if all_differ and all(is_free_pair(port) for port in ports.values()):
        return ports
    chosen: list[int] = []
    while len(chosen) < len(names):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST + 1)
        if port not in chosen and is_free_pair(port):
            chosen.append(port)
    return dict(zip(names, chosen, strict=True))
