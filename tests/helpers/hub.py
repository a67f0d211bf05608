"""A small model hub on loopback with fault injection, for real downloads and uploads in tests."""

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from sentiment import validation

COMMIT = "c0ffee1" * 5 + "c0ffe"
LFS = (".bin", ".parquet", ".safetensors")  # identified by SHA-256; other files by Git's SHA-1
PART = 16 * 2**20  # bytes; longer files are uploaded in parts
OWNER, TOKEN = "test", "hf_thisIsNobodysToken"  # this token may write to this owner's repositories


@dataclass
class Fault:
    """A fault of the requests that match `where`, a pattern for `METHOD /path`.

    Either the answer is `status`; or the body is damaged; or it ends after `sent` bytes in the way of `end`,
    without any answer if `sent` is None. A PUT request ends after `sent` bytes have arrived.
    """

    where: str
    times: float = float("inf")  # later requests succeed
    status: int | None = None
    retry_after: int | None = None
    damaged: bool = False
    sent: int | None = None
    end: Literal["cut", "reset", "stall"] | None = None


@dataclass
class Repository:
    """A repository: a folder for each commit, the newest last, and tags."""

    commits: dict[str, Path]
    private: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]


@dataclass
class Hub:
    """A running hub.

    Attributes:
        address: for HF_ENDPOINT.
        repositories: by `models/owner/name` or `datasets/owner/name`.
        requests: all requests so far: `METHOD /path`, and the Range if there is one.
        faults: faults to inject.
        injected: number of faults injected so far.
    """

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    injected: int = 0

    def asked(self, pattern: str) -> list[str]:
        """The requests that match the pattern."""
        return [request for request in self.requests if re.search(pattern, request)]


@contextmanager
def serve(repositories: dict[str, Path]) -> Iterator[Hub]:
    """Serve folders as repositories with the single commit COMMIT. OWNER's repositories accept more commits.

    Args:
        repositories: folders by `models/owner/name` or `datasets/owner/name`.
    """
    hub = Hub(repositories={name: Repository({COMMIT: folder}) for name, folder in repositories.items()})
    closing = threading.Event()
    store = Path(tempfile.mkdtemp())  # uploads: files by SHA-256, and commits

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        fault: Fault | None

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            request = f"{self.command} {url.path}"
            hub.requests.append(f"{request} {self.headers.get('Range', '')}".strip())
            self.fault = next(
                (fault for fault in hub.faults if fault.times and re.search(fault.where, request)), None
            )
            if self.fault and self.fault.end and self.command == "PUT":
                self.body = self.rfile.read(self.fault.sent or 0)
            else:
                self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.fault:
                self.fault.times -= 1
                hub.injected += 1
                if self.fault.status:
                    asked = self.fault.retry_after
                    message = f"not for {self.headers.get('Authorization')}"  # some proxies are as careless
                    headers = {"X-Error-Message": message} | (
                        {} if asked is None else {"Retry-After": str(asked)}
                    )
                    self.send(self.fault.status, {"error": message}, headers)
                    return
                if self.fault.end and (self.fault.sent is None or self.command == "PUT"):
                    self.end(self.fault.end)
                    return
            path = unquote(url.path).strip("/")
            if self.command in ("GET", "HEAD"):
                self.answer(path)
            elif path.startswith("store/"):  # as on the Hub, no token is needed
                self.keep(
                    path.removeprefix("store/"), json.loads(self.body) if self.command == "POST" else None
                )
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                message = "Invalid credentials in Authorization header"
                self.send(401, {"error": message}, {"X-Error-Message": message})
            else:
                self.write(path)

        do_HEAD = do_POST = do_PUT = do_GET

        def write(self, path: str) -> None:
            if path == "api/validate-yaml":
                self.validate(json.loads(self.body)["content"])
                return
            if path == "api/repos/create":
                self.create(json.loads(self.body))
                return
            match = re.fullmatch(
                r"(?:api/)?((?:models/)?([\w.-]+)/[\w.-]+?)(?:\.git/info/lfs/objects|/(\w+))/([\w.-]+)", path
            )
            name = f"models/{match[1].removeprefix('models/')}" if match else ""
            if not match or name not in hub.repositories:
                self.send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            elif match[2] != OWNER:
                self.send(403, {"error": "Forbidden"}, {"X-Error-Message": "You have no rights here"})
            elif match[3] == "preupload":
                self.preupload(hub.repositories[name], json.loads(self.body)["files"])
            elif match[3] == "commit":
                self.commit(name, [json.loads(line) for line in self.body.splitlines()])
            elif match[3] == "tag":
                hub.repositories[name].tags[json.loads(self.body)["tag"]] = match[4]
                self.send(200, {})
            else:
                self.batch(json.loads(self.body)["objects"])

        def create(self, asked: dict[str, str]) -> None:
            name = f"{asked['organization']}/{asked['name']}"
            url = {"url": f"{hub.address}/{name}"}
            if f"models/{name}" in hub.repositories:
                self.send(409, url | {"error": "You already created this model repo"})
            elif asked["organization"] != OWNER:
                self.send(403, {"error": "You don't have the rights to create a model under this namespace"})
            else:
                folder = store / name / "0"
                folder.mkdir(parents=True)
                (folder / ".gitattributes").write_text("".join(f"*{suffix} filter=lfs\n" for suffix in LFS))
                private = asked.get("visibility") == "private"
                hub.repositories[f"models/{name}"] = Repository({COMMIT[::-1]: folder}, private)
                self.send(200, url)

        def validate(self, content: str) -> None:
            match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
            data = validation.parse_yaml(match[1], "README.md") if match else {}
            missing = {"license", "model-index"} - set(data)
            messages = [{"message": f'"{key}" is required'} for key in sorted(missing)]
            self.send(400 if missing else 200, {"errors": messages, "warnings": []})

        def preupload(self, repository: Repository, files: list[dict[str, str]]) -> None:
            folder = repository.commits[repository.head]
            answers = []
            for file in files:
                there = folder / file["path"]
                mode = "lfs" if there.suffix in LFS else "regular"
                oid = name(there) if there.exists() else None
                answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
            self.send(200, {"files": answers})

        def batch(self, objects: list[dict[str, Any]]) -> None:
            """Answer where to upload files: nowhere if they exist, in parts if they are long."""
            for each in objects:
                href = f"{hub.address}/store/{each['oid']}"
                if (store / each["oid"]).exists():
                    continue
                each["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
                if each["size"] > PART:
                    parts = {
                        f"{number + 1:05}": f"{href}/{number + 1}"
                        for number in range(-(-each["size"] // PART))
                    }
                    each["actions"]["upload"] = {
                        "href": f"{href}/whole",
                        "header": {"chunk_size": str(PART)} | parts,
                    }
            self.send(200, {"transfer": "basic", "objects": objects})

        def keep(self, path: str, asked: dict[str, Any] | None) -> None:
            """Store a file or a part, join the parts of a file, or answer whether a file exists."""
            oid, _, what = path.partition("/")
            if what == "verify":
                self.send(200 if (store / oid).exists() else 404, {})
                return
            parts = [store / f"{oid}.{part['partNumber']}" for part in asked["parts"]] if asked else []
            content = b"".join(part.read_bytes() for part in parts) if asked else self.body
            if what in ("", "whole") and hashlib.sha256(content).hexdigest() != oid:
                self.send(400, {"error": "It has another SHA-256"})
                return
            (store / (oid if what in ("", "whole") else f"{oid}.{what}")).write_bytes(content)
            self.send(200, {}, {"ETag": f'"{what}"'})

        def commit(self, name: str, lines: list[dict[str, Any]]) -> None:
            repository = hub.repositories[name]
            folder = store / name.removeprefix("models/") / str(len(repository.commits))
            shutil.copytree(repository.commits[repository.head], folder)
            for line in lines:
                file = folder / line["value"].get("path", "")
                if line["key"] == "file":
                    file.write_bytes(base64.b64decode(line["value"]["content"]))
                elif line["key"] == "lfsFile":
                    shutil.copy(store / line["value"]["oid"], file)
                elif line["key"] == "deletedFile":
                    file.unlink()
            sha = hashlib.sha1(self.body + repository.head.encode()).hexdigest()
            repository.commits[sha] = folder
            self.send(
                200,
                {"commitOid": sha, "commitUrl": f"{hub.address}/{name.removeprefix('models/')}/commit/{sha}"},
            )

        def answer(self, path: str) -> None:
            api = path.startswith("api/")
            path = path.removeprefix("api/")
            if not path.startswith(("models/", "datasets/")):
                path = f"models/{path}"
            match = re.fullmatch(r"(\w+/[\w.-]+/[\w.-]+)/?(\w[\w-]*)?/?([^/]*)/?(.*)", path)
            repository = hub.repositories.get(match[1]) if match else None
            hidden = (
                repository and repository.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"
            )
            if not match or repository is None or hidden:
                self.send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
                return
            what, revision, rest = match[2], match[3], match[4]
            commit = repository.head if revision in ("", "main") else repository.tags.get(revision, revision)
            folder = repository.commits.get(commit)
            if folder is None:
                self.send(404, {"error": "Revision not found"}, {"X-Error-Code": "RevisionNotFound"})
            elif not api:
                self.send_file(folder / rest, commit)
            elif what == "tree":
                self.send(200, [entry(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()])
            elif what == "refs":
                tags = [
                    {"name": tag, "ref": tag, "targetCommit": commit}
                    for tag, commit in repository.tags.items()
                ]
                main = {"name": "main", "ref": "main", "targetCommit": repository.head}
                self.send(200, {"branches": [main], "converts": [], "tags": tags})
            else:
                repo = match[1].split("/", 1)[1]
                self.send(200, {"id": repo, "sha": commit, "siblings": [], "private": repository.private})

        def send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            self.send_bytes(
                status, json.dumps(content).encode(), {"Content-Type": "application/json"} | (headers or {})
            )

        def send_file(self, file: Path, commit: str) -> None:
            if not file.is_file():
                self.send(
                    404,
                    {"error": "Entry not found"},
                    {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit},
                )
                return
            content = file.read_bytes()
            headers = {"ETag": f'"{name(file)}"', "X-Repo-Commit": commit}
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
        shutil.rmtree(store)


def name(file: Path) -> str:
    """The hash by which Git identifies a file's content, which is the hub's ETag."""
    content = file.read_bytes()
    if file.suffix in LFS:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(folder: Path, file: Path) -> dict[str, object]:
    """The entry of a file in the hub's tree listing."""
    size = file.stat().st_size
    listed = {"type": "file", "oid": name(file)[:40], "size": size, "path": str(file.relative_to(folder))}
    return listed | (
        {"lfs": {"oid": name(file), "size": size, "pointerSize": 130}} if file.suffix in LFS else {}
    )
