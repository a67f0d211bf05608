"""The results table, of the workspace's run and of those that were kept."""

from pathlib import Path

import pytest

from sentiment.commands import results
from sentiment.errors import InputError
from sentiment.evaluation.run import Run
from tests.conftest import Clone


def test_a_kept_run_stays_in_the_table(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    config = Path("models/classifier/config.json")
    content = config.read_bytes()
    config.unlink()  # so that training is not up to date
    results.main(keep="mine")
    kept = Path("metrics/mine")
    assert sorted(path.name for path in kept.iterdir()) == [
        "baseline.json", "params.yaml", "zero_shot.json"
    ]  # fmt: skip
    config.write_bytes(content)
    results.main(keep="mine")
    assert {path.name for path in kept.iterdir()} > {"challenge.json", "test.json", "train.json", "validation.json"}

    page = Path("docs/imdb.md").read_text()
    table = page.split("<!-- results: sentiment results -->\n")[1].split("<!-- end of results -->")[0].splitlines()
    sample = [line for line in table if line.startswith("| sample |")]
    assert len(sample) == 6
    assert sample[:3] == sample[3:]
    metrics = Run().metrics("test")
    accuracy = f"| fine-tuned: all-MiniLM-L6-v2, `lr=0.0002`, `epochs=1` | {metrics['accuracy']:.4f} ("
    assert accuracy in sample[2]
    assert f" | {metrics['macro_f1']:.4f} | " in sample[2]
    assert sum(line.startswith("| imdb |") for line in table) == 2
    readme = Path("README.md").read_text()
    assert readme.count(accuracy) == 2
    results.main()
    assert (Path("README.md").read_text(), Path("docs/imdb.md").read_text()) == (readme, page)


def test_what_cannot_be_written_is_one_line(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    with pytest.raises(InputError, match="^--keep plots: metrics/plots is there already and no kept run; choose"):
        results.main(keep="plots")
    assert Path("metrics/plots/roc.csv").exists()
    copy.set(validation_size="0.3")  # all follow from it
    with pytest.raises(InputError, match="^--keep mine: no metrics are up to date; `dvc repro` first$"):
        results.main(keep="mine")
    before = Path("README.md").read_text()
    Path("docs/parameters.md").write_text("# Films\n")
    with pytest.raises(
        InputError, match="^docs/parameters.md: has no <!-- parameters: sentiment results --> and <!-- end"
    ):
        results.main()
    assert Path("README.md").read_text() == before
