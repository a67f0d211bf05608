"""Evaluation sets as data: one imported from a Git repository, none at all, and sets that are refused."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from sentiment.runs.run import Run
from tests.conftest import Clone, copy_into
from tests.pipeline.test_pipeline import executed, metrics, width

# Invented reviews, in the layout of the public sets that docs/evaluation-sets.md names.
REVIEWS = [
    ("Positive", "A calm and clever film, and a cast to match."),
    ("Negative", "A dull and clumsy film, and a cast to match."),
    ("Positive", "Every scene earns its place."),
    ("Negative", "No scene earns its place."),
]


def git(folder: Path, *arguments: str) -> str:
    """Run Git in a folder, and return its output."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], text=True, stdout=subprocess.PIPE, check=True
    )
    return done.stdout.strip()


def published(folder: Path, leaked: list[str]) -> str:
    """Create a Git repository with an evaluation set, and change it; return the commit before the change."""
    folder.mkdir()
    git(folder, "init", "-q")
    rows = [*REVIEWS, *(("Positive", text) for text in leaked)]
    (folder / "test.tsv").write_text("Sentiment\tText\n" + "".join(f"{a}\t{b}\n" for a, b in rows))
    git(folder, "add", "test.tsv")
    git(folder, "commit", "-qm", "The set")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "test.tsv").write_text("Sentiment\tText\n")
    git(folder, "commit", "-qam", "Another version")
    return commit


def test_a_set_is_imported_from_a_git_repository_at_a_commit(
    copy: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.folder)
    train = pd.read_parquet("data/prepared/train.parquet")
    before = json.loads(Path("metrics/data.json").read_text())
    commit = published(tmp_path / "published", train["text"].head(2).tolist())
    Path("data/counterfactual").mkdir()
    copy.run(f"dvc import --rev {commit} {tmp_path}/published test.tsv -o data/counterfactual/test.tsv")
    Path("data/counterfactual/dataset.yaml").write_text(
        "files: {test: test.tsv}\ntext: Text\nlabel: Sentiment\n"
    )
    copy.run("git add data/counterfactual")
    assert "test.tsv.dvc" in copy.run("git diff --cached --name-only")
    assert "test.tsv\n" not in copy.run("git diff --cached --name-only")

    output = copy.run("dvc exp run -S 'also_test=[challenge,counterfactual]'")
    assert "dropped from training: 2 reviews that also occur in data/counterfactual" in output
    after = json.loads(Path("metrics/data.json").read_text())
    assert before["also_test_dropped"] == {"challenge": 0}
    assert after["also_test_dropped"] == {"challenge": 0, "counterfactual": 2}
    assert not pd.read_parquet("data/prepared/train.parquet")["text"].isin(train["text"].head(2)).any()
    found = metrics(copy)
    for model in ("baseline", "probe", "classifier", "blend"):
        assert 0 <= found[f"sets/{model}/counterfactual"]["accuracy"] <= 1
        assert len(pd.read_parquet(f"metrics/predictions/{model}/counterfactual.parquet")) == 6
    run = Run()
    assert run.evaluation_sets == ["challenge", "counterfactual"]
    assert run.ran_on_current_inputs("evaluate")
    assert len(run.scored_reviews("counterfactual")) == 6
    assert len(run.scored_reviews("counterfactual", "baseline")) == 6

    assert "metrics/sets/probe/counterfactual.json" in copy.run("dvc metrics show")
    assert width(copy.run("dvc metrics show")) <= 120
    assert "metrics/sets/classifier/challenge.json" in copy.run("dvc metrics diff")
    assert width(copy.run("dvc metrics diff")) <= 120


def test_without_sets_only_the_test_split_is_evaluated(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    copy.run("dvc exp run -S 'also_test=[]'")
    assert not list((copy.folder / "data/also_test").glob("*.parquet"))
    assert {name for name in metrics(copy) if "also_test" in name} == set()
    assert "up to date" in copy.run("dvc status")
    copy.run("git add -A && git commit -qm none")
    assert copy.run("git status --porcelain") == ""
    other = copy.folder.parent / "clone"  # Git has the folders of metrics, so nothing is missing in a clone
    copy.run(f"git clone -q . {other}")
    assert (other / "metrics/sets/classifier").is_dir()
    monkeypatch.chdir(copy.folder)
    assert Run().evaluation_sets == Run("HEAD").evaluation_sets == []
    assert Run("HEAD~1").evaluation_sets == ["challenge"]


def test_a_set_that_is_refused_changes_nothing(ran: Clone, tmp_path: Path) -> None:
    copy = copy_into(tmp_path / "refused", ran)
    outputs = ("data/also_test", "data/prepared", "models", "metrics")
    before = copy.bytes_of(*outputs)
    copy.dataset("one_class", "files: {test: reviews.csv}", reviews_csv="text,label\nCalm.,1\nClever.,1\n")
    copy.dataset("untested", "files: {train: reviews.csv}", reviews_csv="text,label\nCalm.,1\nDull.,0\n")
    reviews = (copy.folder / "data/sample/reviews.csv").read_text().replace(",train\n", ",test\n")
    copy.dataset("same", "files: reviews.csv\n", reviews_csv=reviews)
    for names, line in {
        "nosuch": "params.yaml: also_test: no data/nosuch/dataset.yaml; allowed: challenge, ",
        "sample": "params.yaml: also_test: 'sample' is the dataset itself, whose test split is always",
        "challenge,challenge": "params.yaml: also_test: ['challenge', 'challenge'] is not allowed; allowed: ",
        "one_class": "data/one_class: every test review is POSITIVE; both classes are needed",
        "untested": "data/untested: there are no test reviews",
        "same": "params.yaml: also_test: data/same contains every training review; ",
    }.items():
        copy.set(also_test=f"[{names}]")
        output = copy.run("dvc repro", fails=True)
        assert f"error: {line}" in output
        assert "Traceback" not in output
        after = copy.bytes_of("data/prepared", "models", "metrics")
        assert {
            name: content for name, content in before.items() if "data/also_test/" not in name
        }.items() <= (after.items())
    copy.set(also_test="[challenge]")
    assert executed(copy.run("dvc repro")) <= {"check", "also_test@challenge"}
    assert copy.bytes_of(*outputs) == before
