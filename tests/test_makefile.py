"""make: the messages before it downloads anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

gpu = shutil.which("nvidia-smi") or [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("dxg")]


@pytest.mark.skipif(
    sys.platform != "linux" or bool(gpu), reason="torch includes no CUDA here, or the machine has a GPU"
)
def test_setup_explains_the_cpu_build_unless_torch_is_installed(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)

    def setup() -> list[str]:
        done = subprocess.run(
            ["make", "setup", f"PYTHON={sys.executable}"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode != 0  # nothing can be installed without an index
        return done.stdout.splitlines()

    _, note, command, install, *_ = setup()
    assert "no NVIDIA GPU found, but torch includes CUDA" in note
    assert command.split() == [
        ".venv/bin/pip",
        "install",
        "torch==2.13.0",
        "--index-url",
        "https://download.pytorch.org/whl/cpu",
        "&&",
        "make",
        "setup",
    ]
    assert "pip install --progress-bar on" in install
    (site,) = tmp_path.glob(".venv/lib/python*/site-packages")
    (site / "torch").mkdir()
    assert "CUDA" not in "\n".join(setup())


def test_a_missing_git_repository_is_reported_before_anything_is_installed(tmp_path: Path) -> None:
    shutil.copy2(ROOT / "Makefile", tmp_path)
    alone = {"PATH": os.environ["PATH"]}  # without the variables of the make that may run this test
    done = subprocess.run(
        ["make", "repro"], cwd=tmp_path, env=alone, text=True, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert "fatal: not a git repository" in done.stderr
    assert done.stdout.startswith("DVC needs a Git repository; in an unpacked archive: git init && ")
    assert not (tmp_path / ".venv").exists()
