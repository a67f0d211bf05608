"""The web server: it ends without breaking off what it has begun."""

import asyncio
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from sentiment.commands.serve.scoring import ScoringQueue

GRACE = 5  # seconds after which no more of the waiting texts is begun: those who stop servers wait 10 s or more


class Server(uvicorn.Server):
    """uvicorn, which at Ctrl-C or SIGTERM takes no new requests and finishes those that it has.

    Args:
        config: of uvicorn.
        queue: the queue to close.
    """

    def __init__(self, config: uvicorn.Config, queue: ScoringQueue):
        super().__init__(config)
        self._queue = queue

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Close the queue, and empty it if that takes too long."""
        self._queue.closed = True
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, GRACE, self._queue.refuse_waiting)
        super().handle_exit(sig, frame)


def serve(app: FastAPI, queue: ScoringQueue, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM, which come again as KeyboardInterrupt once all is answered."""
    host, port = listening.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C ends it)", flush=True)
    # uvicorn takes uvloop where it is installed; asyncio prints a stack trace for each connection that the system has no room for.
    settings = uvicorn.Config(app, http="h11", log_level="error", access_log=False)
    Server(settings, queue).run(sockets=[listening])
