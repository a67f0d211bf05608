"""Common file formats are read as docs/your-reviews.md says, or refused as the reference of messages says."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from huggingface_hub import constants

from sentiment.data import dataset, splits
from sentiment.data.schema import SPLITS
from sentiment.errors import InputError
from sentiment.params import PrepareParams
from tests.conftest import ROOT
from tests.data.shapes import SHAPES, dataset_yaml, pages, write_files
from tests.helpers import hub

SIGNS = "-+"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder data/mine/; the working directory is above it."""
    monkeypatch.chdir(tmp_path)
    folder = Path("data/mine")
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a hub on loopback that has the shapes of Hub datasets."""
    top = tmp_path_factory.mktemp("hub")
    repositories = {}
    for shape in SHAPES.values():
        if "hub: " in shape["dataset"]:
            name = shape["dataset"].split()[1]
            repositories[f"datasets/{name}"] = top / name
            write_files(shape, top / name)
    with hub.serve(repositories) as running:
        yield running.address


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_read_or_refused_as_the_page_says(
    name: str, mine: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = SHAPES[name]
    (mine / "dataset.yaml").write_text(dataset_yaml(shape))
    if "hub: " in shape["dataset"]:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, served)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", served)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(mine.absolute() / "cache"))
    else:
        write_files(shape, mine)
    if "error" in shape:
        with pytest.raises(InputError) as refused:
            dataset.load("mine")
        assert shape["error"] in str(refused.value)
        assert str(refused.value).isprintable()
        return
    read = dataset.load("mine")
    columns = [read.reviews[column] for column in ("split", "label", "text")]
    assert [f"{split} {SIGNS[label]} {text}" for split, label, text in zip(*columns, strict=True)] == shape[
        "rows"
    ]
    assert read.ignored == shape.get("ignored", 0)
    assert read.without_text == shape.get("without_text", 0)
    assert read.unlabelled["text"].tolist() == shape.get("unlabelled", [])
    if "prepared" in shape:
        check_prepared(shape)


def check_prepared(shape: dict[str, Any]) -> None:
    shutil.copy(ROOT / "params.yaml", ".")
    params = PrepareParams.load().model_copy(update={"dataset": "mine", "validation_size": 0.34})
    prepared, dropped, _ = splits.split_dataset(params, {})
    assert [len(prepared[split]) for split in SPLITS] == shape["prepared"]
    assert sum(shape["prepared"]) + sum(dropped.values()) - dropped["test_duplicates_kept"] == len(
        shape["rows"]
    )
    texts = pd.concat([rows["text"].drop_duplicates() for rows in prepared.values()])
    assert texts.is_unique


def test_the_tables_of_both_pages_are_up_to_date() -> None:
    for page, text in pages().items():
        assert page.read_text(encoding="utf-8") == text, "run python -m tests.data.shapes"
