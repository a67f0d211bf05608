"""The search for parameters: its space, its proposals, and trials that are real experiments."""

import json
import os
import signal

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sentiment.commands.search.space import Space, contains, parse_space, rounded
from sentiment.commands.search.trials import Trial, Trials
from sentiment.errors import InputError
from sentiment.validation import read_yaml
from tests.conftest import ROOT, Clone

PARAMS = read_yaml(ROOT / "params.yaml")


def space(*arguments: str) -> Space:
    return parse_space(list(arguments), PARAMS)


def test_ranges_and_values() -> None:
    parsed = space("lr=1e-5..5e-4:log", "epochs=1..3", "weight_decay=0..1", "train_max_length=128,null,128")
    assert parsed == {
        "lr": FloatDistribution(1e-5, 5e-4, log=True),
        "epochs": IntDistribution(1, 3),
        "weight_decay": FloatDistribution(0, 1),
        "train_max_length": CategoricalDistribution([128, None]),
    }
    inside = {"lr": 5e-4, "epochs": 3, "weight_decay": 0, "train_max_length": None, "seed": 1}
    assert contains(parsed, inside)
    assert not contains(parsed, inside | {"lr": 6e-4})
    assert not contains(parsed, inside | {"train_max_length": 64})
    drawn = {"lr": 1.00049e-5, "epochs": 2, "weight_decay": 0.123456, "train_max_length": 128}
    assert rounded(parsed, drawn) == {"lr": 1e-5, "epochs": 2, "weight_decay": 0.123, "train_max_length": 128}


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("lrr=1e-5..1e-4", "'lrr=1e-5..1e-4' cannot be searched; allowed: precision, "),
        ("seed=1,2", "'seed=1,2' cannot be searched; allowed: "),  # the best of several seeds is chance
        ("dataset=sample,imdb", "'dataset=sample,imdb' cannot be searched; allowed: "),
        ("lr", "'lr' cannot be searched; allowed: "),
        (
            "lr=5e-4..1e-5",
            "'lr=5e-4..1e-5': not a range from low to high, with :log from above 0; allowed: such as ",
        ),
        ("dropout=0..0.3:log", "'dropout=0..0.3:log': not a range from low to high, with :log from above 0"),
        ("truncation=head..tail", "'truncation=head..tail': not a range from low to high"),
        (
            "lr=1e-5..5",
            "'lr=1e-5..5': lr: 5 is not allowed; allowed: a number above 0 and at most 1, such as 2e-5",
        ),
        (
            "epochs=1..2.5",
            "'epochs=1..2.5': epochs: 2.5 is not allowed; allowed: a whole number from 1 to 10000",
        ),
        ("lr=[", "'lr=\\[', line 1: not valid YAML"),
    ],
)
def test_wrong_search_spaces_are_reported_in_one_line(argument: str, line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}"):
        space(argument)
    with pytest.raises(InputError, match="^'lr=1e-5': lr is given twice$"):
        space("lr=1e-4", "lr=1e-5")


def trials_of(searched: Space, tried: list[Trial], seed: int = 0) -> Trials:
    """A search with these trials, without a repository."""
    trials = Trials.__new__(Trials)
    trials.space, trials.seed, trials.name = searched, seed, "search"
    trials.all, trials.experiments = tried, []
    return trials


def test_proposals_are_reproducible_and_improve() -> None:
    searched = space("lr=1e-5..1e-2:log", "epochs=1,2")

    def run(seed: int, killed: bool = False) -> list[Trial]:
        trials = trials_of(searched, [], seed)
        for index in range(24):
            if killed and index % 5 == 0:  # the next process may list the trials in another order
                trials = trials_of(searched, trials.all[::-1], seed)
            ((name, params),) = trials.propose(1).items()
            distance = abs(float(str(params["lr"])) - 2e-4) / (params["lr"] + 2e-4)
            accuracy = 0.9 - 0.1 * distance + 0.02 * (params["epochs"] == 2)
            trials.all.append(Trial(name, params, accuracy, 0.3))
        return sorted(trials.all, key=lambda trial: trial.name)

    once = run(0)
    assert run(0, killed=True) == once
    assert run(1) != once
    assert len({str(trial.params) for trial in once}) == 24
    best = max(once, key=lambda trial: trial.value)
    assert best.params["epochs"] == 2
    assert 1e-4 < best.params["lr"] < 4e-4
    later = [trial.value for trial in once[12:]]
    assert sum(later) / 12 > sum(trial.value for trial in once[:5]) / 5


def test_no_point_is_proposed_twice_and_a_failed_one_counts() -> None:
    searched = space("epochs=1,2,3")
    tried = [Trial("search-01", {"epochs": 2}, None, None, "memory ran out")]
    proposed = trials_of(searched, tried).propose(5)
    assert sorted(params["epochs"] for params in proposed.values()) == [1, 3]
    assert list(proposed) == ["search-02", "search-03"]
    with pytest.raises(InputError, match="^search: no trial is finished; the last one: memory ran out$"):
        trials_of(searched, tried).best()


def test_no_experiment_of_another_search_is_overwritten() -> None:
    trials = trials_of(space("epochs=1,2,3"), [])
    trials.experiments = ["other-01", "search-01"]
    assert list(trials.propose(2)) == ["search-02", "search-03"]


def test_lower_loss_decides_between_equal_accuracies() -> None:
    tried = [
        Trial("a", {"epochs": 1}, 0.9, 0.3),
        Trial("b", {"epochs": 2}, 0.9, 0.2),
        Trial("c", {"epochs": 3}, 0.8999, 0.01),
    ]
    assert trials_of(space("epochs=1..3"), tried).best().name == "b"


SEARCH = "sentiment search --name mine epochs=1,2,3"
KEPT = ["params.yaml", "dvc.lock", "metrics", "models"]


def test_a_killed_search_goes_on_and_its_best_is_applied(copy: Clone) -> None:
    before = copy.bytes_of(*KEPT)
    running = copy.start(SEARCH)
    assert running.stdout
    assert running.stdout.readline() == "mine: 1 finished, 0 failed before\n"  # HEAD ran with one epoch
    first = running.stdout.readline()
    assert first.startswith("mine-01: epochs=")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()

    lines = copy.run(SEARCH).splitlines()
    assert lines[0] == "mine: 2 finished, 0 failed before"
    assert lines[1].startswith("mine-02: epochs=")
    assert lines[2] == "every combination has been tried"
    assert copy.bytes_of(*KEPT) == before

    rows = json.loads(copy.run("sentiment best --json"))["runs"]
    assert {row["run"] for row in rows} == {"mine-01", "mine-02", "HEAD"}
    best = rows[0]["run"]
    assert lines[3] == f"best of 3: {best}, validation accuracy {rows[0]['validation']['accuracy']:.4f}"
    assert best != "HEAD"  # it hardly learnt anything
    ranked = json.loads(copy.run("sentiment best --search mine --json"))["runs"]
    assert [row["run"] for row in ranked] == [row["run"] for row in rows if row["run"] != "HEAD"]
    assert ranked[0]["test"] is None  # no trial was evaluated, and none shows HEAD's test metrics
    for row in ranked:
        reference = copy.run(f"git for-each-ref --format='%(refname)' 'refs/exps/*/*/{row['run']}'").strip()
        files = copy.run(f"git ls-tree -r --name-only {reference}").split()
        assert "metrics/validation.json" in files
        assert not {"metrics/test.json", "metrics/sets/classifier/challenge.json"} & set(files)

    copy.run("sentiment report")
    page = (copy.folder / "metrics/report.html").read_text()
    figure = page.split("<b>Validation accuracy by epochs</b>")[1].split("</figure>")[0]
    assert figure.count('class="dot"') == 3
    assert all(f'<th scope="row">{row["run"]}' in page for row in rows)

    output = copy.run(f"{SEARCH} --apply")
    assert "Running stage 'evaluate'" in output
    assert "Running stage 'train'" not in output
    assert copy.details("train")["validation_accuracy"] == pytest.approx(
        rows[0]["validation"]["accuracy"], abs=1e-6
    )
    assert json.loads(copy.run("sentiment best workspace --json"))["runs"][0]["test"] == copy.details("test")


def test_a_trial_that_fails_is_remembered(copy: Clone) -> None:
    failed = "params.yaml: model: 'nosuch/' is neither a Hub id"
    first = copy.run("sentiment search --name bad model=nosuch/", fails=True).splitlines()
    assert first[0].startswith(f"bad-01: model=nosuch/: failed: {failed}")
    assert first[-1].startswith(f"error: bad: no trial is finished; the last one: {failed}")
    again = copy.run("sentiment search --name bad model=nosuch/", fails=True).splitlines()
    assert again[:2] == [
        "bad: 0 finished, 1 failed before; --retry runs them again",
        "every combination has been tried",
    ]
    assert again[-1] == first[-1]
    retried = copy.run("sentiment search --name bad model=nosuch/ --retry", fails=True).splitlines()
    assert retried[0].startswith(f"bad-01: model=nosuch/: failed: {failed}")


@pytest.mark.slow
def test_trials_run_side_by_side_in_the_queue(copy: Clone) -> None:
    copy.run("sentiment search --name two lr=1e-4,1e-3 --trials 2 --jobs 2")
    assert {line.split()[0] for line in copy.run("dvc exp list --name-only").splitlines()} == {
        "two-01",
        "two-02",
    }
    assert "two: 2 finished" in copy.run("sentiment search --name two lr=1e-4,1e-3 --trials 2")


def test_invalid_names_are_reported_in_one_line() -> None:
    for name in ("", "a b", "../a", "-a", "a/b"):
        with pytest.raises(InputError, match="^--name '.*': allowed: letters, digits, - and _$"):
            Trials(space("epochs=1,2"), PARAMS, 0, name)


def test_an_unknown_search_is_reported_in_one_line(clone: Clone) -> None:
    assert clone.run("sentiment best --search nosuch", fails=True) == (
        "error: --search nosuch: HEAD has no trials of this search; `sentiment search` runs them\n"
    )
