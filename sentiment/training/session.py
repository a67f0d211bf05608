"""One training from beginning to end: reviews are encoded, and the pretrained model of params.yaml learns from them."""

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.params import TrainParams
from sentiment.pretrained import sources
from sentiment.training import checkpoints, trainer


@dataclass(frozen=True)
class Session:
    """A training that has ended.

    Attributes:
        trainer: has the weights that were kept.
        encoder: reads reviews as the model is to read them in use.
        source: which pretrained model it began with.
        validation: probabilities of POSITIVE, shape (validation reviews,), in the order of their rows.
        seconds: how long it took.
        reviews_per_second: None if it went on from a checkpoint.
        tokens: tokens a review in training, the share of reviews that were cut, and the share of unknown tokens.
    """

    trainer: trainer.LengthGroupedTrainer
    encoder: Encoder
    source: str
    validation: np.ndarray
    seconds: float
    reviews_per_second: float | None
    tokens: dict[str, float]

    @property
    def is_main(self) -> bool:
        """Whether this is the one process, or the first of several, which writes the outputs."""
        return self.trainer.is_world_process_zero()

    def end(self) -> None:
        """Remove the checkpoints, now that all outputs are written."""
        if self.is_main:
            shutil.rmtree(checkpoints.FOLDER)
        self.trainer.accelerator.end_training()


def fine_tune(
    params: TrainParams,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    files: Iterable[Path],
    curves: Path | None = None,
) -> Session:
    """Fine-tune the pretrained model, and keep the weights of the epoch with the highest validation accuracy.

    Args:
        params: the parameters of the training.
        train: reviews: `text`, and `label`, an index into LABELS or a probability of POSITIVE.
        validation: reviews: `text` and `label`, an index into LABELS.
        files: what the reviews were read from, and the stage itself: a cut-off training goes on only with the same.
        curves: a folder for the curves of loss, accuracy and learning rate.

    Raises:
        InputError: the model does not fit the parameters, or memory or disk run out.
    """
    trainer.quiet_libraries()
    scoring.make_deterministic()
    base = sources.fetch(params.model)
    encoder = Encoder(base.folder, params.max_length, params.truncation)
    for_training = Encoder(base.folder, trainer.lengths(params)["train_max_length"], params.truncation)
    ids, cut = for_training(train["text"].tolist())
    to_train = trainer.as_dataset(ids, train["label"].tolist())
    to_validate = trainer.as_dataset(encoder(validation["text"].tolist())[0], validation["label"].tolist())
    if warning := for_training.warning():
        print(warning)

    folder = checkpoints.folder_for(params, [*files, *base.folder.glob("*.safetensors")])
    resumed = checkpoints.last_complete(folder) is not None
    started = time.perf_counter()
    trained = trainer.fine_tune(folder, base, encoder, params, to_train, to_validate, curves)
    seconds = time.perf_counter() - started
    probability = trained.validation_probabilities()
    trained.accelerator.wait_for_everyone()  # no process reads checkpoints any more
    return Session(
        trainer=trained, encoder=encoder, source=base.source, validation=probability, seconds=seconds,
        reviews_per_second=None if resumed else len(train) * params.epochs / seconds,
        tokens={
            "tokens_per_review": sum(to_train["length"]) / len(train), "reviews_cut": cut / len(train),
            "tokens_unknown": for_training.unknown_share,
        },
    )  # fmt: skip
