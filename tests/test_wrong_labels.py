"""docs/wrong-labels.md: a reader who follows it sees what it shows and gets what it promises."""

import json
import re

import pandas as pd

from tests.conftest import SMALL, Clone
from tests.pages import follow, shapes
from tests.test_docs import FENCE, TEXTS

PAGE = TEXTS["docs/wrong-labels.md"]


def test_every_step_shows_and_does_what_the_page_says(clone: Clone) -> None:
    clone.set(**SMALL)
    clone.commit()
    for language, content in FENCE.findall(PAGE):
        if language == "csv":
            (clone.folder / "data/mine/corrections.csv").write_text(content)
            continue
        # As short as other tests; the labels of a limited number of reviews decide which these are.
        output = follow(clone, language, content.replace("max_length=64", "max_length=32"))
        if language == "console":
            shown = [line for line in shapes(content) if not re.fullmatch(r"|\.\.\.|\$ .*", line)]
            missing = [line for line in shown if line not in shapes(output)]
            assert not missing, f"not printed by\n{content}\nbut\n{output}"

    assert "up to date" in clone.run("dvc status")
    assert clone.run("git status --porcelain") == ""
    counted = json.loads((clone.folder / "metrics/data.json").read_text())["corrections"]
    assert counted["train"]["flip"] + counted["validation"]["flip"] == 2
    assert counted["test"] == {"keep": 0, "flip": 1, "drop": 0}
    suspects = pd.read_csv(clone.folder / "data/mine/suspects.csv")
    assert {"train-30", "train-88", "test-64"} <= set(suspects["id"])
    test = pd.read_parquet(clone.folder / "data/prepared/test.parquet")
    changed = test[test["corrected_label"] != test["label"]]
    assert changed["id"].tolist() == ["test-64"]
    for model in ("test", "baseline", "probe", "blend"):
        details = clone.details(model)
        difference = details["accuracy_on_corrected"] - details["accuracy"]
        assert abs(abs(difference) - 1 / len(test)) < 1e-5
        assert (details["reviews_corrected"], details["labels_flipped"]) == (len(test), 1)
        assert details["reviews_confirmed"] == 0
        assert "accuracy_on_confirmed" not in details
    report = (clone.folder / "metrics/report.html").read_text()
    assert "flatters the models that selected the suspects" in report
    for reason in suspects["reason"].unique():
        assert f"<b>{reason}</b>" in report
