"""A dataset whose training reviews have no labels: a teacher labels them, and pages say what is missing."""

import json
import shutil

import pandas as pd
import pytest

from sentiment import InputError, load_classifier
from sentiment.commands import best, publish, report, results
from sentiment.runs.comparison import compare_runs, compare_with_baseline
from sentiment.runs.ranking import rank_runs
from sentiment.runs.run import Run
from tests.conftest import Clone
from tests.pipeline.test_pipeline import executed, width

WHY = "not available: the dataset has no labelled training reviews"
TEACHER = "-S teacher_model=models/teacher -S teacher_epochs=0"


def add_dataset(clone: Clone) -> None:
    """Add the sample without labels for training, and the classifier of `ran` as a teacher."""
    rows = pd.read_csv(clone.folder / "data/sample/reviews.csv")
    in_test = rows["split"] == "test"
    clone.dataset(
        "mine",
        "files: {test: test.csv}\nunlabelled: more.csv\ngroup: film\n",
        test_csv=rows[in_test].drop(columns="split").to_csv(index=False),
        more_csv=rows.loc[~in_test, ["text", "film"]].to_csv(index=False),
    )
    shutil.copytree(clone.folder / "models/classifier", clone.folder / "models/teacher")
    clone.run("dvc add -q models/teacher")
    clone.commit()


def test_a_teacher_labels_all_training_reviews(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    add_dataset(copy)
    output = copy.run(f"dvc exp run -S dataset=mine -S 'teachers=[1]' {TEACHER}")
    assert {"prepare", "baseline", "probe", "teach@1", "train", "evaluate", "blend"} <= executed(output)
    for said in (f"baseline: {WHY}", f"before training: {WHY}", f"blend: {WHY}"):
        assert said in output

    monkeypatch.chdir(copy.folder)
    counts = json.loads((copy.folder / "metrics/data.json").read_text())
    assert counts["rows"] == {"test": 100, "unlabelled": 64 + counts["unlabelled_held_out"]}
    soft = pd.read_parquet("data/soft_labels/1.parquet").set_index("id")["probability"]
    validation = pd.read_parquet("metrics/validation/predictions.parquet")
    assert len(validation) == counts["unlabelled_held_out"] == 30
    assert validation["label"].tolist() == (soft[validation["id"]] >= 0.5).astype(int).tolist()
    trained = copy.details("train")
    assert (trained["soft_labels"], trained["steps"]) == (64, 4)
    agreement = ((validation["probability"] >= 0.5) == validation["label"]).mean()
    assert trained["validation_labels"] == "teachers"
    assert trained["validation_accuracy"] == pytest.approx(agreement)

    # Each surface says what is not available, or leaves it out.
    run = Run()
    assert run.unavailable == dict.fromkeys(("baseline", "probe", "blend"), WHY)
    assert {name: list(scores) for name, scores in run.scores().items()} == {
        "test": ["classifier"],
        "challenge": ["classifier"],
    }
    assert compare_with_baseline(run) == {}
    with pytest.raises(InputError, match=f"^HEAD: baseline: {WHY}$|^workspace: baseline: {WHY}$"):
        compare_runs(Run(), Run(), model="baseline")
    for model in ("models/baseline.npz", "models/blend.json"):
        with pytest.raises(InputError, match=f"^{model}: .* {WHY}$"):
            load_classifier(model)
    ranking = rank_runs([run])
    assert ranking["reviews"] == 30
    assert any("agreement with the teachers" in line for line in best.in_words(ranking))
    assert [row[1].split(":")[0] for row in results.results([])[1:]] == ["fine-tuned"]
    card = str(publish.model_card("me/mine", {"commit": "0" * 40, "url": ""}))
    assert "by agreement with the teachers on 30 unlabelled reviews" in card
    assert "There were no labelled training reviews. Another model (models/teacher) labelled" in card
    report.main()
    page = (copy.folder / "metrics/report.html").read_text()
    assert page.count(WHY) == 4
    assert "Teachers labelled the validation reviews" in page
    assert "30 are held out for validation" in page
    assert width(copy.run("dvc metrics show")) <= 120
    assert width(copy.run("dvc metrics diff")) <= 120
    assert not executed(copy.run("dvc repro"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            "",
            "params.yaml: teachers: data/mine/dataset.yaml names no labelled training reviews; set teachers",
        ),
        (
            "-S 'teachers=[1]' -S teacher_epochs=1",
            "params.yaml: teacher_epochs: 1 is not allowed: data/mine/",
        ),
    ],
)
def test_without_a_teacher_that_classifies_already_nothing_is_lost(
    copy: Clone, overrides: str, message: str
) -> None:
    add_dataset(copy)
    before = copy.bytes_of("models/classifier", "metrics", "data/prepared")
    output = copy.run(f"dvc exp run -S dataset=mine {overrides}", fails=True)
    assert f"error: {message}" in output
    assert "Traceback" not in output
    assert copy.bytes_of("models/classifier", "metrics", "data/prepared") == before
