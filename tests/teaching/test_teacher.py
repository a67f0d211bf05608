"""The teachers' model: what check accepts and refuses, and what its file contains."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from sentiment.errors import InputError
from sentiment.params import Params
from sentiment.pretrained import sources
from sentiment.teaching import teacher
from sentiment.training import soft_labels
from stages import check
from tests.architectures import PARAMS, write_pretrained

NAMES = {"id2label": {0: "negative", 1: "neutral", 2: "positive"}}
STARS = {"id2label": {number: f"{number + 1} stars" for number in range(5)}}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()


def params(**values: Any) -> Params:
    """Parameters with a teacher in the folder `big`."""
    return PARAMS.model_copy(update={"teachers": [1], "teacher_model": "big", **values})


def with_labels(names: dict[str, Any]) -> dict[str, Any]:
    """The keys of config.json for a head with these labels."""
    return {**names, "label2id": {name: index for index, name in names["id2label"].items()}}


@pytest.mark.parametrize(
    ("head", "config", "values", "line"),
    [
        (
            False,
            {},
            {"teacher_epochs": 0},
            "params.yaml: teacher_epochs: 0 is not allowed: big has no head for NEGATIVE and POSITIVE "
            "that was trained; allowed: 1 or more",
        ),
        (
            True,
            with_labels(STARS),
            {"teacher_epochs": 0},
            "params.yaml: teacher_head: 'auto': the head of big has the labels 1 stars, 2 stars, 3 stars, "
            "4 stars, 5 stars; name the one for NEGATIVE and the one for POSITIVE, as in "
            """-S 'teacher_head=["1 stars","5 stars"]', or make a new head: -S teacher_head=new""",
        ),
        (
            True,
            with_labels(NAMES),
            {"teacher_epochs": 0, "teachers": [1, 2]},
            "params.yaml: teachers: [1, 2] is not allowed with teacher_epochs: 0, because seeds would make "
            "no difference; allowed: [1]",
        ),
        (
            False,
            {},
            {"max_length": 400, "teacher_max_length": None},
            "params.yaml: teacher_max_length: 400 is not allowed; big reads at most 130",
        ),
        (
            False,
            {},
            {"teacher_max_length": 131},
            "params.yaml: teacher_max_length: 131 is not allowed; big reads at most 130",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_in_one_line(
    head: bool, config: dict[str, Any], values: dict[str, Any], line: str
) -> None:
    write_pretrained(Path("big"), "bert", head, **config)
    with pytest.raises(InputError) as caught:
        check.check_teachers(params(**values))
    assert str(caught.value) == line


def test_a_model_without_teachers_is_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.check_teachers(params(teachers=[])) == (None, None)
    assert "teacher_model has no effect" in capsys.readouterr().out


def test_a_neutral_label_is_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    write_pretrained(Path("big"), "bert", head=True, **with_labels(NAMES))
    _, model = check.check_teachers(params(teacher_epochs=0))
    assert model
    assert model.kept_labels("auto") == (0, 2)
    assert "its labels negative and positive become NEGATIVE and POSITIVE" in capsys.readouterr().out


def test_the_labels_of_a_teacher_can_be_named() -> None:
    write_pretrained(Path("big"), "bert", head=True)
    config = params(teacher_epochs=0, teacher_head=["LABEL_1", "LABEL_0"])
    _, model = check.check_teachers(config)
    assert model
    assert model.kept_labels(config.teacher_head) == (1, 0)


def test_parameters_of_the_student_do_not_change_a_teacher_that_has_its_own() -> None:
    own = {"teacher_lr": 3e-5, "teacher_max_length": 96}
    first = teacher.resolve(params(**own), "big")
    assert first == teacher.resolve(params(**own, lr=5e-4, max_length=48, model="other"), "big")
    assert (first.lr, first.max_length, first.train_max_length) == (3e-5, 96, 96)
    shared = teacher.resolve(params(), "big")
    assert (shared.lr, shared.max_length, shared.train_max_length) == (PARAMS.lr, 64, 48)
    as_it_is = params(teacher_epochs=0)
    assert teacher.resolve(as_it_is, "big") == teacher.resolve(as_it_is.model_copy(update={"lr": 0.5}), "big")


def test_soft_labels_are_enough_if_the_teacher_is_not_available() -> None:
    folder = write_pretrained(Path("models/big"), "bert")
    ours = params(teacher_model=str(folder))
    own, model = check.check_teachers(ours)
    teacher.point_to(own, model)
    assert sources.TEACHER_LOCAL.resolve() == folder.resolve()
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"params\.yaml: teacher_model: there is no folder models/big"):
        teacher.fetch(ours)
    soft_labels.FOLDER.mkdir(parents=True)
    soft_labels.path(1).touch()
    assert check.check_teachers(ours) == (own, None)
    with pytest.raises(InputError, match="teacher_model"):
        teacher.fetch(ours.model_copy(update={"teacher_lr": 0.5}))
