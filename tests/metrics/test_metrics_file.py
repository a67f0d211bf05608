"""The content of a metrics JSON: accuracy by corrected labels."""

import numpy as np
import pandas as pd

from sentiment.metrics.metrics_file import on_corrections


def test_accuracy_on_corrected_and_confirmed_labels_worked_by_hand() -> None:
    reviews = pd.DataFrame(
        {
            "label": [1, 1, 0, 0, 1],
            "verdict": ["flip", "drop", "keep", None, None],
            "corrected_label": pd.array([0, None, 0, 0, 1], dtype="Int64"),
        }
    )
    probability = np.array([0.1, 0.1, 0.9, 0.2, 0.8])  # right by original labels: the last two
    content = on_corrections(reviews, probability)
    assert content["accuracy_on_corrected"] == 3 / 4
    assert content["accuracy_on_confirmed"] == 0
    assert content["accuracy_on_corrected_low"] <= 3 / 4 <= content["accuracy_on_corrected_high"]
    assert "accuracy_on_confirmed_low" not in content  # of one review
    counts = {"reviews_corrected": 4, "reviews_confirmed": 1, "labels_flipped": 1, "reviews_dropped": 1}
    assert {key: content[key] for key in counts} == counts
