"""Somebody who uses a hub: a home folder, a cache in it, a token, and commands that run there."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.helpers.hub import COMMIT, TOKEN, Hub

MODEL = f"test/small@{COMMIT}"


class User:
    """Runs Python with a home folder of its own against a hub on loopback; checks that the output shows no secrets."""

    def __init__(self, home: Path, hub: Hub):
        home.mkdir()
        self.home, self.hub = home, hub

    def environment(self) -> dict[str, str]:
        """The variables that make Hugging Face libraries use this user's home folder, token and hub."""
        return {"HF_ENDPOINT": self.hub.address, "HF_TOKEN": TOKEN, "HOME": str(self.home)}

    def run(
        self, *command: str, fails: bool = False, cwd: Path = ROOT, environment: dict[str, str] | None = None
    ) -> str:
        """Run Python with these arguments; return what it printed, without the last line break."""
        process = subprocess.run(
            [sys.executable, *command],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | self.environment() | (environment or {}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )
        assert (process.returncode != 0) == fails, process.stdout
        assert TOKEN not in process.stdout
        assert str(self.home) not in process.stdout
        return process.stdout.strip()

    def evaluate(
        self,
        expression: str,
        before: str = "",
        fails: bool = False,
        cwd: Path = ROOT,
        environment: dict[str, str] | None = None,
    ) -> str:
        """Print an expression's value, after the statements `before`; return the one line. Retries wait 0 s."""
        code = (
            "import time; from pathlib import Path; from sentiment import errors, hub; "
            f"time.sleep = lambda seconds: None; {before}\nerrors.run(lambda: print({expression}))"
        )
        printed = self.run("-c", code, fails=fails, cwd=cwd, environment=environment)
        assert printed.count("\n") == 0, printed
        return printed

    def fetch(self, model: str = MODEL, fails: bool = False, **environment: str) -> str:
        """Fetch a model: its source, or the error."""
        before = "from sentiment.pretrained import sources"
        return self.evaluate(f"sources.fetch({model!r}).source", before, fails, environment=environment)

    def load(self, source: str, fails: bool = False, **environment: str) -> str:
        """Load a dataset with this dataset.yaml: how many reviews it has, or the error."""
        folder = self.home / "project/data/reviews"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dataset.yaml").write_text(source)
        before = "from sentiment.data import dataset"
        return self.evaluate(
            "len(dataset.load('reviews')[1])", before, fails, folder.parent.parent, environment
        )

    def upload(
        self,
        folder: Path,
        repo: str = "test/new",
        fails: bool = False,
        options: str = "",
        before: str = "",
        **environment: str,
    ) -> str:
        """Upload a folder as hub.upload does, with more arguments in `options`: what it returns, or the error."""
        arguments = f"Path({str(folder)!r}), {repo!r}, 'message', ['vocab*', '*.bin'], {options}"
        return self.evaluate(f"*hub.upload({arguments})", before, fails=fails, environment=environment)

    def cached(self, file: str) -> Path:
        """The content in the cache of a file of test/small."""
        (link,) = self.home.glob(f".cache/huggingface/hub/models--test--small/snapshots/*/{file}")
        return link.resolve()

    def published(self, repo: str) -> dict[str, bytes]:
        """The files of the newest commit of a model repository on the hub, by name."""
        repository = self.hub.repositories[f"models/{repo}"]
        return {
            file.name: file.read_bytes() for file in sorted(repository.commits[repository.head].iterdir())
        }
