"""Several DVC commands at once in one repository: the results are the same, and the cache stays intact."""

import json

import pytest

from tests.conftest import Clone

NAMES = {"slower": "1e-05", "faster": "5e-05"}


def losses(clone: Clone) -> dict[str, float]:
    """Test loss of each experiment by its name."""
    shown = json.loads(clone.run("dvc exp show --json"))
    loss_by_name = {}
    for baseline in shown:
        for experiment in baseline.get("experiments") or []:
            revision = experiment["revs"][0]
            loss_by_name[revision["name"]] = revision["data"]["metrics"]["metrics/test.json"]["data"]["loss"]
    return loss_by_name


@pytest.mark.slow
def test_parallel_experiments_give_the_same_results_as_sequential_ones(copy: Clone) -> None:
    running = {name: copy.start(f"dvc exp run --temp --name {name} -S lr={lr}") for name, lr in NAMES.items()}
    shown = 0
    while any(process.poll() is None for process in running.values()):
        copy.run("dvc exp show --csv")
        shown += 1
    for process in running.values():
        assert process.wait() == 0, process.communicate()[0]
    assert shown > 1
    assert set(losses(copy)) == set(NAMES)
    copy.run("sentiment verify")
    for name, lr in NAMES.items():
        copy.run(f"dvc exp run --force --name {name}-alone -S lr={lr}")
    loss_by_name = losses(copy)
    for name in NAMES:
        assert loss_by_name[f"{name}-alone"] == loss_by_name[name]


@pytest.mark.slow
def test_repro_works_while_experiments_are_shown(copy: Clone) -> None:
    copy.set(lr="3e-05")
    running = copy.start("dvc repro")
    shown = 0
    while running.poll() is None:
        copy.run("dvc exp show --csv")
        copy.run("dvc metrics diff")
        shown += 1
    assert running.returncode == 0, running.communicate()[0]
    assert shown > 1
    assert "up to date" in copy.run("dvc status")
    copy.run("sentiment verify")
