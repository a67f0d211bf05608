"""The web server: uvicorn with limits on time and connections, which refuses ambiguous requests."""

import asyncio
import contextlib
import http
import json
import os
import re
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from sentiment.commands.serve.served_model import ServedModel
from sentiment.errors import one_line

GRACE_SECONDS = 5  # until texts that still wait are refused; supervisors kill after 10 s or more
TRANSFER_SECONDS = 30  # in which a request must arrive, and a client must read its answer
MAX_CONNECTIONS = 2048
MAX_HEADER_BYTES = 16 * 2**10  # with the request line
ACCEPTED_AT_ONCE = 4

_METHODS = {method.encode() for method in http.HTTPMethod}
# A bare line feed, and a header that continues on the next line (RFC 9112, 2.2 and 5.2).
_AMBIGUOUS_LINE = re.compile(rb"(?<!\r)\n|\n[ \t]")
_LENGTHS = re.compile(rb"(?im)^(?:content-length|transfer-encoding):(.*)$")


class Connection(h11.Connection):
    """An HTTP/1.1 parser that refuses unknown methods, and requests that a proxy may read differently.

    If a proxy and a server disagree about where a request ends, a client can smuggle a second one past the
    proxy (RFC 9112, 11.2).
    """

    def next_event(self) -> Any:
        """The next part of a request.

        Raises:
            RemoteProtocolError: the request is refused; `error_status_hint` is the HTTP status.
        """
        if self.their_state is h11.IDLE:
            head = self.trailing_data[0].partition(b"\r\n\r\n")[0]
            if len(head) > MAX_HEADER_BYTES:
                raise h11.RemoteProtocolError("the headers are too large", error_status_hint=431)
            if _AMBIGUOUS_LINE.search(head):
                raise h11.RemoteProtocolError("a header line ends without CRLF, or is continued on the next")
            lengths = _LENGTHS.findall(head)
            if len(lengths) > 1 or b"," in b"".join(lengths):
                raise h11.RemoteProtocolError("more than one Content-Length or Transfer-Encoding")
        event = super().next_event()
        if not isinstance(event, h11.Request):
            return event
        if event.http_version not in (b"1.0", b"1.1"):
            raise h11.RemoteProtocolError("not HTTP/1.1", error_status_hint=505)
        if event.method not in _METHODS:  # each method becomes a label of the metrics
            method = one_line(event.method.decode("ascii"), 20)
            raise h11.RemoteProtocolError(f"unknown method {method}", error_status_hint=501)
        if b"transfer-encoding" not in dict(event.headers):
            return event
        if event.http_version < b"1.1":
            raise h11.RemoteProtocolError("Transfer-Encoding needs HTTP/1.1")
        # Parsers differ in what they accept between chunks, so nothing is read after them.
        headers = [*event.headers, (b"connection", b"close")]
        version = event.http_version
        return h11.Request(method=event.method, target=event.target, headers=headers, http_version=version)


class Protocol(H11Protocol):
    """A connection with time limits for receiving a request and for sending an answer.

    When connections run out, a new one replaces the connection that has been idle, or sending its request,
    for the longest time. So clients that send half a request cannot lock others out.
    """

    def __init__(self, *arguments: Any, **settings: Any):
        super().__init__(*arguments, **settings)
        self.conn = Connection(h11.SERVER, max_incomplete_event_size=2 * MAX_HEADER_BYTES)
        self._deadline: asyncio.TimerHandle | None = None  # set while a request is expected or incomplete
        self._reading_deadline: asyncio.TimerHandle | None = None  # set while the client does not read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request; close the oldest waiting connection if there are too many."""
        super().connection_made(transport)
        self._update_deadline()
        # uvicorn's limit for the time between two requests applies to the first one too.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        if len(self.connections) > max_connections():
            self._close_oldest()

    def data_received(self, data: bytes) -> None:
        """Handle a part of a request."""
        super().data_received(data)
        self._update_deadline()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._update_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines."""
        super().connection_lost(exc)
        self._cancel_deadlines()

    def pause_writing(self) -> None:
        """Set a deadline for a client that does not read its answers."""
        super().pause_writing()
        self._reading_deadline = self.loop.call_later(TRANSFER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel that deadline."""
        super().resume_writing()
        if self._reading_deadline:
            self._reading_deadline.cancel()

    def shutdown(self) -> None:
        """Refuse a request that has not arrived completely; uvicorn answers the others before it closes."""
        if self._deadline:
            self._end(503, "the server is stopping")
        elif not self.transport.is_closing():
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request while its error is being handled."""
        error = sys.exception()
        status = getattr(error, "error_status_hint", 400)
        self._refuse(status, f"request: {one_line(str(error or msg))}")

    def _close_oldest(self) -> None:
        """Close the connection that has been idle, or sending its request, for the longest time."""
        waiting = [each for each in self.connections if isinstance(each, Protocol) and each._deadline]
        oldest = min(waiting, key=lambda each: each._deadline.when() if each._deadline else 0)
        oldest._end(503, "too many connections are open; try again")

    def _update_deadline(self) -> None:
        """Set a deadline while a request is expected or incomplete; otherwise cancel it."""
        arriving = self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self.transport.is_closing()
        if arriving and not self._deadline:
            line = f"request: did not arrive within {TRANSFER_SECONDS} seconds"
            self._deadline = self.loop.call_later(TRANSFER_SECONDS, self._end, 408, line)
        elif not arriving and self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _end(self, status: int, line: str) -> None:
        """Close the connection, with an error if a part of a request has arrived."""
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._cancel_deadlines()
            self.transport.close()
        else:
            self._refuse(status, line)

    def _refuse(self, status: int, line: str) -> None:
        """Answer with an error unless an answer has started, and close the connection."""
        self._cancel_deadlines()
        if self.cycle is not None:  # the application must not answer as well
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps({"error": line}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
        with contextlib.suppress(h11.LocalProtocolError):  # an answer has started, or HEAD allows no body
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _cancel_deadlines(self) -> None:
        for deadline in (self._deadline, self._reading_deadline):
            if deadline:
                deadline.cancel()
        self._deadline = None


class Server(uvicorn.Server):
    """uvicorn, which on Ctrl-C or SIGTERM refuses new requests and answers the others before it stops.

    Args:
        config: uvicorn's settings.
        served: the model, which is reloaded on SIGHUP.
        hangup: is set on SIGHUP.
    """

    def __init__(self, config: uvicorn.Config, served: ServedModel, hangup: threading.Event):
        super().__init__(config)
        self._served, self._hangup = served, hangup
        self._reloading: asyncio.Task[None] | None = None
        self._terminals = [number for number in (0, 1, 2) if os.isatty(number)]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start with a long queue of connections that the system holds until they are accepted."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(MAX_CONNECTIONS)

    async def on_tick(self, counter: int) -> bool:
        """Ten times per second: reload the model after SIGHUP, or stop if the terminal was closed."""
        if self._hangup.is_set() and not self._terminals_are_open():
            self.handle_exit(signal.SIGTERM, None)
        elif self._hangup.is_set() and (self._reloading is None or self._reloading.done()):
            self._hangup.clear()
            self._reloading = asyncio.create_task(self._served.reload())
        return await super().on_tick(counter)

    def _terminals_are_open(self) -> bool:
        """Whether the terminal that the server was started from, if any, still exists."""
        return all(map(os.isatty, self._terminals))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse new texts; after GRACE_SECONDS, refuse those that still wait."""
        self._served.refuse_new()
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, GRACE_SECONDS, self._served.refuse_waiting)
        super().handle_exit(sig, frame)


def configure(app: FastAPI) -> uvicorn.Config:
    """The settings of uvicorn."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        # asyncio accepts `backlog` connections at a time, and the server can close others in between. uvloop
        # accepts all at once, and drops those for which it has no file descriptors.
        loop="asyncio",
        backlog=ACCEPTED_AT_ONCE,
        log_level="error",
        access_log=False,
    )


def max_connections() -> int:
    """The number of connections that may be open at once, with some file descriptors to spare."""
    if resource is None:
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, files - max(32, files // 4))


def catch_hangup() -> threading.Event:
    """The event that SIGHUP sets from now on, instead of ending the process."""
    hangup = threading.Event()
    if hasattr(signal, "SIGHUP"):  # Windows has no such signal
        signal.signal(signal.SIGHUP, lambda *_: hangup.set())
    return hangup


def serve(app: FastAPI, served: ServedModel, hangup: threading.Event, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM; then all is answered and KeyboardInterrupt is raised."""
    host, port = listening.getsockname()[:2]
    if ":" in host:  # IPv6
        host = f"[{host}]"
    server = Server(configure(app), served, hangup)
    print(f"http://{host}:{port} (Ctrl-C stops the server)", flush=True)
    server.run(sockets=[listening])
