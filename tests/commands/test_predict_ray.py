"""Prediction on a local Ray cluster of two workers."""

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import Clone

pytest.importorskip("ray", reason="pip install -e '.[ray]'")


def workers() -> list[int]:
    """Process ids of the workers."""
    ids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"MapWorker" in path.read_bytes():
                ids.append(int(path.parent.name))
        except OSError:  # the process has ended
            continue
    return ids


@pytest.mark.slow
def test_a_killed_worker_costs_no_row_and_doubles_none(ran: Clone, tmp_path: Path) -> None:
    test = pd.read_parquet(ran.folder / "data/prepared/test.parquet")
    for number in range(4):
        many = pd.concat([test] * 5, ignore_index=True)
        many["id"] = [f"{number}-{row}" for row in range(len(many))]
        (tmp_path / "reviews").mkdir(exist_ok=True)
        many.to_parquet(tmp_path / f"reviews/{number}.parquet")
    command = f"sentiment predict --ray --input {tmp_path}/reviews --output {tmp_path}/scores"
    running = ran.start(f"{command} --workers 2 --window 128")
    while len(list(tmp_path.glob("scores/*.parquet"))) < 2:
        assert running.poll() is None, running.communicate()[0]
        time.sleep(0.1)
    os.kill(workers()[0], signal.SIGKILL)
    output = running.communicate()[0]
    assert running.returncode == 0, output
    scores = pd.concat(map(pd.read_parquet, tmp_path.glob("scores/*.parquet"))).sort_values("id")
    reviews = pd.concat(map(pd.read_parquet, sorted((tmp_path / "reviews").iterdir())))
    reviews.to_parquet(tmp_path / "all.parquet")
    ran.run(f"sentiment predict --input {tmp_path}/all.parquet --output {tmp_path}/single.parquet")
    single = pd.read_parquet(tmp_path / "single.parquet").sort_values("id")
    assert scores["id"].tolist() == single["id"].tolist()
    assert scores["label"].tolist() == single["label"].tolist()
    assert scores["probability"].to_numpy() == pytest.approx(single["probability"].to_numpy(), abs=1e-6)


@pytest.mark.slow
def test_an_invalid_row_is_named_or_skipped(ran: Clone, tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a", "b", "c"], "text": ["good", None, "bad"]}).to_parquet(
        tmp_path / "reviews.parquet"
    )
    command = (
        f"sentiment predict --ray --input {tmp_path}/reviews.parquet --workers 1 --output {tmp_path}/scores"
    )
    output = ran.run(command, fails=True).splitlines()
    fault = "id b: the text is missing; every review needs some (to skip such rows: --on-error skip)"
    assert output[-1] == f"error: {tmp_path}/reviews.parquet: {fault}"
    assert "Traceback" not in output
    ran.run(f"{command}-2 --on-error skip")
    assert pd.concat(map(pd.read_parquet, tmp_path.glob("scores-2/*")))["id"].tolist() == ["a", "c"]
    assert "nothing" in ran.run(command.replace("reviews.parquet", "nothing.parquet"), fails=True)
