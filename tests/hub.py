"""A small model hub on loopback, so that the real download code of datasets and transformers runs in tests."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee1" * 5 + "c0ffe"


@contextmanager
def serve(repositories: dict[str, Path]) -> Iterator[str]:
    """Serve folders as repositories, each with the one commit COMMIT, and yield the address for HF_ENDPOINT.

    Args:
        repositories: folders by `models/owner/name` or `datasets/owner/name`.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self.answer(unquote(url.path).strip("/"))

        do_HEAD = do_GET

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.answer(unquote(urlsplit(self.path).path).strip("/"), body)

        def answer(self, path: str, body: str = "") -> None:
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
                entries = (
                    (folder / rest).rglob("*") if "recursive=true" in self.path.lower() else (folder / rest).glob("*")
                )
                self.send(200, [entry(folder, file) for file in sorted(entries)])
            elif what == "paths-info":
                wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
                self.send(200, [entry(folder, folder / name) for name in wanted if (folder / name).exists()])
            else:
                files = [{"rfilename": str(file.relative_to(folder))} for file in sorted(folder.rglob("*"))]
                owner_name = found[1].split("/", 1)[1]
                self.send(
                    200,
                    {
                        "id": owner_name,
                        "_id": "0",
                        "sha": COMMIT,
                        "private": False,
                        "gated": False,
                        "tags": [],
                        "downloads": 0,
                        "likes": 0,
                        "siblings": files,
                    },
                )

        def send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            self.send_bytes(
                status, json.dumps(content).encode(), {"Content-Type": "application/json"} | (headers or {})
            )

        def send_file(self, file: Path) -> None:
            if not file.is_file():
                self.send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                return
            content = file.read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if wanted:
                first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                content = content[first : last + 1]
            self.send_bytes(206 if wanted else 200, content, headers)

        def send_bytes(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def entry(folder: Path, file: Path) -> dict[str, object]:
    """A file or folder as the hub's tree listing shows it."""
    path = str(file.relative_to(folder))
    if file.is_dir():
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
    return {
        "type": "file",
        "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
        "size": file.stat().st_size,
        "path": path,
    }
