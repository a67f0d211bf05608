"""The Python API: load a trained classifier and predict reviews, with the scores of `sentiment predict`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from sentiment.errors import InputError, loading
from sentiment.labels import LABELS

if TYPE_CHECKING:
    from sentiment.blend.classifier import BlendClassifier
    from sentiment.classifier import Classifier

Precision = Literal["auto", "bf16", "fp32"]


class Prediction(NamedTuple):
    """The prediction for one review.

    Attributes:
        label: NEGATIVE or POSITIVE.
        probability: of POSITIVE, from 0 to 1; the label is POSITIVE from 0.5.
    """

    label: str
    probability: float


class ReviewClassifier:
    """A trained classifier that takes reviews as people write them. `load_classifier` returns one.

    Args:
        classifier: scores normalised reviews.
    """

    def __init__(self, classifier: "Classifier"):
        self._classifier = classifier

    def predict(self, reviews: Iterable[str]) -> list[Prediction]:
        """Classify reviews.

        Call it from one thread at a time. On a GPU, scores can depend on the other reviews of the same call.

        Args:
            reviews: texts, such as a list or a column of a DataFrame. As in training, HTML line breaks and
                entities are decoded, and long reviews are truncated.

        Returns:
            One prediction per review, in the order of the reviews.

        Raises:
            InputError: a review is missing, empty, not text or not valid Unicode (the message gives its
                index), or there is too little memory for even one review.
            TypeError: `reviews` is a single text.
        """
        from sentiment.data.row import Row

        if isinstance(reviews, str | bytes):
            raise TypeError("predict takes a list of reviews; for a single one, predict([review])")
        texts = []
        for index, review in enumerate(reviews):
            try:
                texts.append(Row(index + 1, {"review": review}).text("review"))
            except InputError as error:
                raise InputError(f"reviews[{index}]: {error}") from None
        if not texts:
            return []
        probabilities = self._classifier.probabilities(texts).tolist()
        return [Prediction(LABELS[probability >= 0.5], probability) for probability in probabilities]


def load_classifier(
    path: str | Path = "models/classifier", precision: Precision = "auto"
) -> ReviewClassifier:
    """Load a classifier that the stage train, export, baseline or blend wrote.

    A classifier in PyTorch uses the GPU, if there is one, and switches PyTorch to deterministic algorithms.

    Args:
        path: models/classifier, models/fp32, models/int8, models/baseline.npz, models/blend.json, or a copy
            of one.
        precision: of a classifier in PyTorch. `bf16` computes in bfloat16, `fp32` in float32, and `auto` in
            bfloat16 where matrix units support it. `sentiment predict` uses the `precision` of params.yaml.

    Raises:
        InputError: the path has no classifier, it is damaged, or it needs an extra that is not installed.
        ValueError: there is no such precision.
    """
    if precision not in get_args(Precision):
        raise ValueError(
            f"precision: {precision!r} is not allowed; allowed: {', '.join(get_args(Precision))}"
        )
    return ReviewClassifier(open_classifier(path, precision))


def open_classifier(path: str | Path, precision: str = "auto") -> "Classifier":
    """Load a classifier without the text handling of `ReviewClassifier`: it scores normalised reviews.

    Args:
        path: as for `load_classifier`.
        precision: as for `load_classifier`.

    Raises:
        InputError: as for `load_classifier`.
    """
    # Imported once the kind of classifier is known: ONNX Runtime and n-grams then start without PyTorch.
    from sentiment.classifier import check_exists

    path = Path(path)
    check_exists(path)
    if path.suffix == ".npz" and path.is_file():
        from sentiment.ngrams import regression

        with loading(str(path)):
            return regression.load(path)
    if path.suffix == ".json" and path.is_file():
        return _open_blend(path, precision)
    if (path / "model.onnx").is_file():
        from sentiment.onnx.runtime import OnnxClassifier

        with loading(str(path)):
            return OnnxClassifier(path)
    from sentiment.model.saved import load_transformer

    return load_transformer(path, precision)


def files_of(path: Path) -> list[Path]:
    """The files of a classifier: those in its folder, its only file, or those of a blend and its two models.

    Raises:
        InputError: the blend cannot be read.
    """
    if path.is_dir():
        return sorted(path.iterdir())
    if path.suffix != ".json":
        return [path]
    from sentiment.blend import saved

    blend = saved.read(path)
    return [path, *files_of(path.parent / blend.ngrams), *files_of(path.parent / blend.encoder)]


def _open_blend(path: Path, precision: str) -> "BlendClassifier":
    """Load a blend and the two models that it refers to.

    Raises:
        InputError: the file is not a blend, or one of its models cannot be loaded.
    """
    from sentiment.blend import saved
    from sentiment.blend.classifier import BlendClassifier
    from sentiment.classifier import TokenClassifier

    blend = saved.read(path)
    ngrams = path.parent / blend.ngrams
    encoder = path.parent / blend.encoder
    if ngrams.suffix != ".npz":
        raise InputError(f"{path}: ngrams: {ngrams}: allowed: an n-gram baseline, such as baseline.npz")
    if encoder.suffix in (".npz", ".json"):
        raise InputError(f"{path}: encoder: {encoder}: allowed: a model's folder, such as classifier or int8")
    by_ngrams = _open_part(path, "ngrams", ngrams, precision)
    by_encoder = _open_part(path, "encoder", encoder, precision)
    assert isinstance(by_encoder, TokenClassifier)
    return BlendClassifier(blend, by_ngrams, by_encoder)


def _open_part(blend: Path, key: str, path: Path, precision: str) -> "Classifier":
    """Load a model of a blend; errors also name the blend and its key.

    Raises:
        InputError: as for `load_classifier`.
    """
    try:
        return open_classifier(path, precision)
    except InputError as error:
        raise InputError(f"{blend}: {key}: {error}") from error
