"""The answer to a review: label, probability, highlighted words, and a table of the strongest words."""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from html import escape
from itertools import groupby
from typing import Any

import gradio
import pandas as pd

from sentiment.classifier import Classifier, unknown_tokens_warning
from sentiment.commands.demo.attribution import attribute
from sentiment.data.text import MOST_CHARACTERS, normalise
from sentiment.evaluation.mistakes import shortened
from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import four_digits

MAX_MARKED = 20  # words of the review
MIN_EFFECT = 0.01  # log-odds; words with less are not marked
LISTED = 5  # words at each end of the table
_COLORS = {"+": "blue", "−": "red"}  # by the sign of an effect
_SCORING = threading.Lock()  # an answer that the page no longer shows may still be computed
Answer = tuple[gradio.Label, str, gradio.HighlightedText, str]  # label, status, words and table
# Control characters, and characters that change the text direction.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def answer(classifier: Classifier, labels: Mapping[str, str], text: str) -> Iterator[Answer]:
    """Yield the label, the verdict (HTML), the highlighted review and the table (HTML) as they are ready.

    The verdict carries the review, so that the page can drop an answer that arrives too late.

    Args:
        classifier: scores the review.
        labels: the labels that readers give the examples, by text.
        text: the review as it was typed.
    """
    # JSON may contain unpaired surrogates, which are not text; HTML has no null character.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    review = escape(text.replace("\0", "\ufffd"))
    for label, status, words, table in _parts(classifier, labels, text):
        yield label, f'<div data-review="{review}">{status}</div>', words, table


def _parts(classifier: Classifier, labels: Mapping[str, str], text: str) -> Iterator[Answer]:
    no_label, no_review = gradio.Label(visible=False), gradio.HighlightedText(visible=False)
    if len(text) > MOST_CHARACTERS:
        fault = f"<p>This text has {len(text):,} characters; allowed: {MOST_CHARACTERS:,}.</p>"
        yield no_label, fault, no_review, ""
        return
    text = normalise(text)
    if not text:
        yield no_label, "<p>There is no text: type or paste a review.</p>", no_review, ""
        return
    yield no_label, "<p>Reading the review …</p>", no_review, ""
    with _SCORING:
        started = time.perf_counter()
        scores = classifier.score([text])
    probability = float(scores.probabilities[0])
    warning = unknown_tokens_warning(scores.tokens, scores.unknown)
    # Without its probabilities: Gradio shows them in whole percents, 0.9971 as 100 %.
    label = gradio.Label(LABELS[probability >= 0.5], visible=True)
    reason = verdict(probability, labels.get(text)) + (f"<p>{escape(warning)}</p>" if warning else "")
    parts = attribute(classifier, text)
    while True:
        with _SCORING:
            try:
                done = next(parts)
            except StopIteration as end:
                words = end.value
                break
        yield label, reason, no_review, f"<p>Leaving out one word at a time … {done:.0%}</p>"
    if words["effect"].isna().all():
        yield label, reason, no_review, "<p>The review has no word that the model can read.</p>"
    else:
        yield (
            label,
            reason,
            highlighted(text, words),
            explained(words, probability, time.perf_counter() - started),
        )


def verdict(probability: float, readers_label: str | None) -> str:
    """The label and its probability as HTML and, for an example, whether readers agree with the label."""
    label = LABELS[probability >= 0.5]
    number = f"<data value='{probability!r}'>{four_digits(probability)}</data>"
    text = f"{label}: the probability of {LABELS[1]} is {number}; from 0.5, the label is {LABELS[1]}."
    if readers_label:
        judgement = "right" if label == readers_label else "wrong"
        text += f" Readers say {readers_label}: the model is {judgement}."
    return f"<p>{text}</p>"


def highlighted(text: str, words: pd.DataFrame) -> gradio.HighlightedText:
    """The review with the effects of its strongest words; passages that were not read are shortened."""
    text = _INVISIBLE.sub("\ufffd", text)
    strongest = words["effect"].abs().nlargest(MAX_MARKED)
    marked = strongest.index[strongest >= max(strongest.max() / 10, MIN_EFFECT)]
    pieces: list[tuple[str, str | float | None]] = []
    end = 0
    # A group is one word that was read, or several in a row that were not.
    for index, group in groupby(words.itertuples(), lambda word: word.Index if word.read else None):
        members: list[Any] = list(group)
        start = members[0].start
        pieces.append((text[end:start], None))
        end = members[-1].end
        piece = text[start:end]
        if index is None:
            pieces.append((shortened(piece), f"not read: {len(members):,} words"))
        elif index in marked:
            pieces.append((piece, signed(members[0].effect)))
        else:
            pieces.append((piece, None))
    # As categories: Gradio's colours for scores have too little contrast for axe-core (3.4 to 3.9).
    labels = [str(label) for _, label in pieces if label]
    colors = {label: _COLORS.get(label[0], "purple") for label in labels}
    return gradio.HighlightedText(pieces, color_map=colors, visible=True)


def explained(words: pd.DataFrame, probability: float, seconds: float) -> str:
    """A table of the words that add most and least, and how it was computed, as HTML."""
    tried = words.dropna(subset="effect").sort_values("effect", ascending=False)
    ends = pd.concat([tried[:LISTED], tried[LISTED:][-LISTED:]])
    shown = ends["word"].str.replace(_INVISIBLE, "\ufffd", regex=True)
    effects = {"adds": ends["effect"].map(signed), "without it": ends["without"].map(four_digits)}
    table = pd.DataFrame({"word": shown, **effects})
    read = words["read"].sum()
    selection = "" if len(tried) == read else ", those with the steepest gradients,"
    return table.to_html(index=False, border=0, justify="left") + (
        f"<p>{len(tried)} of the {read:,} words that the model read{selection} were left out, one at a time, "
        f"in {seconds:.1f} s. <b>adds</b>: what the word adds to the log-odds of {LABELS[1]}. "
        f"<b>without it</b>: the probability of {LABELS[1]} without this word; with all words, it is "
        f"{four_digits(probability)}. If two words say the same, leaving out one of them changes little, "
        "so the effects need not add up.</p>"
    )


def signed(effect: float) -> str:
    """An effect in log-odds, with its sign."""
    return f"{effect:+.2f}".replace("-", "−")
