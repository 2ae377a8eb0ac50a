"""A proxy that does to connections what a real server cannot be made to do at a given moment."""

import contextlib
import socket
import struct
import threading
import time

_RESET = struct.pack("ii", 1, 0)
FULL = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InsufficientStorage</Code>'
    b"<Message>No room</Message></Error>"
)
REFUSAL = (
    b"HTTP/1.1 507 Insufficient Storage\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(FULL), FULL)
)


class Gate:
    """Passes bytes on to one server; what it does besides is set while it runs."""

    def __init__(self, target: tuple[str, int] | str) -> None:
        self.target = target
        self.delay = 0.0
        """Seconds that each piece of an answer is held back."""
        self.is_full = False
        """Whether uploads are refused for want of room."""
        self.cut_upload: int | None = None
        """After how many bytes towards the server a connection is cut."""
        self.cut_download: int | None = None
        """After how many bytes from the server a connection is cut."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self) -> None:
        """Only pass bytes on from now on."""
        self.delay, self.is_full, self.cut_upload, self.cut_download = 0.0, False, None, None

    def reset(self) -> None:
        """Cut all connections there are."""
        with self._lock:
            open_now = list(self._open)
        for one in open_now:
            _reset(one)

    def close(self) -> None:
        """Take no more connections, and cut those there are."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        server = socket.socket(family)
        pair = {client, server}
        with self._lock:
            self._open |= pair
        try:
            server.connect(self.target)
            back = threading.Thread(target=self._answer, args=(server, client), daemon=True)
            back.start()
            self._ask(client, server)
            back.join()
        except OSError:
            _reset(client)
        finally:
            with self._lock:
                self._open -= pair
            client.close()
            server.close()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.is_full and data.startswith(b"PUT "):
                    return _refuse(client, server)
                passed += len(data)
                if self.cut_upload is not None and passed > self.cut_upload:
                    _reset(client)
                    break
                server.sendall(data)
            _end(server)
        return None

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                passed += len(data)
                if self.delay:
                    time.sleep(self.delay)
                if self.cut_download is not None and passed > self.cut_download:
                    client.sendall(data[: len(data) // 2])
                    _reset(client)
                    break
                client.sendall(data)
        _end(client)
        _end(server)


def _refuse(client: socket.socket, server: socket.socket) -> None:
    client.settimeout(0.2)
    # All of it is taken first: who still sends would get a reset instead of the refusal.
    with contextlib.suppress(TimeoutError):
        while client.recv(65536):
            pass
    client.settimeout(None)
    client.sendall(REFUSAL)
    _end(client)
    _end(server)


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    _end(one)


def _end(one: socket.socket) -> None:
    # Closing would not wake up the thread that reads from it.
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
