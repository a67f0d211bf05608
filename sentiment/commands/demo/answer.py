"""The answer to a review: its label and probability, its words highlighted, and a table of the strongest ones."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from html import escape
from itertools import groupby
from typing import Any

import gradio
import pandas as pd

from sentiment.classifier import unknown_tokens_warning
from sentiment.commands.demo.attribution import attribute
from sentiment.data.text import MOST_CHARACTERS, normalise
from sentiment.evaluation.mistakes import in_short
from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import four_digits
from sentiment.model.scoring import TransformerClassifier

MARKED = 20  # words of the review
WEAKEST = 0.01  # log-odds; a word with less is not marked
LISTED = 5  # words at each end of the table
_SCORING = threading.Lock()  # an answer that the page no longer waits for may still be computing
# Control characters, and those that turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def answer(
    classifier: TransformerClassifier, meant: Mapping[str, str], text: str
) -> Iterator[tuple[gradio.Label, str, gradio.HighlightedText, str]]:
    """The label, the verdict (HTML), the review and its table (HTML): first none, then the first two, then all.

    Args:
        classifier: what scores the review.
        meant: the label that readers give the examples, by their texts.
        text: the review as it was typed.
    """
    no_label, no_review = gradio.Label(visible=False), gradio.HighlightedText(visible=False)
    if len(text) > MOST_CHARACTERS:
        fault = f"<p>This text has {len(text):,} characters; at most {MOST_CHARACTERS:,} are taken.</p>"
        yield no_label, fault, no_review, ""
        return
    # Halves of characters, which JSON can carry, are no text.
    text = normalise(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if not text:
        yield no_label, "<p>There is no text yet: type or paste a review.</p>", no_review, ""
        return
    yield no_label, "<p>Reading the review …</p>", no_review, ""
    with _SCORING:
        started = time.perf_counter()
        scores = classifier.score([text])
    probability = float(scores.probabilities[0])
    warning = unknown_tokens_warning(scores.tokens, scores.unknown)
    # Without its probabilities: Gradio shows them in whole percents, 0.9971 as 100 %.
    label = gradio.Label(LABELS[probability >= 0.5], visible=True)
    reason = verdict(probability, meant.get(text)) + (f"<p>{escape(warning)}</p>" if warning else "")
    parts = attribute(classifier, text)
    while True:
        with _SCORING:
            try:
                done = next(parts)
            except StopIteration as end:
                words = end.value
                break
        yield label, reason, no_review, f"<p>Leaving out its words, one by one … {done:.0%}</p>"
    if words["effect"].isna().all():
        yield label, reason, no_review, "<p>It has no word that the model can read.</p>"
    else:
        yield (
            label,
            reason,
            highlighted(text, words),
            explained(words, probability, time.perf_counter() - started),
        )


def verdict(probability: float, meant: str | None) -> str:
    """The label, as HTML, why it is that, and whether it is what readers of an example take it for (`meant`)."""
    label = LABELS[probability >= 0.5]
    judged = (
        f" Readers take it as {meant}: the model is {'right' if label == meant else 'wrong'}."
        if meant
        else ""
    )
    return (
        f"<p>{label}: the probability of {LABELS[1]} is <data value='{probability!r}'>{four_digits(probability)}</data>; "
        f"from 0.5 on, that is the label.{judged}</p>"
    )


def highlighted(text: str, words: pd.DataFrame) -> gradio.HighlightedText:
    """The review with what its strongest words add, and where it was not read, in short."""
    text = _UNSEEN.sub("\ufffd", text)
    strongest = words["effect"].abs().nlargest(MARKED)
    marked = strongest.index[strongest >= max(strongest.max() / 10, WEAKEST)]
    pieces: list[tuple[str, str | float | None]] = []
    end = 0
    for index, group in groupby(words.itertuples(), lambda word: word.Index if word.read else None):
        run: list[Any] = list(group)  # one word that was read, or all in a row that were not
        piece, start = text[run[0].start : run[-1].end], run[0].start
        if index is None:
            pieces += [(text[end:start], None), (in_short(piece), f"not read: {len(run):,} words")]
        else:
            pieces += [(text[end:start], None), (piece, signed(run[0].effect) if index in marked else None)]
        end = run[-1].end
    # As categories: what Gradio colours by score has too little contrast for axe-core (3.4 to 3.9).
    colors = {
        str(label): {"+": "blue", "−": "red"}.get(str(label)[0], "purple") for _, label in pieces if label
    }
    return gradio.HighlightedText(pieces, color_map=colors, visible=True)


def explained(words: pd.DataFrame, probability: float, seconds: float) -> str:
    """A table of the words that add most and least, and how they were found, as HTML."""
    tried = words.dropna(subset="effect").sort_values("effect", ascending=False)
    ends = pd.concat([tried[:LISTED], tried[LISTED:][-LISTED:]])
    shown = ends["word"].str.replace(_UNSEEN, "\ufffd", regex=True)
    effects = {"adds": ends["effect"].map(signed), "without it": ends["without"].map(four_digits)}
    table = pd.DataFrame({"word": shown, **effects})
    read = words["read"].sum()
    some = "" if len(tried) == read else ", those with the steepest gradients,"
    return table.to_html(index=False, border=0, justify="left") + (
        f"<p>{len(tried)} of the {read:,} words that the model read{some} were left out one at a time, in {seconds:.1f} s. "
        f"<b>adds</b>: log-odds of {LABELS[1]} that the word adds; <b>without it</b>: the probability of {LABELS[1]}, now "
        f"{four_digits(probability)}, when the review is scored again without that one word. Where two words say the same, "
        "leaving out either changes little: the figures need not add up.</p>"
    )


def signed(effect: float) -> str:
    """An effect in log-odds, with its sign."""
    return f"{effect:+.2f}".replace("-", "−")
