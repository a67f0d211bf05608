"""Publishing with the real huggingface_hub client to a local hub with faults."""

import html
import json
import re
import timeit
import unicodedata
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard, constants
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save_file

from sentiment.commands import publish
from sentiment.data.schema import read_source
from sentiment.data.text import normalise
from sentiment.errors import InputError
from sentiment.runs.models import TITLES
from sentiment.runs.run import Run
from sentiment.validation import read_yaml
from tests.conftest import Clone
from tests.faults.test_crash import UNSHARE
from tests.helpers import hub
from tests.helpers.hub import PART, TOKEN, Fault, Hub
from tests.helpers.user import User

FILES = ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
SLOW = pytest.mark.slow


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Hub]:
    """A hub with a model that this project did not publish, and one of another owner."""
    for name in ("older", "theirs"):
        (tmp_path / name).mkdir()
        for file in ("vocab.txt", "pytorch_model.bin", "LICENSE", "README.md"):
            (tmp_path / name / file).write_text(file)
    with hub.serve(
        {"models/test/older": tmp_path / "older", "models/others/model": tmp_path / "theirs"}
    ) as running:
        yield running


@pytest.fixture
def user(tmp_path: Path, served: Hub) -> User:
    return User(tmp_path / "home of somebody", served)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like a model with its card: one file is uploaded in parts, and one at once."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name, size in (("model-1.safetensors", PART + 9), ("model-2.safetensors", 9)):
        save_file({"weight": torch.zeros(size, dtype=torch.uint8)}, folder / name)
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nmodel-index: []\n---\n")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_what_is_published_scores_as_the_local_model_does(
    ran: Clone,
    user: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("test/film-sentiment", "--private", "--tag", "v1.0.0")
    printed = user.run("-m", "sentiment", "publish", *arguments, cwd=ran.folder)
    repository = user.hub.repositories["models/test/film-sentiment"]
    assert printed == f"{user.hub.address}/test/film-sentiment/commit/{repository.head}, tag v1.0.0"
    assert repository.private
    assert len(repository.commits) == 2  # the first creates the repository
    published = user.published("test/film-sentiment")
    assert sorted(published) == [".gitattributes", *FILES]
    local = {Path(path).name: content for path, content in ran.bytes_of("models/classifier").items()}
    assert {name: published[name] for name in local} == local

    # The model's files are uploaded once, and an unchanged card makes no second commit.
    monkeypatch.chdir(ran.folder)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", user.hub.address)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    publish.main("test/film-sentiment", private=True)
    again = capsys.readouterr().out
    assert again == f"{user.hub.address}/test/film-sentiment/commit/{repository.head} (unchanged)\n"
    assert len(repository.commits) == 2
    assert len(user.hub.asked("PUT")) == -(-len(local["model.safetensors"]) // PART)

    # The code in the card works and gives the scores of evaluate.
    test = pd.read_parquet(ran.folder / "data/prepared/test.parquet").head(20)
    evaluated = pd.read_parquet(ran.folder / "metrics/predictions/classifier/test.parquet")[
        "probability"
    ].head(20)
    raw = pd.read_csv(ran.folder / "data/sample/reviews.csv").query("split == 'test'")["text"].head(20)
    assert list(raw.map(normalise)) == list(test["text"])
    (tmp_path / "texts.json").write_text(raw.to_json(orient="values"))
    easy, exact = re.findall(r"```python\n(.*?)```", published["README.md"].decode(), re.DOTALL)
    score = "print([probabilities(text)['POSITIVE'] for text in json.load(open('texts.json'))])"
    script = tmp_path / "code_of_the_card.py"
    script.write_text(f"{easy}\n{exact}\nimport json\n{score}\n")
    printed = user.run(str(script), cwd=tmp_path)
    answer, scores = (line for line in printed.splitlines() if line.startswith("["))
    assert re.match(r"\[\{'label': '(POSITIVE|NEGATIVE)', 'score': 0\.\d+\}\]", answer)
    # The stage evaluate may compute in bf16; the code in the card does not.
    assert json.loads(scores) == pytest.approx(list(evaluated), abs=2e-3)


def cleaner() -> Callable[[str], str]:
    """The function `clean` of the code in the model card."""
    code = re.findall(r"```python\n(.*?)```", publish.TEMPLATE.read_text(), re.DOTALL)[1]
    (function,) = re.findall(r"^def clean.*?(?=\n\n\n)", code, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"html": html, "re": re, "unicodedata": unicodedata}
    exec(function, names)
    clean: Callable[[str], str] = names["clean"]
    return clean


@given(st.lists(st.sampled_from(["<br", "<BR", "/", ">", " ", "\t\u2003", "&lt;", "&nbsp;", "a", "e\u0301"])))
@example(["<br", "\t\u2003", "/", "\t\u2003", ">", "e\u0301"])
@example(["<br>", "\u0338", "a"])
def test_the_card_cleans_a_review_as_the_pipeline_does(parts: list[str]) -> None:
    review = "".join(parts)
    assert cleaner()(review) == normalise(review)


def test_the_time_to_clean_a_review_grows_linearly() -> None:
    clean = cleaner()

    def seconds(spaces: int) -> float:
        review = "<br" + spaces * " " + "a" + spaces * " " + "<br"
        return min(timeit.repeat(lambda: clean(review), number=1, repeat=20))

    assert seconds(80_000) < 40 * seconds(8_000)  # linear: about 10 times, quadratic: about 100 times


def test_the_card_has_the_figures_of_the_files(
    ran: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ran.folder)
    out = tmp_path / "out"
    publish.main("test/film-sentiment", dry_run=out)
    assert sorted(contents(out)) == FILES
    card = ModelCard.load(out / "README.md")
    commit = ran.run("git rev-parse HEAD").strip()
    assert f"`{commit}`" in card.text

    data = card.data.to_dict()
    assert (data["base_model"], data["license"], data["language"]) == (
        "sentence-transformers/all-MiniLM-L6-v2",
        "apache-2.0",
        "en",
    )
    for name, dataset in {"test": "sample", "challenge": "challenge"}.items():
        metrics = Run().scores_of(reviews=name)
        results = {
            (each.metric_type, each.metric_name): each.metric_value
            for each in card.data.eval_results
            if each.dataset_type == dataset and each.dataset_split == "test"
        }
        assert results == {
            ("accuracy", "Accuracy"): metrics["accuracy"],
            ("f1", "Macro F1"): metrics["macro_f1"],
            ("roc_auc", "ROC AUC"): metrics["roc_auc"],
            ("precision", "Precision of NEGATIVE"): metrics["negative"]["precision"],
            ("recall", "Recall of NEGATIVE"): metrics["negative"]["recall"],
            ("f1", "F1 of NEGATIVE"): metrics["negative"]["f1"],
            ("precision", "Precision of POSITIVE"): metrics["positive"]["precision"],
            ("recall", "Recall of POSITIVE"): metrics["positive"]["recall"],
            ("f1", "F1 of POSITIVE"): metrics["positive"]["f1"],
        }
    rows = [
        [cell.strip(" *`") for cell in line.split("|")[1:-1]]
        for line in card.text.splitlines()
        if line[:1] == "|"
    ]
    scores = Run().scores()
    assert set(scores) == {"test", "challenge"}
    for name, model in product(scores, scores["test"]):
        metrics = scores[name][model]
        title = "this model" if model == "classifier" else TITLES[model]
        (row,) = [row for row in rows if row[:2] == [name, title]]
        low, value, high = (f"{metrics[f'accuracy{end}']:.4f}" for end in ("_low", "", "_high"))
        assert row[2] == f"{value} ({low} to {high})"
        assert row[4:] == [f"{metrics[key]:.4f}" for key in ("roc_auc", "loss", "calibration_error")]
    assert read_source("challenge").description in card.text
    for split, count in Run().data["rows"].items():
        assert [split, f"{count:,}"] in [row[:2] for row in rows]
    for key, value in read_yaml("params.yaml").items():
        assert [key, "null" if value is None else str(value)] in rows
    assert "{{" not in card.text
    assert "None" not in card.text

    with pytest.raises(InputError, match="out: already exists; name a new folder"):
        publish.main("test/film-sentiment", dry_run=out)


def test_a_card_of_hub_data_and_of_another_pretrained_model(
    copy: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.folder)
    lock = Path("dvc.lock").read_text()
    lock = lock.replace("dataset: sample", "dataset: imdb").replace(
        "truncation: head_tail", "truncation: head"
    )
    Path("dvc.lock").write_text(lock)
    config = json.loads(Path("models/classifier/config.json").read_text())
    origin = {"commit": "0" * 40, "url": "https://example.org/somebody/films"}
    metrics = Run().scores_of() | {"loss": 0.98765}
    Path("metrics/probe.json").write_text(json.dumps({"details": [metrics]}))

    Path("models/classifier/config.json").write_text(
        json.dumps(config | {"base_model": f"test/tiny@{hub.COMMIT}"})
    )
    card = publish.model_card("test/films", origin)
    data = card.data.to_dict()
    source = read_source("imdb")
    assert data["datasets"] == ["stanfordnlp/imdb"]
    assert data["model-index"][0]["results"][0]["dataset"] == {
        "name": "imdb",
        "type": source.hub,
        "config": source.config,
        "split": "test",
        "revision": source.revision,
    }
    assert (data["base_model"], data["license"]) == ("test/tiny", "other")
    assert data["license_link"] == "https://huggingface.co/test/tiny"
    for words in (
        f"test/tiny at revision `{hub.COMMIT}`",
        f"at revision `{source.revision}`",
        "of <https://example.org/somebody/films>",
        "truncated to its first 32, as in the code above",
        "0.9877",
    ):
        assert words in card.text

    Path("models/classifier/config.json").write_text(json.dumps(config | {"base_model": "my-model"}))
    card = publish.model_card("test/films", origin)
    data = card.data.to_dict()
    assert "base_model" not in data
    assert data["license"] == "unknown"
    assert "Fine-tuned from my-model (a local pretrained model)" in card.text


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/somebody/films.git", "https://github.com/somebody/films"),
        ("https://somebody:secret@github.com/somebody/films", "https://github.com/somebody/films"),
        ("git@github.com:somebody/films.git", "https://github.com/somebody/films"),
        (
            "ssh://git@gitlab.example.org:2222/group/sub/films.git/",
            "https://gitlab.example.org/group/sub/films",
        ),
        ("/home/somebody/films.git", ""),
        ("../films", ""),
        ("file:///srv/films.git", ""),
        ("", ""),
    ],
)
def test_the_page_of_a_remote_shows_no_user_and_no_folder(remote: str, page: str) -> None:
    assert publish.web_address(remote) == page


def test_a_model_that_the_commit_does_not_describe_is_refused(
    copy: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.folder)
    copy.run("git remote add origin git@example.org:somebody/films.git")
    commit = copy.run("git rev-parse HEAD").strip()
    good = {"commit": commit, "url": "https://example.org/somebody/films"}
    Path("README.md").write_text("a file that the pipeline does not read")
    Path("notes.txt").write_text("another one")
    assert publish.committed_origin() == good

    model = Path("models/classifier/model.safetensors")
    weights = model.read_bytes()
    model.unlink()
    model.write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(InputError, match=r"train(, \w+)*: not as in dvc.lock; .* commit first"):
        publish.committed_origin()
    model.write_bytes(weights)
    assert publish.committed_origin() == good

    metrics = Path("metrics/test.json")
    content = metrics.read_text()
    metrics.write_text(content.replace("0.", "0.9", 1))
    copy.run("git commit -qm better metrics/test.json")
    with pytest.raises(InputError, match="evaluate: not as in dvc.lock"):
        publish.committed_origin()
    copy.run("git reset -q --hard HEAD~1")

    copy.set(lr="0.5")
    copy.run("git commit -qam later")
    with pytest.raises(InputError, match="check, train: not as in dvc.lock"):
        publish.committed_origin()
    copy.run("git reset -q --hard HEAD~1")

    copy.set(launch="python -u")
    copy.run("dvc commit --force")
    with pytest.raises(
        InputError, match=r"^dvc.lock, params.yaml: not committed; run `dvc repro` and commit first$"
    ):
        publish.committed_origin()
    copy.run("git reset -q --hard HEAD")

    copy.run("git rm -q --cached -r data/sample && git commit -qm untracked")
    with pytest.raises(InputError, match=r"^data/sample/LICENSE, .*not committed"):
        publish.committed_origin()


@pytest.mark.parametrize(
    "name", ["films", "a/b/c", "test/fi lms", "test/-films", "test/films.git", "../films"]
)
def test_a_name_that_the_hub_does_not_allow(name: str) -> None:
    with pytest.raises(InputError, match=re.escape(repr(name))) as caught:
        publish.check_names(name, None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tag", ["", "a b", "-v1", "v1/2", "v1\n"])
def test_a_tag_that_the_hub_does_not_allow(tag: str) -> None:
    publish.check_names("test/films", "v1.0.0-rc.1")
    with pytest.raises(InputError, match="^--tag .* is not allowed; allowed: a name such as v1.0.0$"):
        publish.check_names("test/films", tag)


def test_an_older_model_is_replaced_and_other_files_stay(user: User, folder: Path) -> None:
    user.upload(folder, "test/older")
    assert user.published("test/older") == contents(folder) | {"LICENSE": b"LICENSE"}


@SLOW
def test_a_private_model_does_not_become_public(user: User, folder: Path) -> None:
    error = user.upload(folder, "test/older", fails=True, options="private=True")
    assert error.startswith("error: test/older exists and is public; ")
    assert not user.hub.asked("commit")


@SLOW
def test_a_tag_never_moves(user: User, folder: Path) -> None:
    first = user.upload(folder, options="tag='v1'").split()[0].split("/")[-1]
    (folder / "config.json").write_text("[]")
    assert "already has a tag v1" in user.upload(folder, fails=True, options="tag='v1'")
    assert user.upload(folder, options="tag='v2'").endswith(" True")
    repository = user.hub.repositories["models/test/new"]
    assert repository.tags == {"v1": first, "v2": repository.head}


@pytest.mark.parametrize(
    ("repo", "environment", "says"),
    [
        pytest.param(
            "test/new", {"HF_TOKEN": ""}, "nothing without a token: `hf auth login`, or set", marks=SLOW
        ),
        (
            "test/new",
            {"HF_TOKEN": "hf_other"},
            "HTTP 401: the Hub does not accept the token; `hf auth login` again",
        ),
        (
            "others/new",
            {},
            "HTTP 403: the token does not permit this; use one with write access, or another owner",
        ),
        pytest.param("others/model", {}, "HTTP 403: the token does not permit this", marks=SLOW),
        pytest.param(
            "test/new", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set; run it without", marks=SLOW
        ),
        pytest.param(
            "test/new",
            {"HF_ENDPOINT": f"http://x:{TOKEN}@127.0.0.1:9"},
            "check the network and HF_ENDPOINT",
            marks=SLOW,
        ),
    ],
)
def test_who_may_not_publish(
    user: User, folder: Path, repo: str, environment: dict[str, str], says: str
) -> None:
    error = user.upload(folder, repo, fails=True, **environment)
    assert error.startswith("error: ")
    assert says in error
    assert not user.hub.asked("commit")
    assert user.published("others/model")["README.md"] == b"README.md"


STEPS = [
    "repos/create",
    "/refs",
    "validate-yaml",
    "/tree/",
    "preupload",
    "objects/batch",
    "PUT",
    "verify",
    "/commit/",
]


@SLOW
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", [500, 503])
def test_a_broken_hub_is_named_and_the_next_try_publishes(
    user: User, folder: Path, step: str, status: int
) -> None:
    user.hub.faults = [Fault(step, status=status)]
    error = user.upload(folder, fails=True)
    assert error.startswith("error: test/new could not be published: ")
    assert f"HTTP {status}" in error
    user.hub.faults.clear()
    assert user.upload(folder).endswith(" True")
    assert {".gitattributes", *contents(folder)} == set(user.published("test/new"))


@pytest.mark.parametrize("end", ["cut", pytest.param("reset", marks=SLOW)])
@pytest.mark.parametrize(
    ("where", "sent"),
    [
        pytest.param("repos/create", None, marks=SLOW),
        pytest.param("preupload", None, marks=SLOW),
        pytest.param("PUT", 0, marks=SLOW),
        ("PUT .*/1$", 2**20),
        pytest.param("PUT .*/2$", 5, marks=SLOW),
        pytest.param("/commit/", None, marks=SLOW),
    ],
)
def test_a_connection_that_is_cut(
    user: User, folder: Path, where: str, sent: int | None, end: Literal["cut", "reset"]
) -> None:
    user.hub.faults = [Fault(where, sent=sent, end=end)]
    error = user.upload(folder, fails=True)
    assert re.search("run it again: transferred files are kept$", error), error
    assert len(user.hub.repositories["models/test/new"].commits if where != "repos/create" else "1") == 1
    user.hub.faults[0].times = 2 if where != "/commit/" else 0
    user.upload(folder)
    published = user.published("test/new")
    assert {name: published[name] for name in contents(folder)} == contents(folder)


def test_a_commit_whose_answer_is_lost_is_not_made_twice(user: User, folder: Path) -> None:
    user.hub.faults = [Fault("/commit/", status=504)]
    user.upload(folder, fails=True)
    assert len(user.hub.asked("/commit/")) == 1


@SLOW
@pytest.mark.parametrize("where", ["validate-yaml", "PUT", "/commit/"])
def test_a_hub_that_says_nothing_is_given_up(user: User, folder: Path, where: str) -> None:
    user.hub.faults = [Fault(where, end="stall")]
    error = user.upload(folder, fails=True, before="hub.UPLOAD_TIMEOUT = 1")
    assert "timed out; check the network" in error


@SLOW
@pytest.mark.skipif(not UNSHARE, reason="no small disk can be mounted here: unshare --mount is not allowed")
@pytest.mark.parametrize("option", ["", "--dry-run small/out"])
def test_a_full_disk_is_named(copy: Clone, option: str) -> None:
    small = "mkdir small && mount -t tmpfs -o size=50m none small"
    (copy.folder / "small.sh").write_text(
        f"{small} && TMPDIR=small sentiment publish test/films {option}; ls small"
    )
    printed = copy.run(f"{UNSHARE} sh small.sh", HF_TOKEN=TOKEN, HF_ENDPOINT="http://127.0.0.1:9")
    assert re.fullmatch(r"error: \S*small(/\w+)?: no space left on its disk\n", printed)
