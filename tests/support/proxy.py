"""A proxy in front of the brokers of this machine, which counts the requests of the clients that it serves."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

SIZE = 4
"""The bytes before each request and each answer that say how long it is."""


class CountingProxy:
    """Serves while it is entered: a port of its own for each broker.

    In the brokers' answers it puts its own ports in place of theirs, so that clients stay with it.
    """

    def __init__(self, brokers: Sequence[int]) -> None:
        self._brokers = brokers
        self._names: dict[bytes, bytes] = {}
        self.counts: Counter[int] = Counter()
        """How often each kind of request was sent, by its number in Kafka's protocol."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        ports = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(20)
        self._names = {_address(old): _address(new) for old, new in zip(self._brokers, ports, strict=True)}
        self.bootstrap = ",".join(f"localhost:{port}" for port in ports)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _listen(self) -> list[int]:
        self._servers = [await asyncio.start_server(self._join_to(port), "127.0.0.1", 0) for port in self._brokers]
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _join_to(self, port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answers, broker = await asyncio.open_connection("localhost", port)
            with contextlib.suppress(asyncio.CancelledError):  # the proxy ends
                await asyncio.gather(_pump(reader, broker, self._counted), _pump(answers, writer, self._renamed))

        return serve

    def _counted(self, request: bytes) -> bytes:
        self.counts[int.from_bytes(request[:2], "big")] += 1
        return request

    def _renamed(self, answer: bytes) -> bytes:
        for old, new in self._names.items():
            answer = answer.replace(old, new)
        return answer


def _address(port: int) -> bytes:
    """A broker's address as answers have it: the host, and the port in four bytes."""
    return b"localhost" + port.to_bytes(4, "big")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]) -> None:
    try:
        while True:
            size = await reader.readexactly(SIZE)
            writer.write(size + change(await reader.readexactly(int.from_bytes(size, "big"))))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        """One side has ended; the other one is closed."""
    finally:
        writer.close()
