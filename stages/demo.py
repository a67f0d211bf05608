"""A page on this machine alone: type a review and see its label, the probability, and the words that speak for it.

Usage: make demo, or python -m stages.demo [--port 7860]
"""

import argparse
import contextlib
import importlib.util
import itertools
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from stages import attribution, errors, parameters, reviews, scoring
from stages.encoding import Encoder
from stages.errors import InputError
from stages.labels import LABELS

if TYPE_CHECKING:
    from gradio import Blocks

MODEL = "models/classifier"
ADDRESS = "127.0.0.1"
MOST_CHARACTERS = 50_000  # three times the longest review of IMDb
LISTED = 5  # words on each side
MARKED = 20  # words of the review
WEAKEST = 0.01  # log-odds; a word with less says nothing
# What it is, the review, and how readers take it.
EXAMPLES = [
    ("Plain praise", "A warm, funny and beautifully acted film. I loved every minute and will see it again.", 1),
    ("Plain complaint", "Dull from start to finish: a lazy script, wooden acting and a plot full of holes.", 0),
    (
        "Understatement",
        "Not bad at all. I only meant to watch ten minutes before bed, and at two in the morning I was still there.",
        1,
    ),
    ("Polite no", "It is not, perhaps, the film that I would show to a guest whom I hoped to keep.", 0),
    (
        "Irony",
        "What a treat: two hours of men walking down beautiful corridors. I have never known so well how many tiles "
        "our cinema's ceiling has.",
        0,
    ),
    (
        "Mock complaint",
        "I blame this film for everything. Missed my stop, missed the next one too, and my family has had enough of me "
        "quoting it at breakfast.",
        1,
    ),
    ("Faint praise", "The popcorn was wonderful, the seats were lovely, and the trailers before it were excellent.", 0),
    (
        "Grim plot",
        "Everyone I cared for is dead by the end, of plague, betrayal and a horse. I cried all the way home on the tram "
        "and have booked again for Saturday.",
        1,
    ),
]
MEANT = {text: label for _, text, label in EXAMPLES}
CSS = """
.gradio-container { max-width: 56rem !important; margin: auto; --plus: #1d4ed8; --minus: #b45309; }
.dark { --plus: #93c5fd; --minus: #fdba74; }
#tries { gap: 0.5rem; } #tries button { flex: 0 1 auto; min-width: 0 !important; }
#verdict p { margin: 0.4rem 0; } #verdict .label { font-size: 1.5rem; }
.scale { display: flex; align-items: center; gap: 0.5rem; max-width: 30rem; font-size: 0.8rem; }
.scale span { flex: 1; height: 0.8rem; border: 1px solid currentColor; border-radius: 0.2rem; position: relative; }
.scale span::before { content: ""; position: absolute; left: 50%; top: -0.25rem; bottom: -0.25rem; border-left: 1px solid currentColor; }
.scale i { display: block; height: 100%; background: var(--tone); }
.review { line-height: 2; font-size: 1.05rem; overflow-wrap: anywhere; }
.review mark { color: inherit; border-radius: 0.2rem; padding: 0.1rem 0.15rem 0; border-bottom: 3px solid var(--tone);
  background: color-mix(in srgb, var(--tone) calc(var(--strength) * 35%), transparent); }
.plus { --tone: var(--plus); } .review .plus::before { content: "+"; }
.minus { --tone: var(--minus); } .review .minus { border-bottom-style: dashed; } .review .minus::before { content: "−"; }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem 2rem; margin: 1rem 0; }
.lists table { width: 100%; border-collapse: collapse; align-self: start; margin: 0 !important; }
#words small { font-size: 0.9rem; }
.lists caption { text-align: left; font-weight: 600; border-bottom: 3px solid var(--tone); }
.lists .minus caption { border-bottom-style: dashed; }
.lists table, .lists tbody, .lists tr, .lists th, .lists td { border: 0 !important; }
.lists th, .lists td { padding: 0.25rem 0 !important; text-align: right; font-weight: 400; }
.lists tr + tr > * { border-top: 1px solid var(--border-color-primary) !important; }
.lists th:first-child { text-align: left; overflow-wrap: anywhere; }
"""


def main() -> None:
    """Serve the page until Ctrl-C.

    Raises:
        InputError: Gradio is not installed, there is no classifier, or the port is taken.
    """
    parser = argparse.ArgumentParser(prog="python -m stages.demo", description=str(__doc__).splitlines()[0])
    parser.add_argument("--port", type=int, default=7860, help=f"a port of {ADDRESS} (7860)")
    port = parser.parse_args().port
    if importlib.util.find_spec("gradio") is None:
        raise InputError("gradio is not installed: pip install -e '.[demo]'")
    precision = parameters.load(parameters.EvaluateParams).precision
    scoring.deterministic()
    with listening(port) as server:
        model, encoder = scoring.load(MODEL)
        assert isinstance(model, PreTrainedModel)
        serve(page(model, encoder, precision), server)
    print("stopped")


def listening(port: int) -> socket.socket:
    """A socket that listens on this machine's own address only.

    Raises:
        InputError: the port is taken, not allowed or none.
    """
    try:
        return socket.create_server((ADDRESS, port))
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "allowed: 0 to 65535"
        raise InputError(f"--port {port}: {reason}; another one: python -m stages.demo --port 7861") from None


def serve(blocks: "Blocks", server: socket.socket) -> None:
    """Answer requests for the page until Ctrl-C; only those that name this machine, so that no other site can ask."""
    import gradio
    import uvicorn
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[ADDRESS, "localhost"])
    theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(  # no fonts from Google
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        input_placeholder_color="*neutral_600",
        input_placeholder_color_dark="*neutral_400",
    )
    gradio.mount_gradio_app(
        app,
        blocks,
        path="/",
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        footer_links=[],
        run_history=False,  # or the browser would keep every review
        max_file_size=0,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        theme=theme,
        css=CSS,
    )
    print(f"http://{ADDRESS}:{server.getsockname()[1]} (Ctrl-C ends it)", flush=True)
    settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[server])


def page(model: PreTrainedModel, encoder: Encoder, precision: str) -> "Blocks":
    """The page; its functions are not offered as an API, for which models/classifier itself is the better one."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    def respond(text: str) -> Iterator[tuple[str, str]]:
        yield from answer(model, encoder, precision, text)

    with gradio.Blocks(title="Sentiment of a film review", analytics_enabled=False) as blocks:
        gradio.HTML(
            f"<h1>Is this film review positive?</h1><p>{escape(MODEL)}, fine-tuned from "
            f"{escape(str(model.config.base_model))}. It runs on this machine, and nothing you type is kept.</p>"
        )
        box = gradio.Textbox(
            label="Review",
            lines=5,
            max_lines=15,
            placeholder="Type or paste a review in English; Shift+Enter classifies it",
        )
        button = gradio.Button("Classify", variant="primary")
        gradio.HTML("<p>Or try one of these; the last six are hard:</p>")
        with gradio.Row(elem_id="tries"):
            tries = [(gradio.Button(name, size="sm"), text) for name, text, _ in EXAMPLES]
        announced = "element.setAttribute('role', 'status'); element.setAttribute('aria-label', 'Answer')"
        outputs = [
            gradio.HTML(elem_id="verdict", js_on_load=announced),
            gradio.HTML(elem_id="words"),
        ]
        gradio.HTML(limits(scoring.probabilities(model, encoder, list(MEANT), precision).tolist()))
        # What is asked for while an answer is under way is answered next, not dropped.
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
        for event in (button.click, box.submit):
            event(respond, box, outputs, **quiet)
        for each, text in tries:
            filled = each.click(None, None, box, js=f"() => {json.dumps(text)}", api_visibility="private")
            filled.then(respond, box, outputs, **quiet)
    return blocks


def answer(model: PreTrainedModel, encoder: Encoder, precision: str, text: str) -> Iterator[tuple[str, str]]:
    """The verdict and the words, as HTML: first the verdict alone, then both."""
    if len(text) > MOST_CHARACTERS:
        yield f"<p>This text has {len(text):,} characters; at most {MOST_CHARACTERS:,} are taken.</p>", ""
        return
    # Halves of characters, which JSON can carry, are no text.
    text = reviews.normalise(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    if not text:
        yield "<p>There is no text yet: type or paste a review.</p>", ""
        return
    started = time.perf_counter()
    probability = float(scoring.probabilities(model, encoder, [text], precision)[0])
    said = verdict(probability, MEANT.get(text))
    yield said, "<p>Leaving out its words, one by one …</p>"
    found = attribution.words(model, encoder, text, precision)
    yield said, explained(text, probability, found, time.perf_counter() - started)


def verdict(probability: float, meant: int | None) -> str:
    """The label and its probability, and whether it is what readers of an example take it for (`meant`)."""
    label = int(probability >= 0.5)
    as_meant = ""
    if meant is not None:
        as_meant = f"Readers take it as {LABELS[meant]}: the model is {'right' if label == meant else 'wrong'}."
    return (
        f"<p class='label'><strong>{LABELS[label]}</strong>, probability "
        f"<data value='{probability!r}'>{shown(probability if label else 1 - probability)}</data></p>"
        f"<div class='scale {'plus' if label else 'minus'}' aria-hidden='true'>NEGATIVE"
        f"<span><i style='width: {probability:.1%}'></i></span>POSITIVE</div>"
        f"<p>The probability of POSITIVE is {shown(probability)}; from 0.5 on, that is the label. {as_meant}</p>"
    )


def shown(probability: float) -> str:
    """A probability with four digits, never rounded to certainty."""
    if probability < 5e-5:
        return "&lt;&nbsp;0.0001"
    return f"{probability:.4f}" if probability < 1 - 5e-5 else "&gt;&nbsp;0.9999"


def signed(effect: float | None) -> str:
    """An effect in log-odds, with its sign."""
    return f"{effect or 0:+.2f}".replace("-", "−")


def explained(text: str, probability: float, words: list[attribution.Word], seconds: float) -> str:
    """The review with its words marked, and lists of the strongest ones, as HTML."""
    text = _UNSEEN.sub("\ufffd", text)
    tried = [word for word in words if word.effect is not None]
    if not tried:
        return "<p>It has no word that the model can read.</p>"
    strongest = sorted((abs(word.effect or 0) for word in tried), reverse=True)[:MARKED]
    least = max(strongest[0] / 10, strongest[-1], WEAKEST)
    pieces = []
    for was_read, group in itertools.groupby(words, key=lambda word: word.read):
        run = list(group)
        if was_read:
            ends = [*(word.start for word in run[1:]), run[-1].end]
            marks = [
                mark(text, word, least, strongest[0]) + escape(text[word.end : end])
                for word, end in zip(run, ends, strict=True)
            ]
            pieces.append(f"<p class='review' dir='auto'>{''.join(marks)}</p>")
        else:
            unread = escape(text[run[0].start : run[-1].end])
            pieces.append(
                f"<details><summary>Not read: {len(run):,} words</summary><p dir='auto'>{unread}</p></details>"
            )
    lists = [table(text, tried, sign) for sign in (1, -1)]
    read = sum(word.read for word in words)
    some = "" if len(tried) == read else ", those with the steepest gradients,"
    how = (
        f"{len(tried)} of the {read:,} words that the model read{some} were left out one at a time, in {seconds:.1f} s. <b>adds</b>: log-odds of POSITIVE that the word adds; <b>without it</b>: the probability of "
        f"POSITIVE, now {shown(probability)}, when the review is scored again without that one word. Where two words say "
        "the same, leaving out either changes little: the figures need not add up."
    )
    return f"<h2>Which words it rests on</h2>{''.join(pieces)}<div class='lists'>{''.join(lists)}</div><small>{how}</small>"


def mark(text: str, word: attribution.Word, least: float, most: float) -> str:
    """A word as HTML, marked if its effect is between `least` and `most`."""
    said = escape(text[word.start : word.end])
    if word.effect is None or word.without is None or abs(word.effect) < least:
        return said
    strength = f"--strength: {abs(word.effect) / most:.2f}"
    hint = f"adds {signed(word.effect)}; without it {shown(word.without)}"
    return f"<mark class='{'plus' if word.effect > 0 else 'minus'}' style='{strength}' title='{hint}'>{said}</mark>"


def table(text: str, words: list[attribution.Word], sign: int) -> str:
    """The words with the strongest effects in favour of POSITIVE (`sign` 1) or NEGATIVE (-1), as an HTML table."""
    speaking = [word for word in words if sign * (word.effect or 0) >= WEAKEST]
    rows = [
        f"<tr><th scope='row' dir='auto'>{escape(errors.one_line(text[word.start : word.end], 40))}</th>"
        f"<td>{signed(word.effect)}</td><td>{shown(word.without or 0)}</td></tr>"
        for word in sorted(speaking, key=lambda word: -sign * (word.effect or 0))[:LISTED]
    ]
    heads = "<tr><th scope='col'>word</th><th scope='col'>adds</th><th scope='col'>without it</th></tr>"
    return (
        f"<table class='{'plus' if sign > 0 else 'minus'}'><caption>For {LABELS[sign > 0]}</caption>"
        f"{heads + ''.join(rows) if rows else '<tr><td>no word</td></tr>'}</table>"
    )


def limits(probabilities: list[float]) -> str:
    """What the model gets wrong, as HTML: measured by evaluate, and of the examples by these probabilities."""
    measured = []
    for name, what in {
        "test": "of the test reviews",
        "challenge": "of irony, understatement and backhanded praise (data/challenge), all of which readers get right",
    }.items():
        path = Path(f"metrics/{name}.json")
        if path.is_file():
            share = "{accuracy:.1%} ({accuracy_low:.1%} to {accuracy_high:.1%})".format(**json.loads(path.read_text()))
            measured.append(f"<li>It is right on {share} {what}.</li>")
        else:
            measured.append(f"<li>{path} is missing: <code>dvc repro</code> measures it.</li>")
    wrong = []
    for (name, text, meant), probability in zip(EXAMPLES, probabilities, strict=True):
        label = int(probability >= 0.5)
        if label != meant:
            sure = shown(probability if label else 1 - probability)
            wrong.append(
                f"<li><b>{name}</b>: “{escape(text)}” Readers take it as {LABELS[meant]}; "
                f"the model says {LABELS[label]} with probability {sure}.</li>"
            )
    examples = f"<p>Of the examples above:</p><ul>{''.join(wrong)}</ul>" if wrong else ""
    return f"<h2>What it gets wrong</h2><ul>{''.join(measured)}</ul>{examples}"


# Control characters, and those that turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


if __name__ == "__main__":
    errors.run(main)
