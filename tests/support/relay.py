"""A bootstrap address whose brokers call themselves by a port where nobody answers."""

import socket
import struct
import threading
from contextlib import suppress
from typing import Self


class Relay:
    """Passes requests to a mock broker, and in its answers replaces the broker's own port. Runs while it is entered."""

    def __init__(self, broker: str, advertised: int) -> None:
        host, _, port = broker.rpartition(":")
        self._broker = host, int(port)
        # As it stands in Kafka's protocol: the host, then a port of four bytes.
        self._own, self._other = (host.encode() + struct.pack(">i", number) for number in (int(port), advertised))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = [self._listener]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._broker)
                self._sockets += (client, server)
                threading.Thread(target=self._pass, args=(client, server, b"", b""), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, self._own, self._other), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, old: bytes, new: bytes) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data.replace(old, new) if old else data)
