"""The Python API: load a trained classifier and predict reviews, with the scores of `sentiment predict`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sentiment.classifier import Classifier


class Prediction(NamedTuple):
    """The prediction for one review.

    Attributes:
        label: NEGATIVE or POSITIVE.
        probability: of POSITIVE, from 0 to 1; the label is POSITIVE from 0.5.
    """

    label: str
    probability: float


class ReviewClassifier:
    """A trained classifier that takes reviews as they were written.

    Args:
        classifier: scores normalised reviews.
    """

    def __init__(self, classifier: "Classifier"):
        self._classifier = classifier

    def predict(self, reviews: Sequence[str]) -> list[Prediction]:
        """Classify reviews, in their order.

        Args:
            reviews: texts; HTML line breaks and entities are decoded, as in training.

        Raises:
            InputError: a review is empty or not Unicode text, or there is too little memory.
            TypeError: `reviews` is a single text.
        """
        from sentiment.data.row import Row
        from sentiment.errors import InputError
        from sentiment.labels import LABELS

        if isinstance(reviews, str):
            raise TypeError("predict takes a list of reviews; for a single one, predict([review])")
        texts = []
        for index, review in enumerate(reviews):
            try:
                texts.append(Row(index + 1, {"text": review}).text("text"))
            except InputError as error:
                raise InputError(f"reviews[{index}]: {error}") from None
        if not texts:
            return []
        probabilities = self._classifier.probabilities(texts).tolist()
        return [Prediction(LABELS[probability >= 0.5], probability) for probability in probabilities]


def load_classifier(path: str | Path = "models/classifier", precision: str = "auto") -> ReviewClassifier:
    """Load a classifier that the stage train, export or baseline wrote.

    Args:
        path: models/classifier, models/fp32, models/int8 or models/baseline.npz, or a copy of one.
        precision: `auto`, `bf16` or `fp32`; only a classifier in PyTorch depends on it.

    Raises:
        InputError: there is no classifier at the path, it is damaged, or it needs an extra that is not installed.
    """
    return ReviewClassifier(open_classifier(path, precision))


def open_classifier(path: str | Path, precision: str = "auto") -> "Classifier":
    """The classifier inside: it scores texts that are already normalised, and reports its progress.

    Raises:
        InputError: as `load_classifier`.
    """
    # Imports wait until the kind of classifier is known: ONNX Runtime and n-grams start without PyTorch.
    from sentiment.classifier import check_exists
    from sentiment.errors import loading

    path = Path(path)
    check_exists(path)
    if path.suffix == ".npz" and path.is_file():
        from sentiment.ngrams import regression

        with loading(str(path)):
            return regression.load(path)
    if (path / "model.onnx").is_file():
        from sentiment.onnx.runtime import OnnxClassifier

        with loading(str(path)):
            return OnnxClassifier(path)
    from sentiment.model.saved import load_transformer

    return load_transformer(path, precision)
