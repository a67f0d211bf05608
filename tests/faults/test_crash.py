"""Kills, full disks and too little memory: the next run produces what an undisturbed run does."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Clone, copy_into, curve

UNSHARE = next(
    (
        command
        for command in ("unshare --mount", "unshare --mount --map-root-user")
        if shutil.which("unshare")
        and not subprocess.run(f"{command} mount -t tmpfs none /mnt", shell=True).returncode
    ),
    None,
)


def kill(running: subprocess.Popen[str]) -> None:
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()


@pytest.mark.slow
def test_twenty_kills_of_dvc_repro_change_no_byte(copy: Clone, tmp_path: Path) -> None:
    results = [
        "dvc.lock",
        "models",
        "metrics/training",
        "metrics/validation",
        "metrics/predictions",
        "metrics/train.json",
        "metrics/test.json",
    ]
    copy.set(epochs="40", batch_size="64", lr="2e-5")  # a checkpoint after every step
    other = copy_into(tmp_path / "other", copy)
    copy.run("dvc repro")
    chance = random.Random()
    while_writing = 0
    for number in range(20):
        began, wanted = time.time(), last_step(other) + chance.randint(0, 3)
        running = other.start("dvc repro")
        if number % 2:  # anywhere
            time.sleep(chance.uniform(1, 15))
        else:  # while a checkpoint is being written, perhaps some steps later
            while (last_step(other) < wanted or not unlisted(other, began)) and running.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.4))
        assert running.poll() is None, "the training ended before twenty kills"
        kill(running)
        while_writing += bool(unlisted(other, began))
        kept = list(other.folder.glob("models/checkpoints/*/checkpoint-*"))
        assert len({path.parent for path in kept}) <= 1
        assert len(kept) <= 4  # three, and one that is being written
    print(
        f"20 kills, {while_writing} of them while a checkpoint was being written; "
        f"{last_step(other)} steps until then"
    )
    assert while_writing >= 5
    assert last_step(other) > 0
    output = other.run("dvc repro")
    assert "resuming from models/checkpoints/" in output
    assert other.bytes_of(*results) == copy.bytes_of(*results)
    assert not (other.folder / "models/checkpoints").exists()
    assert other.run("git status --porcelain").split() == copy.run("git status --porcelain").split()


def unlisted(clone: Clone, began: float) -> list[Path]:
    """Checkpoints changed since then without the list that makes them count."""
    found = clone.folder.glob("models/checkpoints/*/checkpoint-*")
    return [path for path in found if not (path / "sha256.json").exists() and path.stat().st_mtime > began]


def last_step(clone: Clone) -> int:
    """The step of the newest checkpoint that counts."""
    found = clone.folder.glob("models/checkpoints/*/checkpoint-*/sha256.json")
    return max((int(path.parent.name.split("-")[1]) for path in found), default=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "outputs"),
    [
        ("prepare", ["data/prepared", "metrics/data.json"]),
        (
            "baseline",
            [
                "models/baseline.npz",
                "metrics/baseline.json",
                "metrics/predictions/baseline",
                "metrics/sets/baseline",
            ],
        ),
        (
            "evaluate",
            [
                "metrics/predictions/classifier",
                "metrics/plots",
                "metrics/test.json",
                "metrics/sets/classifier",
            ],
        ),
    ],
)
def test_a_killed_stage_leaves_whole_outputs_or_none(copy: Clone, stage: str, outputs: list[str]) -> None:
    before = copy.bytes_of(*outputs)
    started = time.monotonic()
    copy.run(f"python -m stages.{stage}")
    seconds = time.monotonic() - started
    chance = random.Random()
    for _ in range(10):
        running = copy.start(f"python -m stages.{stage}")
        time.sleep(chance.uniform(0.5, 1) * seconds)
        kill(running)
        found = copy.bytes_of(*outputs)
        assert {name: before[name] for name in found} == found
        for output in outputs:  # a folder is there with all its files or not at all
            inside = {name for name in before if name.startswith(output)}
            assert inside <= set(found) or not inside & set(found)
    copy.run(f"dvc repro {stage}")
    assert copy.bytes_of(*outputs) == before
    assert copy.run("git status --porcelain") == ""


@pytest.mark.skipif(not UNSHARE, reason="no small disk can be mounted here: unshare --mount is not allowed")
@pytest.mark.parametrize(
    ("stage", "folder", "room"),
    [
        ("prepare", "data", 0),
        pytest.param("baseline", "models", 0, marks=pytest.mark.slow),
        pytest.param(
            "train", "models", 40, marks=pytest.mark.slow
        ),  # not the weights of the first checkpoint
        pytest.param("train", "models", 150, marks=pytest.mark.slow),  # not its optimizer
        pytest.param("train", "models", 300, marks=pytest.mark.slow),  # a checkpoint, but not the classifier
        pytest.param("evaluate", "metrics", 0, marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_one_line_and_costs_no_earlier_output(
    copy: Clone, stage: str, folder: str, room: int
) -> None:
    """`room` is the free space of the disk that the folder is on, in MiB."""
    copy.run(f"rm -f {folder}/*.skops" if stage == "baseline" else "true")
    listing = f"find {folder} -type f ! -path '*/checkpoints/*' ! -path '*/speed/*' | sort | xargs sha256sum"
    before = copy.run(listing)
    size = int(copy.run(f"du -sk {folder}").split()[0]) + room * 1024 + 1024
    (copy.folder / "fill.sh").write_text(
        f"cp -r {folder} {folder}.copy && mount -t tmpfs -o size={size}k none {folder} && "
        f"cp -r {folder}.copy/. {folder}/\n"
        f"free=$(df -k --output=avail {folder} | tail -1)\n"
        f"mkdir {folder}/speed; head -c $((free - {room * 1024}))k /dev/zero > {folder}/speed/filler\n"
        f"python -m stages.{stage}; status=$?; {listing}; exit $status"
    )
    output = copy.run(f"{UNSHARE} sh fill.sh", fails=True)
    assert "Traceback" not in output
    error = next(line for line in output.splitlines() if line.startswith("error: "))
    assert "o space left on" in error
    assert output.split(error + "\n")[1] == before


@pytest.mark.slow
def test_short_of_memory_it_trains_in_smaller_parts(copy: Clone) -> None:
    copy.set(max_length="256", batch_size="32", precision="fp32")  # bf16, where it is quick, needs less
    (copy.folder / "limited.py").write_text(LIMITED)
    # Memory that glibc keeps after it is freed counts as used; a second attempt would have less.
    script = "MALLOC_MMAP_THRESHOLD_=65536 PYTHONPATH=. python limited.py"
    assert "memory ran out" not in copy.run(f"{script} 8000")
    expected = curve(copy, "train/loss")
    output = copy.run(f"{script} 1300")
    assert (
        "memory ran out on cpu with 32 reviews at a time; continuing with fewer, same batch_size\n" in output
    )
    found = curve(copy, "train/loss")
    assert found.index.equals(expected.index)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert copy.details("train")["steps"] == 2
    output = copy.run(f"{script} 300", fails=True)
    error = output.splitlines()[-1]
    assert error.startswith("error: ")
    assert "memory" in error
    assert "Traceback" not in output


# Limits the address space to what training starts with plus this many MiB; whole batches need more.
LIMITED = """
import resource, sys, psutil
from sentiment import errors
from sentiment.model import scoring
from sentiment.training import fine_tuning
from stages import train

def fit(*given, fit=fine_tuning.train_within_memory):
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20,) * 2)
    return fit(*given)

scoring.TOKENS_A_BATCH["cpu"] = 32 * 256
fine_tuning.train_within_memory = fit
errors.run(train.main)
"""
