"""The teachers' model and parameters, with those of the student wherever params.yaml has null.

`check` writes them to PATH, and the stage `teach` depends on this file. So another student, with other
parameters of its own, trains no teacher again.
"""

import hashlib
import json
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from sentiment import atomic
from sentiment.errors import InputError
from sentiment.params import Head, Params, TeachParams, TrainParams
from sentiment.pretrained import sources
from sentiment.pretrained.sources import Pretrained
from sentiment.training import soft_labels

PATH = Path("models/teacher.json")
PREFIX = "teacher_"


class Teacher(BaseModel):
    """The model and the parameters that teachers do not share with the student.

    Attributes:
        requested: the model as params.yaml names it.
        model: the same with its commit, if it comes from the Hub.
        sha256: a hash of its files, if it is a local folder.
        head: the parameter `head` for it.
        lr: peak learning rate; None if it is not trained.
        max_length: maximum number of tokens per review when it labels.
        train_max_length: maximum number of tokens per review when it is trained; None: `max_length`.
    """

    model_config = ConfigDict(frozen=True)

    requested: str
    model: str
    sha256: str | None
    head: Head
    lr: float | None
    max_length: int
    train_max_length: int | None

    @classmethod
    def read(cls) -> Self:
        """Read the file that `check` wrote."""
        return cls.model_validate_json(PATH.read_text(encoding="utf-8"))

    def fetch(self) -> Pretrained:
        """Find or download the model.

        Raises:
            InputError: the model is not available.
        """
        return sources.fetch(self.model, PREFIX)

    def training_params(self, params: TeachParams, seed: int) -> TrainParams:
        """The parameters of the training of one teacher.

        Args:
            params: the parameters of teach; its `teacher_epochs` is at least 1.
            seed: the seed of the teacher.
        """
        shared = params.model_dump(exclude={"teacher_epochs"})
        own = self.model_dump(exclude={"requested", "sha256"})
        return TrainParams(**shared, **own, epochs=params.teacher_epochs, seed=seed, teachers=[])


def fetch(params: Params) -> Pretrained | None:
    """Find or download the teachers' model; None if it is not available, but its soft labels are.

    Raises:
        InputError: the model is not available, and soft labels are missing or those of another teacher.
    """
    requested = params.teacher_model or params.model
    try:
        return sources.fetch(requested, PREFIX if params.teacher_model else "")
    except InputError:
        labelled = all(soft_labels.path(seed).exists() for seed in params.teachers)
        if not labelled or not PATH.exists():
            raise
        last = json.loads(PATH.read_text(encoding="utf-8"))
        if last != resolve(params, last.get("model", ""), last.get("sha256")).model_dump():
            raise
    return None


def resolve(params: Params, model: str, sha256: str | None = None) -> Teacher:
    """The teachers' parameters.

    Args:
        params: all of params.yaml.
        model: the teachers' model, with its commit, if it comes from the Hub.
        sha256: a hash of its files, if it is a local folder.
    """
    tokens = params.teacher_max_length
    is_trained = params.teacher_epochs > 0  # if not, a change to the others must not rerun teach
    return Teacher(
        requested=params.teacher_model or params.model,
        model=model,
        sha256=sha256,
        head=params.teacher_head if params.teacher_model else params.head,
        lr=(params.teacher_lr or params.lr) if is_trained else None,
        max_length=tokens or params.max_length,
        train_max_length=(tokens or params.train_max_length) if is_trained else None,
    )


def sha256(pretrained: Pretrained) -> str | None:
    """A hash of the files of a local model; None for any other model, whose name has a commit or a hash."""
    if not pretrained.local:
        return None
    digest = hashlib.sha256()
    for path in sorted({path for pattern in sources.FILES for path in pretrained.folder.glob(pattern)}):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def point_to(teacher: Teacher | None, pretrained: Pretrained | None) -> None:
    """Write PATH, on which the stage teach depends, and the link through which DVC hashes a local model.

    Args:
        teacher: the teachers' parameters; None: there are no teachers.
        pretrained: their model; None if there is none, or if it is not available.

    Raises:
        InputError: the model is a local folder, and the system does not permit symbolic links.
    """
    sources.link_to(pretrained, sources.TEACHER_LOCAL)
    atomic.write_json(PATH, teacher.model_dump() if teacher else {})
