"""The most confident mistakes of a model, to be read by people."""

import pandas as pd

from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import four_digits

_MOST = 20


def worst_mistakes(scored: pd.DataFrame) -> pd.DataFrame:
    """The reviews that a model was most confidently wrong about, the worst first.

    Args:
        scored: reviews with `id`, `text`, `label` (index) and `probability` (of POSITIVE).

    Returns:
        At most 20 rows: `id`, `label` (name of the true one), `probability`, and `text` in short.
    """
    wrong = scored[(scored["probability"] >= 0.5) != scored["label"]]
    error = (wrong["probability"] - wrong["label"]).abs()
    worst = wrong.loc[error.sort_values(ascending=False, kind="stable").index[:_MOST]]
    shown = worst.assign(label=worst["label"].map(LABELS.__getitem__), text=worst["text"].map(in_short))
    return shown[["id", "label", "probability", "text"]]


def as_markdown(mistakes: pd.DataFrame) -> str:
    """The table that `worst_mistakes` gives, in Markdown."""
    lines = ["| id | true label | probability of POSITIVE | review |", "|---|---|---|---|"]
    for row in mistakes.itertuples():
        text = str(row.text).replace("|", "\\|")
        lines.append(f"| {row.id} | {row.label} | {four_digits(row.probability)} | {text} |")
    return "\n".join(lines) + "\n"


def in_short(text: str, most: int = 200) -> str:
    """The beginning and the end of a review: people often say what they mean last."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2].rsplit(maxsplit=1)[0]} [...] {text[-most // 2 :].split(maxsplit=1)[-1]}"
