"""Real runs in temporary clones of this repository."""

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Test processes share the cores. This has to be set before torch is imported, also for child processes.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])))

import pandas as pd
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
# Parameters for a real but quick training.
SMALL = {"max_train_reviews": "64", "epochs": "1", "max_length": "32"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that use `ran` first: one worker creates it while the others run tests without it."""
    items.sort(key=lambda item: "ran" not in getattr(item, "fixturenames", ()))


def pytest_collection_finish() -> None:
    """Keep imported objects out of garbage collection, which Trainer and accelerate request often."""
    gc.freeze()


class Clone:
    """A Git clone with DVC, and a way to run commands in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "GIT_CONFIG_GLOBAL": str(folder.parent / "gitconfig"),
            "PYTHONPATH": str(folder),  # so that `sentiment` runs the clone's code
        }

    def run(self, command: str, fails: bool = False, **environment: str) -> str:
        """Run a command line and return its output; fail the test on an unexpected exit status."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment | environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=500,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{command}: exit status {done.returncode}\n{done.stdout}"
        return done.stdout

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command line as the leader of a process group, with all its output in one pipe."""
        return subprocess.Popen(
            f"exec {command}",
            shell=True,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs ignore it
        )

    def set(self, **values: str) -> None:
        """Set keys of params.yaml by editing their lines, as a user would."""
        path = self.folder / "params.yaml"
        lines = path.read_text().splitlines()
        for key, value in values.items():
            at = next(number for number, line in enumerate(lines) if line.startswith(f"{key}:"))
            lines[at] = f"{key}: {value}"
        path.write_text("\n".join(lines) + "\n")

    def commit(self) -> None:
        """Commit all changes."""
        self.run("git add -A && git commit -qm work")

    def dataset(self, name: str, source: str, **files: str | bytes) -> None:
        """Add data/<name>/ with this dataset.yaml and these files (`reviews_csv` is reviews.csv)."""
        folder = self.folder / "data" / name
        folder.mkdir(exist_ok=True)
        (folder / "dataset.yaml").write_text(source)
        for file, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (folder / file.replace("_", ".")).write_bytes(data)

    def bytes_of(self, *paths: str) -> dict[str, bytes]:
        """The content of every file under these paths."""
        content = {}
        for path in paths:
            top = self.folder / path
            for file in [top] if top.is_file() else sorted(top.rglob("*")):
                if file.is_file():
                    content[str(file.relative_to(self.folder))] = file.read_bytes()
        return content

    def details(self, name: str) -> dict[str, Any]:
        """The `details` of metrics/<name>.json."""
        content: dict[str, Any] = json.loads((self.folder / f"metrics/{name}.json").read_text())["details"][0]
        return content


def curve(clone: Clone, name: str) -> pd.Series:
    """A curve of metrics/training/ by step."""
    table = pd.read_csv(
        clone.folder / f"metrics/training/plots/metrics/{name}.tsv", sep="\t", index_col="step"
    )
    return table.iloc[:, 0]


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Headless Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None) or pytest.skip("Chromium is not installed")
    with api.sync_playwright() as driver:
        quiet = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-sync",
        ]
        chromium = driver.chromium.launch(executable_path=path, args=[*quiet, "--disable-component-update"])
        yield chromium
        chromium.close()


def shorten(dataset: Path, every: int) -> None:
    """Keep one in `every` films of a dataset, so that tests take less time."""
    reviews = pd.read_csv(dataset / "reviews.csv")
    kept = reviews[reviews["film"].isin(reviews["film"].unique()[::every])]
    kept.to_csv(dataset / "reviews.csv", index=False)
    counts = kept["split"].value_counts() if "split" in kept else {"test": len(kept)}
    rows = ", ".join(f"{split}: {count}" for split, count in counts.items())
    source = dataset / "dataset.yaml"
    source.write_text(re.sub(r"rows: .*", f"rows: {{{rows}}}", source.read_text()))


def clone_into(folder: Path) -> Clone:
    """Create a repository with a commit of the present files of this one."""
    clone = Clone(folder)
    (folder.parent / "gitconfig").write_text("[user]\n\tname = Test\n\temail = test@example.org\n")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if os.path.lexists(ROOT / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    shorten(folder / "data/challenge", every=60)
    shorten(folder / "data/sample", every=4)
    clone.run("git init -q -b main")
    clone.commit()
    return clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone in which nothing has run."""
    return clone_into(tmp_path / "project")


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Clone]) -> Clone:
    """The clone that `make` creates in a folder of this name, once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not (folder / "done").exists():
            folder.mkdir()
            make(folder)
            (folder / "done").touch()
    return Clone(folder / "project")


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with small parameters and the committed result of `dvc repro`. Tests must not change it."""

    def make(folder: Path) -> Clone:
        clone = clone_into(folder / "project")
        clone.set(**SMALL)
        (folder / "output.txt").write_text(clone.run("dvc repro"))
        clone.commit()
        return clone

    return once(tmp_path_factory, "ran", make)


@pytest.fixture(scope="session")
def tried(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of `ran` with an experiment `other` with another seed. Tests must not change it."""

    def make(folder: Path) -> Clone:
        clone = copy_into(folder, ran)
        clone.run("dvc exp run --name other -S seed=7")
        return clone

    return once(tmp_path_factory, "tried", make)


def link_cached(source: str, target: str) -> None:
    """Copy a file, but hard-link files of DVC's cache, which DVC replaces and never writes to."""
    if "/.dvc/cache/files/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def copy_into(folder: Path, clone: Clone) -> Clone:
    """Copy a clone with its cache to folder/project."""
    shutil.copytree(clone.folder, folder / "project", symlinks=True, copy_function=link_cached)
    shutil.copy2(clone.folder.parent / "gitconfig", folder)
    return Clone(folder / "project")


@pytest.fixture
def copy(ran: Clone, tmp_path: Path) -> Clone:
    """A copy of `ran` that a test may change."""
    return copy_into(tmp_path, ran)
