"""The demo page as people use it: started from the command line, in a real browser."""

import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stages import demo, reviews, scoring
from stages.errors import InputError
from stages.labels import LABELS
from tests.conftest import ROOT, Clone
from tests.servers import free_port

pytest.importorskip("gradio", reason="pip install '.[demo]'")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request

REVIEW = "A warm and funny film &amp; a <br /> wonderful cast, but far too long."
MARKER = "quincunx"  # a word that nothing else holds
HOSTILE = [
    "<script>window.pwned = 1</script> a fine film",
    "<img src=x onerror='window.pwned = 1'> a fine film",
    "</p></div><svg onload='window.pwned = 1'> <a href='javascript:window.pwned = 1'>film</a>",
    "${window.pwned = 1} {{window.pwned = 1}} `${alert(1)}` a fine film",
    "&lt;img src=x onerror='window.pwned = 1'&gt; a fine film",  # markup once normalise has decoded it
    "<mark title='x' onmouseover='window.pwned = 1'>'\"film",
    "![x](http://192.0.2.1/x) <link rel=stylesheet href=http://192.0.2.1/x.css> film",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home and temporary folder of whoever started the page."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def served(ran: Clone, home: Path) -> Iterator[str]:
    """The address of the page, served for a classifier that was trained shortly; Ctrl-C ends it without a word wrong."""
    mine = Clone(ran.folder)
    mine.environment = ran.environment | {"HOME": str(home), "TMPDIR": str(home), "HTTP_PROXY": "http://127.0.0.1:9"}
    server = mine.start(f"python -m stages.demo --port {free_port()}")
    assert server.stdout
    line = server.stdout.readline()
    assert line.endswith("(Ctrl-C ends it)\n"), line + server.stdout.read()
    yield line.split()[0]
    server.send_signal(signal.SIGINT)
    rest, _ = server.communicate(timeout=60)
    assert server.returncode == 0
    assert rest == "stopped\n"
    assert not [path for path in home.rglob("*") if path.is_file() and MARKER.encode() in path.read_bytes()]


@pytest.fixture
def requests() -> list["Request"]:
    """What the browser asked for."""
    return []


@pytest.fixture
def page(browser: "Browser", served: str, requests: list["Request"]) -> Iterator["Page"]:
    """The page in a browser of its own; no error, no dialog, no script of the text's, and no request to elsewhere."""
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
    assert {request.url.split("/")[2] for request in requests if not request.url.startswith("data:")} == {served[7:]}
    page.close()


def classified(page: "Page", text: str | None = None) -> float:
    """Type (or leave what is typed) and click; return the probability of POSITIVE once the words are there."""
    if text is not None:
        page.get_by_label("Review", exact=True).fill(text)
    page.evaluate("document.querySelector('#words h2')?.remove()")  # the last answer's, or it would do
    page.get_by_role("button", name="Classify").click()
    return answered(page)


def answered(page: "Page") -> float:
    """The probability of POSITIVE once the words are there."""
    page.get_by_role("heading", name="Which words it rests on").wait_for()
    return float(str(page.get_by_role("status", name="Answer").locator("data").get_attribute("value")))


def expected(ran: Clone, text: str) -> float:
    """What evaluate's own path gives."""
    model, encoder = scoring.load(ran.folder / "models/classifier")
    return float(scoring.probabilities(model, encoder, [reviews.normalise(text)])[0])


@pytest.mark.parametrize("text", [REVIEW, " ".join([REVIEW] * 20)])  # the second is cut
def test_a_review_gets_the_probability_that_evaluate_gives_it(page: "Page", ran: Clone, text: str) -> None:
    found = classified(page, text)
    assert found == pytest.approx(expected(ran, text), rel=1e-6)
    said = page.get_by_role("status", name="Answer").inner_text()
    assert said.startswith(f"{'POSITIVE' if found >= 0.5 else 'NEGATIVE'}, probability {max(found, 1 - found):.4f}")


def test_what_was_not_read_is_shown_as_such(page: "Page") -> None:
    classified(page, " ".join(["film"] * 200))
    shown = page.locator("#words")
    assert shown.locator("summary").inner_text() == "Not read: 138 words"  # max_length is 64 here
    assert not shown.locator("details p").is_visible()
    shown.locator("summary").click()
    assert shown.locator("details p").inner_text() == " ".join(["film"] * 138)


def test_marks_and_lists_say_the_same(page: "Page") -> None:
    classified(page, REVIEW)
    marked = {}
    for sign in ("plus", "minus"):
        for mark in page.locator(f"mark.{sign}").all():
            marked[mark.inner_text()] = str(mark.get_attribute("title"))
    assert marked
    for sign, name in (("+", "For POSITIVE"), ("−", "For NEGATIVE")):
        rows = page.get_by_role("table", name=name).locator("tr:has(td)")
        for row in rows.all():
            cells = row.inner_text().split("\t")
            if cells[0] in marked:
                assert cells[1].startswith(sign)
                assert marked[cells[0]] == f"adds {cells[1]}; without it {cells[2]}"


def test_an_example_is_one_click(page: "Page", ran: Clone) -> None:
    for name, text, meant in demo.EXAMPLES:
        page.get_by_role("button", name=name).click()
        page.locator("#words .review", has_text=text[-20:]).wait_for()
        found = answered(page)
        assert page.get_by_label("Review", exact=True).input_value() == text
        assert found == pytest.approx(expected(ran, text), rel=1e-6)
        right = "right" if (found >= 0.5) == meant else "wrong"
        assert f"Readers take it as {LABELS[meant]}: the model is {right}." in page.inner_text("#verdict")


def test_the_last_review_asked_for_is_answered_last(page: "Page") -> None:
    box, button = page.get_by_label("Review", exact=True), page.get_by_role("button", name="Classify")
    for text in (" ".join([REVIEW] * 20), "A second film.", "A third film."):
        box.fill(text)
        button.click()
    page.locator("#words .review", has_text="third").wait_for()


def test_the_keyboard_is_enough(page: "Page") -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.type(f"One {MARKER} of a film.")
    page.keyboard.press("Shift+Enter")
    first = answered(page)
    page.keyboard.press("Control+A")
    page.keyboard.type("Dull and slow.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#words mark, #words .review", has_text="Dull").first.wait_for()
    assert answered(page) != first
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.locator("#words .review", has_text="beautifully").wait_for()


def test_markup_is_text(page: "Page") -> None:
    for text in HOSTILE:
        classified(page, text)
        assert page.locator("#words .review").text_content() == reviews.normalise(text)
        page.locator("#words .review").hover()
        assert page.locator("#words .review :not(mark)").count() == 0


def test_what_cannot_be_classified_is_said(page: "Page") -> None:
    for text, said in {
        "": "There is no text yet: type or paste a review.",
        "a fine film " * 90_000: "This text has 1,080,000 characters; at most 50,000 are taken",
        " \t\n <br /> \u3000": "There is no text yet: type or paste a review.",
        "<b>" * 350_000: "This text has 1,050,000 characters; at most 50,000 are taken",
    }.items():
        page.get_by_label("Review", exact=True).fill(text)
        page.get_by_role("button", name="Classify").click()
        page.get_by_role("status", name="Answer").get_by_text(said).wait_for()
        assert not page.inner_text("#words")
    classified(page, REVIEW)  # and it goes on


def test_any_characters_are_answered(page: "Page") -> None:
    for text in (
        "😀👩‍👩‍👧 😡😡😡",
        "a\x00b\x07\x1b[31m film \u202e txet",
        "映画 とても よかった",
        "half\ud800 film",
        "x" * 49_999,
    ):
        codes = list(memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"))
        page.get_by_label("Review", exact=True).evaluate(
            "(box, codes) => { box.value = String.fromCharCode(...codes); box.dispatchEvent(new Event('input')) }",
            codes,
        )
        classified(page)
        assert not set(page.locator("#words").inner_text()) & set("\x00\x07\x1b\u202e\ud800")


def test_text_of_control_characters_alone_has_no_words(page: "Page") -> None:
    page.get_by_label("Review", exact=True).fill("\x07\x07")
    page.get_by_role("button", name="Classify").click()
    page.get_by_text("It has no word that the model can read.").wait_for()


def test_no_other_site_can_ask_and_there_is_no_api(page: "Page", served: str) -> None:
    assert page.request.get(served, headers={"Host": "example.org"}).status == 400
    assert page.request.get(f"{served}/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
    for path in ("docs", "openapi.json"):
        assert page.request.get(f"{served}/{path}").status == 404


def test_no_file_can_be_left_there(page: "Page", served: str) -> None:
    body: Any = {"files": {"name": "x.txt", "mimeType": "text/plain", "buffer": MARKER.encode()}}
    assert page.request.post(f"{served}/gradio_api/upload", multipart=body).status == 413


def test_a_port_that_is_taken_is_one_line(ran: Clone, served: str) -> None:
    port = served.rsplit(":", 1)[1]
    said = ran.run(f"python -m stages.demo --port {port}", fails=True)
    assert said == (f"error: --port {port}: Address already in use; another one: python -m stages.demo --port 7861\n")


@pytest.mark.parametrize("port", [65536, -1, 10**20])
def test_a_port_that_cannot_be_is_named(port: int) -> None:
    with pytest.raises(InputError, match=f"^--port {port}: allowed: 0 to 65535; "):
        demo.listening(port)


def test_it_listens_on_this_machine_alone(served: str) -> None:
    port = int(served.rsplit(":", 1)[1])
    with socket.socket() as probe:  # 127.0.0.2 is this machine too, and what listens on every address answers there
        assert probe.connect_ex(("127.0.0.2", port)) != 0


def test_no_classifier_and_no_gradio_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["demo", f"--port={free_port()}"])
    with pytest.raises(InputError, match="^models/classifier: no classifier there; `dvc repro` trains one"):
        demo.main()
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r"^gradio is not installed: pip install -e '\.\[demo\]'$"):
        demo.main()
