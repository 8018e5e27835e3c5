"""The program that puts servers under load: raw HTTP/1.1 over connections that are kept, each with one request under way.

Reads one `Load` a line and answers each with a `Reached`. A load ends by itself.
"""

import asyncio
import sys
import time
from collections import deque
from functools import partial
from typing import cast

import msgspec
import uvloop

from benchmarks.asking import FIRST, Message

ROOM = 900_000
"""So many values have six digits; after these they come again, long after any memo forgot them."""


class Load(msgspec.Struct, frozen=True):
    """Ask a port for so many seconds: a connection for each message, each asking again as soon as it is answered.

    With a `rate` so many a second are asked instead, whether the server keeps up or not, and each is timed from when it was due. `fresh`
    puts another value into every request.
    """

    port: int
    messages: tuple[Message, ...]
    seconds: float
    fresh: bool = False
    rate: float = 0.0


class Reached(msgspec.Struct, frozen=True):
    """What a load reached: requests answered a second, permits among what was decided, µs of half of the requests and of 99 in 100."""

    per_second: float
    answered: int
    permits: int
    p50: float
    p99: float


class Values:
    """The value of the next request, whatever load it belongs to."""

    def __init__(self) -> None:
        self._next = 0

    def texts(self, count: int) -> list[str]:
        """So many values, each another."""
        self._next += count
        return [str(FIRST + number % ROOM) for number in range(self._next - count, self._next)]


class Connection(asyncio.Protocol):
    """One kept connection, which asks when it is told to and tells when it was answered."""

    def __init__(self, message: Message, run: "Run") -> None:
        headers = "".join(f"{name}: {value}\r\n" for name, value in (("Content-Type", "application/json"), *message.headers))
        length = len(message.body.encode())
        self._head = f"POST {message.path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n"
        self._same = (self._head + message.body).encode()
        self._parts, self._run = message.parts, run
        self._buffer = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing is asked yet."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def ask(self, due: float) -> None:
        """Send the next request."""
        self._due = due
        self.transport.write(self._another() if self._run.load.fresh else self._same)

    def _another(self) -> bytes:
        values = self._run.values.texts(len(self._parts) - 1)
        text = [self._parts[0], *(piece for pair in zip(values, self._parts[1:], strict=True) for piece in pair)]
        return (self._head + "".join(text)).encode()

    def data_received(self, data: bytes) -> None:
        """Take an answer, once it is there whole."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self._buffer = b""
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"loading: {head.decode()}\n{body.decode()}")
        self._run.answered(self, self._due, body.count(b'"decision":true'))


class Run:
    """One load under way."""

    def __init__(self, load: Load, values: Values) -> None:
        self.load, self.values = load, values
        self._took: list[float] = []
        self._permits = 0
        self._idle: deque[Connection] = deque()
        self._overdue: deque[float] = deque()
        self._busy = 0
        self._all_asked = False
        self._over = asyncio.Event()

    async def reached(self) -> Reached:
        """Open the connections, ask until time is up, and wait for the last answers."""
        loop = asyncio.get_running_loop()
        for message in self.load.messages:
            connection = Connection(message, self)
            await loop.create_connection(partial(_itself, connection), "127.0.0.1", self.load.port)
            self._idle.append(connection)
        begun = time.perf_counter()
        self._until = begun + self.load.seconds
        connections = list(self._idle)
        if self.load.rate:
            await self._paced(begun)
        else:
            self._idle.clear()
            self._busy = len(connections)
            for connection in connections:
                connection.ask(time.perf_counter())
        self._all_asked = True
        if self._busy:
            await self._over.wait()
        spent = time.perf_counter() - begun
        for connection in connections:
            connection.transport.close()
        took = sorted(self._took)
        p50, p99 = took[len(took) // 2] * 1e6, took[len(took) * 99 // 100] * 1e6
        return Reached(len(took) / spent, len(took), self._permits, p50, p99)

    async def _paced(self, begun: float) -> None:
        due = begun
        while due < self._until:
            await asyncio.sleep(0.001)
            while due < min(time.perf_counter(), self._until):
                self._overdue.append(due)
                due += 1 / self.load.rate
            self._ask_overdue()

    def _ask_overdue(self) -> None:
        while self._overdue and self._idle:
            self._busy += 1
            self._idle.popleft().ask(self._overdue.popleft())

    def answered(self, connection: Connection, due: float, permits: int) -> None:
        """Note an answer, and go on."""
        now = time.perf_counter()
        self._took.append(now - due)
        self._permits += permits
        if not self.load.rate and now < self._until:
            connection.ask(now)
            return
        self._busy -= 1
        self._idle.append(connection)
        self._ask_overdue()
        if not self._busy and self._all_asked:
            self._over.set()


def _itself(connection: Connection) -> Connection:
    return connection


def main() -> None:
    """Answer each load that is asked for."""
    values = Values()
    for line in sys.stdin.buffer:
        load = msgspec.json.decode(line, type=Load)
        reached = uvloop.run(Run(load, values).reached())
        print(msgspec.json.encode(reached).decode(), flush=True)


if __name__ == "__main__":
    main()
