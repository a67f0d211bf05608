"""A pretrained model in a local folder: DVC hashes its files, so other weights train again, and the same do not."""

from pathlib import Path

import pytest

from tests.architectures import write_pretrained
from tests.conftest import Clone, copy_into
from tests.pipeline.test_pipeline import executed

TRAINED = {"check", "zero_shot", "train", "evaluate"}


@pytest.mark.parametrize("inside", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_other_weights_in_the_folder_train_again(ran: Clone, tmp_path: Path, inside: bool) -> None:
    copy = copy_into(tmp_path, ran)
    folder = copy.folder / "models/mine" if inside else tmp_path / "mine"
    model = "models/mine" if inside else str(folder)
    write_pretrained(folder, "bert")
    outputs = ["models/classifier", "metrics/train.json", "metrics/test.json"]

    assert executed(copy.run(f"dvc exp run -S model={model}")) == TRAINED
    first = copy.bytes_of(*outputs)
    assert b'"base_model": "mine"' in first["models/classifier/config.json"]
    copy.commit()
    assert "Data and pipelines are up to date" in copy.run("dvc repro")

    write_pretrained(folder, "bert", initializer_range=0.03)
    assert executed(copy.run("dvc repro")) == TRAINED
    assert copy.bytes_of(*outputs) != first
    assert "Data and pipelines are up to date" in copy.run("dvc repro")

    write_pretrained(folder, "bert")
    copy.run("git restore . && dvc checkout")
    assert copy.bytes_of(*outputs) == first
    assert "Data and pipelines are up to date" in copy.run("dvc status")
    assert not executed(copy.run("dvc repro")) - {"check"}


def test_the_model_that_the_pipeline_writes_is_refused(copy: Clone) -> None:
    before = copy.bytes_of("models/classifier", "metrics")
    output = copy.run("dvc exp run -S model=models/classifier", fails=True)
    assert "models/classifier is what the pipeline writes; copy it to another folder first" in output
    assert "Traceback" not in output
    assert copy.bytes_of("models/classifier", "metrics") == before
