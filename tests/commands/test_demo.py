"""The demo page as users see it: started from the command line, in a real browser."""

import re
import shutil
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from scipy.special import logit
from typer.testing import CliRunner

from sentiment import cli
from sentiment.api import open_classifier
from sentiment.classifier import unknown_tokens_warning
from sentiment.commands import demo
from sentiment.data.schema import read_source
from sentiment.data.text import normalise
from sentiment.errors import InputError
from sentiment.evaluation.mistakes import shortened
from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import with_interval
from sentiment.model.saved import load_transformer
from sentiment.model.scoring import TransformerClassifier
from tests.conftest import ROOT, Clone
from tests.helpers.servers import free_port

pytest.importorskip("gradio", reason="pip install '.[demo]'")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request

EXAMPLES = pd.read_csv(Path(demo.__file__).with_name("examples.csv"))
REVIEW = "A warm and funny film &amp; a <br /> wonderful cast, but far too long."
MARKER = "quincunx"  # a word that occurs nowhere else
HOSTILE = [
    "<script>window.pwned = 1</script> a fine film",
    "<img src=x onerror='window.pwned = 1'> a fine film",
    "</p></div><svg onload='window.pwned = 1'> <a href='javascript:window.pwned = 1'>film</a>",
    "${window.pwned = 1} {{window.pwned = 1}} `${alert(1)}` a fine film",
    "&lt;img src=x onerror='window.pwned = 1'&gt; a fine film",  # markup after normalise has decoded it
    "<mark title='x' onmouseover='window.pwned = 1'>'\"film",
    "![x](http://192.0.2.1/x) <link rel=stylesheet href=http://192.0.2.1/x.css> film",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home and temporary folder of the user who starts the page."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def served(ran: Clone, home: Path) -> Iterator[str]:
    """The address of the page with a classifier of little training; Ctrl-C stops it without errors."""
    mine = Clone(ran.folder)
    mine.environment = ran.environment | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    server = mine.start(f"python -m sentiment demo --port {free_port()}")
    assert server.stdout
    line = server.stdout.readline()
    assert line.endswith("(Ctrl-C stops the server)\n"), line + server.stdout.read()
    yield line.split()[0]
    server.send_signal(signal.SIGINT)
    rest, _ = server.communicate(timeout=60)
    assert server.returncode == 0
    assert rest == "stopped\n"
    assert not [path for path in home.rglob("*") if path.is_file() and MARKER.encode() in path.read_bytes()]


@pytest.fixture
def requests() -> list["Request"]:
    """The requests of the browser."""
    return []


@pytest.fixture
def page(browser: "Browser", served: str, requests: list["Request"]) -> Iterator["Page"]:
    """The page in a new browser; no errors, dialogs, injected scripts, or requests to other hosts."""
    faults: list[str] = []

    def refused(dialog: "Dialog") -> None:
        faults.append(dialog.message)
        dialog.dismiss()

    page = browser.new_page()
    page.on("request", lambda request: requests.append(request))  # Playwright takes no built-in
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", refused)
    page.goto(served)
    page.get_by_label("Review", exact=True).wait_for()
    yield page
    assert not faults
    assert page.evaluate("window.pwned") is None
    assert {request.url.split("/")[2] for request in requests if not request.url.startswith("data:")} == {
        served[7:]
    }
    page.close()


@pytest.fixture(scope="module")
def classifier(ran: Clone) -> TransformerClassifier:
    """The classifier of the page, loaded as evaluate loads it."""
    return load_transformer(ran.folder / "models/classifier")


def classified(page: "Page", text: str | None = None) -> float:
    """Type a text, unless None, and click; return the probability of POSITIVE when the words appear."""
    if text is not None:
        page.get_by_label("Review", exact=True).fill(text)
    page.evaluate("document.querySelector('#table table')?.remove()")  # that of the previous answer
    page.get_by_role("button", name="Classify").click()
    return answered(page)


def answered(page: "Page") -> float:
    """The probability of POSITIVE, when the words have appeared."""
    page.get_by_role("table").wait_for()
    return float(str(page.get_by_role("status", name="Answer").locator("data").get_attribute("value")))


def highlighted(page: "Page") -> list[tuple[str, str]]:
    """The pieces of the review as shown, each with its label."""
    tokens = page.locator("#words .token")
    tokens.first.wait_for()  # they may appear shortly after the table
    pieces: list[list[str]] = tokens.evaluate_all(
        "tokens => tokens.map(token =>"
        "  ['.text', '.label'].map(part => token.querySelector(part)?.textContent ?? ''))"
    )
    return [(text, label) for text, label in pieces]


@pytest.mark.parametrize("text", [REVIEW, " ".join([REVIEW] * 20)])  # the second is truncated
def test_a_review_gets_the_probability_that_evaluate_gives_it(
    page: "Page", classifier: TransformerClassifier, text: str
) -> None:
    probability = classified(page, text)
    assert probability == pytest.approx(classifier.probabilities([normalise(text)])[0], rel=1e-6)
    label = LABELS[probability >= 0.5]
    status = page.get_by_role("status", name="Answer").inner_text()
    number = f"{probability:.4f}"
    assert status == f"{label}: the probability of POSITIVE is {number}; from 0.5, the label is POSITIVE."
    assert page.get_by_role("heading", name=label, exact=True).is_visible()
    assert not re.search(r"\d ?%", page.inner_text("main"))  # 0.9971 would be rounded to 100 %


def test_passages_that_were_not_read_are_marked(page: "Page") -> None:
    read = ["film"] * 8, ["film"] * 22  # max_length is 32, with two special tokens
    classified(page, " ".join([*read[0], *["boat"] * 138, *read[1]]))
    pieces = highlighted(page)
    (cut,) = (number for number, (_, label) in enumerate(pieces) if label.startswith("not read"))
    assert pieces[cut] == (shortened(" ".join(["boat"] * 138)), "not read: 138 words")
    for part, words in zip((pieces[:cut], pieces[cut + 1 :]), read, strict=True):
        assert "".join(text for text, _ in part).split() == words


def test_highlighted_words_and_the_table_agree(page: "Page") -> None:
    probability = classified(page, REVIEW)
    marked = {text: label for text, label in highlighted(page) if label}
    rows = [row.inner_text().split("\t") for row in page.get_by_role("table").locator("tr:has(td)").all()]
    assert len(rows) == 10
    effects = [float(adds.replace("−", "-")) for _, adds, _ in rows]
    assert effects == sorted(effects, reverse=True)
    assert rows[effects.index(max(effects, key=abs))][0] in marked
    for (word, adds, without), effect in zip(rows, effects, strict=True):
        assert adds[0] in "+−"
        assert marked.get(word, adds) == adds
        assert logit(probability) - logit(float(without)) == pytest.approx(effect, abs=0.01)


def test_an_example_is_one_click(page: "Page", classifier: TransformerClassifier) -> None:
    for name, meant, text in EXAMPLES.itertuples(index=False):
        page.get_by_role("button", name=name).click()
        words = "[...document.querySelectorAll('#words .text')].map(each => each.textContent).join('')"
        page.wait_for_function(f"text => {words} === text", arg=text)
        probability = answered(page)
        assert page.get_by_label("Review", exact=True).input_value() == text
        assert probability == pytest.approx(classifier.probabilities([text])[0], rel=1e-6)
        right = "right" if LABELS[probability >= 0.5] == meant else "wrong"
        status = page.get_by_role("status", name="Answer").inner_text()
        assert f"Readers say {meant}: the model is {right}." in status


def test_the_page_lists_what_the_model_gets_wrong(
    page: "Page", ran: Clone, classifier: TransformerClassifier
) -> None:
    listed = page.get_by_role("listitem").all_inner_texts()
    for name, line in zip(("test", "sets/classifier/challenge"), listed, strict=False):
        assert line.endswith(with_interval(ran.details(name)))
    assert read_source("challenge").description in listed[1]
    wrong = EXAMPLES[(classifier.probabilities(EXAMPLES["text"]) >= 0.5) != (EXAMPLES["label"] == "POSITIVE")]
    assert len(listed) == 2 + len(wrong)
    for line, text in zip(listed[2:], wrong["text"], strict=True):
        assert text in line


def test_the_last_submitted_review_is_answered_last(page: "Page") -> None:
    box, button = page.get_by_label("Review", exact=True), page.get_by_role("button", name="Classify")
    for text in (" ".join([REVIEW] * 20), "A second film.", "A third film."):
        box.fill(text)
        page.wait_for_timeout(500)  # Gradio cancels the answer before; a click in the same instant, too
        button.click()
    page.locator("#words", has_text="third").wait_for()


def test_no_answer_is_shown_for_another_review(page: "Page") -> None:
    box, button = page.get_by_label("Review", exact=True), page.get_by_role("button", name="Classify")
    status = page.get_by_role("status", name="Answer")
    for change in (
        lambda: box.fill("Another film."),  # like pasting
        lambda: box.press_sequentially("x"),
        lambda: box.fill(""),
    ):
        classified(page, REVIEW)
        change()
        page.wait_for_function("!document.querySelector('#words')?.innerText.includes('wonderful cast')")
        page.wait_for_function("!document.querySelector('#table').innerText.includes('wonderful cast')")
        page.wait_for_timeout(500)  # for a late answer
        assert not status.inner_text()
    classified(page, REVIEW)
    page.get_by_role("button", name="Plain praise").click()
    page.wait_for_function("!document.querySelector('#words')?.innerText.includes('wonderful cast')")
    page.wait_for_function("!document.querySelector('#table').innerText.includes('wonderful cast')")
    box.fill(" ".join([REVIEW] * 20))
    button.click()
    status.get_by_text("the probability of POSITIVE is").wait_for()
    box.fill("A film that nobody has asked about yet.")  # while words are being left out
    status.get_by_text("the probability of POSITIVE is").wait_for(state="hidden")
    page.wait_for_timeout(2000)
    assert not status.inner_text()
    assert not page.inner_text("#table")
    classified(page)
    assert "".join(text for text, _ in highlighted(page)) == box.input_value()


def test_an_answer_that_arrives_too_late_is_dropped(page: "Page") -> None:
    box = page.get_by_label("Review", exact=True)
    status = page.get_by_role("status", name="Answer")
    page.route("**/cancel", lambda route: route.abort())  # so that the answer goes on
    box.fill(" ".join([REVIEW] * 20))
    page.get_by_role("button", name="Classify").click()
    status.get_by_text("the probability of POSITIVE is").wait_for()
    box.fill("Another film.")
    status.get_by_text("the probability of POSITIVE is").wait_for(state="hidden")
    page.wait_for_timeout(2000)
    assert not status.inner_text()
    assert not page.inner_text("#table")


def test_a_language_unknown_to_the_model_gives_a_warning(
    page: "Page", classifier: TransformerClassifier
) -> None:
    foreign, status = "这部电影非常好看", page.get_by_role("status", name="Answer")
    scores = classifier.score([foreign])
    warning = unknown_tokens_warning(scores.tokens, scores.unknown)
    assert warning
    for text, warned in ((foreign, True), (REVIEW, False), (foreign + " " + REVIEW, False), (foreign, True)):
        classified(page, text)
        if text in (foreign, REVIEW):
            assert (warning in status.inner_text()) == warned


def test_the_page_works_with_the_keyboard_alone(page: "Page") -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.type(f"One {MARKER} of a film.")
    page.keyboard.press("Shift+Enter")
    first = answered(page)
    page.keyboard.press("Control+A")
    page.keyboard.type("Dull and slow.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#words", has_text="Dull").wait_for()
    assert answered(page) != first
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.locator("#words", has_text="beautifully").wait_for()


def test_markup_is_shown_as_text(page: "Page") -> None:
    for text in HOSTILE:
        classified(page, text)
        assert "".join(piece for piece, _ in highlighted(page)) == normalise(text)
        page.locator("#words .textfield").hover()
        assert page.locator("#words .textfield :not(span)").count() == 0
        assert page.locator("#table td *").count() == 0


def test_invalid_texts_are_refused(page: "Page") -> None:
    for text, reason in {
        "": "There is no text: type or paste a review.",
        "a fine film " * 90_000: "This text has 1,080,000 characters; allowed: 50,000.",
        " \t\n <br /> \u3000": "There is no text: type or paste a review.",
        "<b>" * 350_000: "This text has 1,050,000 characters; allowed: 50,000.",
    }.items():
        page.get_by_label("Review", exact=True).fill(text)
        page.get_by_role("button", name="Classify").click()
        page.get_by_role("status", name="Answer").get_by_text(reason).wait_for()
        page.locator("#words").wait_for(state="hidden")
        assert not page.inner_text("#table")
    classified(page, REVIEW)  # the next review is answered


def test_unusual_characters_are_accepted(page: "Page") -> None:
    for text in (
        "😀👩‍👩‍👧 😡😡😡",
        "a\x00b\x07\x1b[31m film \u202e txet",
        "映画 とても よかった",
        "half\ud800 film",
        "x" * 49_999,
    ):
        codes = list(memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"))
        page.get_by_label("Review", exact=True).evaluate(
            "(box, codes) => {"
            "  box.value = String.fromCharCode(...codes); box.dispatchEvent(new Event('input')) }",
            codes,
        )
        classified(page)
        assert not set(page.inner_text("#words") + page.inner_text("#table")) & set(
            "\x00\x07\x1b\u202e\ud800"
        )


def test_control_characters_alone_are_no_words(page: "Page") -> None:
    page.get_by_label("Review", exact=True).fill("\x07\x07")
    page.get_by_role("button", name="Classify").click()
    page.get_by_text("The review has no word that the model can read.").wait_for()


def test_other_sites_cannot_send_requests_and_there_is_no_api(page: "Page", served: str) -> None:
    assert page.request.get(served, headers={"Host": "example.org"}).status == 400
    assert page.request.get(f"{served}/gradio_api/info").json() == {
        "named_endpoints": {},
        "unnamed_endpoints": {},
    }
    for path in ("docs", "openapi.json"):
        assert page.request.get(f"{served}/{path}").status == 404


def test_files_cannot_be_uploaded(page: "Page", served: str) -> None:
    body: Any = {"files": {"name": "x.txt", "mimeType": "text/plain", "buffer": MARKER.encode()}}
    assert page.request.post(f"{served}/gradio_api/upload", multipart=body).status == 413


def test_a_port_that_is_taken_is_one_line(ran: Clone, served: str) -> None:
    port = served.rsplit(":", 1)[1]
    printed = ran.run(f"python -m sentiment demo --port {port}", fails=True)
    assert (
        printed == f"error: --port {port}: Address already in use; another one: sentiment demo --port 7861\n"
    )


@pytest.mark.parametrize(
    ("port", "allowed"),
    [(65536, "less than or equal to 65535"), (-1, "greater than or equal to 0"), (10**20, "equal to 65535")],
)
def test_an_invalid_port_is_named(port: int, allowed: str) -> None:
    result = CliRunner().invoke(cli.app, ["demo", "--port", str(port)])
    assert result.exit_code == 2
    printed = " ".join(result.output.replace("│", " ").split())
    assert "Invalid value for '--port'" in printed
    assert allowed in printed


def test_it_listens_only_on_this_machine(served: str) -> None:
    port = int(served.rsplit(":", 1)[1])
    # 127.0.0.2 is this machine too; a server that listens on all addresses would answer there.
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.2", port)) != 0


def test_a_missing_classifier_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="^models/classifier: no classifier there; `dvc repro` trains one"):
        demo.main(free_port())


def test_the_page_of_a_blend_answers(ran: Clone) -> None:
    server = ran.start(f"python -m sentiment demo --model models/blend.json --port {free_port()}")
    assert server.stdout
    line = server.stdout.readline()
    assert line.endswith("(Ctrl-C stops the server)\n"), line + server.stdout.read()
    with urllib.request.urlopen(line.split()[0], timeout=60) as response:
        assert b"models/blend.json, a blend of n-grams and a model fine-tuned from" in response.read()
    server.send_signal(signal.SIGINT)
    assert server.communicate(timeout=60)[0] == "stopped\n"
    from sentiment.commands.demo.answer import answer  # imports Gradio

    blend = open_classifier(ran.folder / "models/blend.json")
    *_, (label, reason, words, table) = answer(blend, {}, "A warm and funny film.")
    assert label.value["label"] in LABELS
    assert f"{float(blend.probabilities(['A warm and funny film.'])[0])!r}" in reason
    assert "6 of the 6 words that the model read" in table
    assert words.visible


def test_a_model_without_gradients_is_one_line(ran: Clone) -> None:
    printed = ran.run(
        f"python -m sentiment demo --model models/baseline.npz --port {free_port()}", fails=True
    )
    assert printed == (
        "error: models/baseline.npz: the demo cannot show this model; allowed: models/classifier, or a blend "
        "of it\n"
    )
