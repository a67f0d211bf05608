"""Self-training: teachers label the unlabelled reviews, and the student learns from both."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sentiment.api import open_classifier
from sentiment.blend.weights import Weights
from sentiment.errors import InputError
from sentiment.ngrams import regression
from sentiment.training import soft_labels
from sentiment.training.fine_tuning import mean_loss
from tests.conftest import Clone
from tests.pipeline.test_pipeline import executed, width


def add_dataset(clone: Clone) -> pd.DataFrame:
    """Add a dataset with labels for half of the training reviews, and with unlabelled rows to drop."""
    rows = pd.read_csv(clone.folder / "data/sample/reviews.csv")
    train = rows[rows["split"] == "train"]
    films = train["film"].unique()
    with_labels = train["film"].isin(films[::2])
    unlabelled = train[~with_labels]
    more = pd.concat(
        [unlabelled, unlabelled.head(2), train[with_labels].head(3), rows[rows["split"] == "test"].head(4)]
    )
    source = (clone.folder / "data/sample/dataset.yaml").read_text().split("rows:")[0]
    clone.dataset(
        "own",
        f"{source}unlabelled: more.csv\nrows: {{unlabelled: {len(more)}}}\n",
        reviews_csv=pd.concat([train[with_labels], rows[rows["split"] != "train"]]).to_csv(index=False),
        more_csv=more[["text", "film"]].to_csv(index=False),
    )
    return unlabelled


def test_teachers_label_unlabelled_reviews_and_the_student_learns_from_both(copy: Clone) -> None:
    unlabelled = add_dataset(copy)
    copy.commit()
    ran = executed(copy.run("dvc exp run -S dataset=own -S 'teachers=[1]'"))
    assert {"prepare", "baseline", "teach@1", "train", "evaluate"} <= ran
    counts = json.loads((copy.folder / "metrics/data.json").read_text())
    dropped = {name: count for name, count in counts.items() if name.startswith("unlabelled")}
    assert counts["rows"]["unlabelled"] == len(unlabelled)
    # Some of the labelled rows among them are held out for validation.
    labelled = dropped["unlabelled_in_train_dropped"] + dropped["unlabelled_in_validation_dropped"]
    assert labelled == 3
    assert dropped["unlabelled_in_test_dropped"] == 4
    assert dropped["unlabelled_duplicates_dropped"] == 2

    prepared = pd.read_parquet(copy.folder / "data/prepared/unlabelled.parquet")
    soft = pd.read_parquet(copy.folder / "data/soft_labels/1.parquet")
    assert soft["id"].equals(prepared["id"])
    assert soft["probability"].between(0, 1, inclusive="neither").all()
    teacher = copy.details("teachers/1")
    assert teacher["soft_labels"] == len(unlabelled)
    assert 0 < teacher["model"]["accuracy"] < 1
    trained = copy.details("train")
    assert trained["soft_labels"] == len(unlabelled)
    assert trained["steps"] == (counts["rows"]["train"] + len(unlabelled)) // 16
    assert width(copy.run("dvc metrics show")) <= 120
    assert width(copy.run("dvc metrics diff")) <= 120
    assert not executed(copy.run("dvc repro"))
    assert "out of date" not in copy.run("sentiment best workspace")
    assert "teach@1" in copy.run("dvc dag")

    # Back to the default: the soft labels are removed, and dvc.lock does not mention them.
    copy.run("git restore . && dvc checkout")
    assert not list((copy.folder / "data/soft_labels").glob("*.parquet"))
    assert not executed(copy.run("dvc repro")) - {"check"}
    assert "teach" not in copy.run("dvc dag")
    assert copy.run("git status --porcelain") == ""


def test_a_classifier_trained_elsewhere_labels_as_it_is(copy: Clone) -> None:
    unlabelled = add_dataset(copy)
    copy.commit()
    other = copy.folder.parent / "other"
    shutil.copytree(copy.folder / "models/classifier", other)
    options = f"-S dataset=own -S 'teachers=[1]' -S teacher_model={other} -S teacher_epochs=0"
    copy.run(f"dvc exp run {options}")
    assert copy.details("teachers/1")["teacher"] == str(other)
    assert copy.details("train")["soft_labels"] == len(unlabelled)
    baseline = regression.load(copy.folder / "models/baseline.npz")
    texts = pd.read_parquet(copy.folder / "data/prepared/unlabelled.parquet")["text"].tolist()
    teacher = copy.details("teachers/1")
    blend = Weights(ngrams=teacher["baseline"]["weight"], encoder=teacher["model"]["weight"])
    expected = blend.probabilities(baseline.probabilities(texts), open_classifier(other).probabilities(texts))
    soft = pd.read_parquet(copy.folder / "data/soft_labels/1.parquet")["probability"]
    np.testing.assert_allclose(soft, expected, atol=1e-4)

    # Another student needs its soft labels, but not the teacher itself.
    shutil.rmtree(other)
    copy.commit()
    output = copy.run(f"dvc exp run {options} -S lr=5e-4")
    assert executed(output) == {"check", "train", "evaluate", "blend"}
    assert f"{other} is not available; training uses the soft labels that it gave before" in output


def test_several_teachers_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    soft_labels.FOLDER.mkdir(parents=True)
    for seed, probabilities in {1: [0.9, 0.2], 2: [0.5, 0.4], 3: [0.0, 0.0]}.items():
        frame = pd.DataFrame({"id": ["unlabelled-2", "unlabelled-1"], "probability": probabilities})
        frame.to_parquet(soft_labels.path(seed))
    train = pd.DataFrame({"id": ["train-1"], "text": ["Fine."], "label": [1]})
    unlabelled = pd.DataFrame({"id": ["unlabelled-1", "unlabelled-2"], "text": ["Well.", "A plot."]})
    rows = soft_labels.with_unlabelled(train, unlabelled, [1, 2])
    assert rows["text"].tolist() == ["Fine.", "Well.", "A plot."]
    assert rows["label"].tolist() == pytest.approx([1.0, 0.3, 0.7])
    assert soft_labels.with_unlabelled(train, unlabelled, []) is train
    soft_labels.remove_others([1, 2])
    assert sorted(path.name for path in soft_labels.FOLDER.iterdir()) == ["1.parquet", "2.parquet"]


def write_soft_labels(*probabilities: float) -> pd.DataFrame:
    """Write a teacher's soft labels, and return the unlabelled reviews, of which the last two validate."""
    soft_labels.FOLDER.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame({"id": list("abcd"), "text": ["A.", "B.", "C.", "D."]})
    rows.assign(probability=probabilities).to_parquet(soft_labels.path(1))
    return rows.assign(held_out=[False, False, True, True])


def test_without_labelled_reviews_teachers_label_training_and_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    none = pd.DataFrame({"id": [], "text": [], "label": []})
    unlabelled = write_soft_labels(0.9, 0.2, 0.4, 0.6)
    train = soft_labels.with_unlabelled(none, unlabelled, [1])
    assert train.to_dict("list") == {"text": ["A.", "B."], "label": [0.9, 0.2]}
    validation = soft_labels.validation(unlabelled, [1])
    assert validation["id"].tolist() == ["c", "d"]
    assert validation["label"].tolist() == [0, 1]

    with pytest.raises(InputError, match="teachers: the dataset has no labelled training reviews; set"):
        soft_labels.with_unlabelled(none, unlabelled, [])
    unlabelled = write_soft_labels(0.9, 0.8, 0.1, 0.2)
    message = "teachers: they label each of 2 reviews {}; both classes are needed"
    with pytest.raises(InputError, match=message.format("POSITIVE")):
        soft_labels.with_unlabelled(none, unlabelled, [1])
    with pytest.raises(InputError, match=message.format("NEGATIVE")):
        soft_labels.validation(unlabelled, [1])


def test_teachers_without_unlabelled_reviews_are_refused(copy: Clone) -> None:
    before = copy.bytes_of("models/classifier", "metrics", "data/prepared")
    output = copy.run("dvc exp run -S 'teachers=[1]'", fails=True)
    assert (
        "error: params.yaml: teachers: data/sample/dataset.yaml names no reviews for them to label" in output
    )
    assert "Traceback" not in output
    assert copy.bytes_of("models/classifier", "metrics", "data/prepared") == before


def test_a_soft_label_weights_the_losses_of_both_labels() -> None:
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.5]])
    outputs = type("Outputs", (), {"logits": logits})
    count = torch.tensor(2)
    hard = [mean_loss(outputs, torch.tensor([label, label]), count) for label in (0, 1)]
    soft = mean_loss(outputs, torch.tensor([0.25, 0.25]), count)
    torch.testing.assert_close(soft, 0.75 * hard[0] + 0.25 * hard[1])
    torch.testing.assert_close(
        mean_loss(outputs, torch.tensor([1.0, 0.0]), count), mean_loss(outputs, torch.tensor([1, 0]), count)
    )
