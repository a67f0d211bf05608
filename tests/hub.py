"""A small model hub on loopback, with faults to inject, so that the real download code runs in tests."""

import hashlib
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee1" * 5 + "c0ffe"
LFS = (".bin", ".parquet", ".safetensors")  # Git knows these by their SHA-256, and all others by its own SHA-1


@dataclass
class Fault:
    """What goes wrong with the requests that `where`, a pattern for `METHOD /path`, is found in.

    Either `status` is the answer, or the body is damaged, or it ends after `sent` bytes (no answer at all if None)
    the way that `end` says.
    """

    where: str
    times: float = float("inf")  # then all is well
    status: int | None = None
    retry_after: int | None = None
    damaged: bool = False
    sent: int | None = None
    end: Literal["cut", "reset", "stall"] | None = None


@dataclass
class Hub:
    """Where it listens (for HF_ENDPOINT), every request so far (`METHOD /path`, then any Range), and its faults."""

    address: str = ""
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    injected: int = 0

    def asked(self, pattern: str) -> list[str]:
        """The requests that the pattern is found in."""
        return [request for request in self.requests if re.search(pattern, request)]


@contextmanager
def serve(repositories: dict[str, Path]) -> Iterator[Hub]:
    """Serve folders as repositories, each with the one commit COMMIT.

    Args:
        repositories: folders by `models/owner/name` or `datasets/owner/name`.
    """
    hub = Hub()
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        fault: Fault | None

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            request = f"{self.command} {url.path}"
            hub.requests.append(f"{request} {self.headers.get('Range', '')}".strip())
            self.fault = next((fault for fault in hub.faults if fault.times and re.search(fault.where, request)), None)
            if self.fault:
                self.fault.times -= 1
                hub.injected += 1
                if self.fault.status:
                    asked = self.fault.retry_after
                    said = f"not for {self.headers.get('Authorization')}"  # as careless as a proxy may be
                    headers = {"X-Error-Message": said} | ({} if asked is None else {"Retry-After": str(asked)})
                    self.send(self.fault.status, {"error": said}, headers)
                    return
                if self.fault.end and self.fault.sent is None:
                    self.end(self.fault.end)
                    return
            self.answer(unquote(url.path).strip("/"))

        do_HEAD = do_GET

        def answer(self, path: str) -> None:
            api = path.startswith("api/")
            path = path.removeprefix("api/")
            if not path.startswith(("models/", "datasets/")):
                path = f"models/{path}"
            found = re.fullmatch(r"(\w+/[\w.-]+/[\w.-]+)/?(\w[\w-]*)?/?([^/]*)/?(.*)", path)
            folder = repositories.get(found[1]) if found else None
            if not found or folder is None:
                self.send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
                return
            what, revision, rest = found[2], found[3], found[4]
            if revision not in ("", "main", COMMIT):
                self.send(404, {"error": "Revision not found"}, {"X-Error-Code": "RevisionNotFound"})
            elif not api:
                self.send_file(folder / rest)
            elif what == "tree":
                self.send(200, [entry(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()])
            else:
                self.send(200, {"id": found[1].split("/", 1)[1], "sha": COMMIT, "siblings": []})

        def send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            self.send_bytes(
                status, json.dumps(content).encode(), {"Content-Type": "application/json"} | (headers or {})
            )

        def send_file(self, file: Path) -> None:
            if not file.is_file():
                self.send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                return
            content = file.read_bytes()
            headers = {"ETag": f'"{name(file)}"', "X-Repo-Commit": COMMIT}
            if self.fault and self.fault.damaged:
                content = bytes([content[0] ^ 1]) + content[1:]
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if wanted:
                first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                content = content[first : last + 1]
            self.send_bytes(206 if wanted else 200, content, headers)

        def send_bytes(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for header, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(header, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            if self.fault and self.fault.end:
                self.wfile.write(content[: self.fault.sent])
                self.end(self.fault.end)
            else:
                self.wfile.write(content)

        def end(self, how: str) -> None:
            self.close_connection = True
            if how == "stall":
                closing.wait()
            elif how == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        closing.set()
        server.shutdown()
        server.server_close()


def name(file: Path) -> str:
    """What Git calls the content of a file: the hub's ETag."""
    content = file.read_bytes()
    if file.suffix in LFS:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(folder: Path, file: Path) -> dict[str, object]:
    """A file as the hub's tree listing shows it."""
    size = file.stat().st_size
    found = {"type": "file", "oid": name(file)[:40], "size": size, "path": str(file.relative_to(folder))}
    return found | ({"lfs": {"oid": name(file), "size": size, "pointerSize": 130}} if file.suffix in LFS else {})
