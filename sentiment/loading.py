"""Loads a classifier that train, export or baseline wrote."""

from pathlib import Path
from typing import TYPE_CHECKING

from sentiment.errors import loading

if TYPE_CHECKING:
    pass

from sentiment.classifier import Classifier, check_exists
from sentiment.model.saved import load_transformer


def load_classifier(path: str | Path, precision: str = "auto") -> Classifier:
    """The classifier that train, export or baseline wrote.

    Args:
        path: models/classifier, models/fp32, models/int8, models/baseline.npz, or a copy of one.
        precision: `auto`, `bf16` or `fp32`, of a transformer in PyTorch.

    Raises:
        InputError: there is none, it is damaged, or an extra is not installed that it needs.
    """
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
    return load_transformer(path, precision)
