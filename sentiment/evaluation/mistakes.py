"""The most confident mistakes of a model, for people to read."""

import pandas as pd

from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import four_digits

_MAX_MISTAKES = 20


def worst_mistakes(scored: pd.DataFrame) -> pd.DataFrame:
    """The misclassified reviews with the most confident predictions, the most confident first.

    Args:
        scored: reviews with `id`, `text`, `label` (index) and `probability` (of POSITIVE).

    Returns:
        At most 20 rows: `id`, `label` (name of the true label), `probability`, and `text`, shortened.
    """
    wrong = scored[(scored["probability"] >= 0.5) != scored["label"]]
    error = (wrong["probability"] - wrong["label"]).abs()
    worst = wrong.loc[error.sort_values(ascending=False, kind="stable").index[:_MAX_MISTAKES]]
    shown = worst.assign(label=worst["label"].map(LABELS.__getitem__), text=worst["text"].map(shortened))
    return shown[["id", "label", "probability", "text"]]


def as_markdown(mistakes: pd.DataFrame) -> str:
    """Format the result of `worst_mistakes` as a Markdown table."""
    lines = ["| id | true label | probability of POSITIVE | review |", "|---|---|---|---|"]
    for row in mistakes.itertuples():
        text = str(row.text).replace("|", "\\|")
        lines.append(f"| {row.id} | {row.label} | {four_digits(row.probability)} | {text} |")
    return "\n".join(lines) + "\n"


def shortened(text: str, limit: int = 200) -> str:
    """Shorten a review to its beginning and its end, where people often state their verdict."""
    if len(text) <= limit:
        return text
    beginning = text[: limit // 2].rsplit(maxsplit=1)[0]
    end = text[-limit // 2 :].split(maxsplit=1)[-1]
    return f"{beginning} [...] {end}"
