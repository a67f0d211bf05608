"""The page of suspects as users see it: in a real browser, with keys and clicks, and what it writes."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from sentiment.commands.audit.suspects import COLUMNS
from sentiment.data import corrections
from tests.conftest import ROOT, Clone

pytest.importorskip("gradio", reason="pip install '.[demo]'")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror='window.pwned = 1'> ${window.pwned = 1} {{window.pwned = 1}} fine"
TEXTS = ["A calm and clever film.", HOSTILE, "A dull, clumsy film.", "Every scene earns its place."]
PROGRAM = (
    "import pandas as pd; from sentiment import errors; from sentiment.commands.audit.page import open_page; "
    "errors.run(lambda: open_page('mine', pd.read_csv('data/mine/suspects.csv', keep_default_na=False)))"
)
HEADER = "id,verdict,text_hash\n"


@pytest.fixture
def project(tmp_path: Path) -> Clone:
    """A folder with a dataset and its suspects."""
    folder = tmp_path / "data/mine"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text("files: reviews.csv\n")
    rows: list[tuple[object, ...]] = [
        (f"train-{n + 1}", "reviews.csv", n + 1, "train", "POSITIVE", 0.9, "label", "", text)
        for n, text in enumerate(TEXTS)
    ]
    rows[0] = (*rows[0][:6], "near-duplicate", "test-1", TEXTS[0])
    pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "suspects.csv", index=False)
    clone = Clone(tmp_path)
    clone.environment = clone.environment | {"PYTHONPATH": str(ROOT)}
    return clone


@pytest.fixture
def start(project: Clone) -> Iterator[Callable[[], tuple[Popen[str], str]]]:
    """Starts the server: its process, and its address."""
    servers = []

    def start() -> tuple[Popen[str], str]:
        server = project.start(f'{sys.executable} -c "{PROGRAM}"')
        servers.append(server)
        assert server.stdout
        line = server.stdout.readline()
        assert line.endswith("(Ctrl-C stops the server)\n"), line + server.stdout.read()
        return server, line.split()[0]

    yield start
    for server in servers:
        server.kill()
        server.wait()


def stopped(server: Popen[str]) -> str:
    """What the server prints after Ctrl-C."""
    server.send_signal(signal.SIGINT)
    printed, _ = server.communicate(timeout=60)
    assert server.returncode == 0
    return printed


def shows(page: "Page", text: str) -> None:
    """Wait until the page shows a text in the place of the suspect."""
    page.get_by_role("status").get_by_text(text).first.wait_for()


def line(number: int, verdict: str) -> str:
    """The line of corrections.csv with a verdict on a review."""
    return f"train-{number},{verdict},{corrections.text_hash(TEXTS[number - 1])}\n"


def test_keys_and_clicks_decide_and_a_new_start_resumes(
    project: Clone, start: Callable[[], tuple[Popen[str], str]], browser: "Browser"
) -> None:
    file = project.folder / "data/mine/corrections.csv"
    server, address = start()
    page = browser.new_page()
    page.goto(address)
    shows(page, "0 of 4 suspects decided")
    shows(page, "train-1 (train), reviews.csv, row 1")
    shows(page, "Suspect because nearly the same text is in another split: test-1.")
    shows(page, "probability of NEGATIVE: 0.9000")
    page.keyboard.press("f")
    shows(page, "1 of 4 suspects decided")
    assert file.read_text() == HEADER + line(1, "flip")
    shows(page, HOSTILE)
    assert page.evaluate("window.pwned") is None
    page.keyboard.press("s")  # skipped: nothing is written
    shows(page, TEXTS[2])
    page.get_by_role("button", name="Drop").click()
    shows(page, TEXTS[3])
    assert file.read_text() == HEADER + line(1, "flip") + line(3, "drop")
    page.keyboard.press("b")  # a second look at the one before
    shows(page, "Your verdict: drop")
    page.keyboard.press("K")
    shows(page, TEXTS[3])
    assert file.read_text() == HEADER + line(1, "flip") + line(3, "keep")
    printed = stopped(server)
    assert printed == (
        "stopped; 2 verdicts in data/mine/corrections.csv\n"
        "to apply them: add the line `corrections: corrections.csv` to data/mine/dataset.yaml, commit "
        "data/mine/corrections.csv with Git, and run `dvc repro`\n"
    )
    # A person edits the file, in which other columns are kept.
    rows = file.read_text().splitlines()
    file.write_text("\n".join([rows[0] + ",who", rows[1] + ",Ann", rows[2] + ","]) + "\n")
    (project.folder / "data/mine/dataset.yaml").write_text(
        "files: reviews.csv\ncorrections: corrections.csv\n"
    )
    server, address = start()
    page.goto(address)
    shows(page, HOSTILE)  # the one that was skipped
    page.keyboard.press("k")
    shows(page, TEXTS[3])
    page.keyboard.press("s")
    shows(page, "1 skipped: load the page again to see them")
    page.reload()
    shows(page, TEXTS[3])
    page.keyboard.press("d")
    shows(page, "None is left")
    written = pd.read_csv(file, index_col="id")
    assert written["verdict"].to_dict() == {
        "train-1": "flip",
        "train-3": "keep",
        "train-2": "keep",
        "train-4": "drop",
    }
    assert written.at["train-1", "who"] == "Ann"
    assert stopped(server).endswith(
        "to apply them: commit data/mine/corrections.csv with Git, and run `dvc repro`\n"
    )
    page.close()


def test_no_suspect_is_decided_before_it_was_shown(
    project: Clone, start: Callable[[], tuple[Popen[str], str]], browser: "Browser"
) -> None:
    _, address = start()
    page = browser.new_page()
    page.goto(address)
    shows(page, TEXTS[0])
    # In one go, so that the next suspect cannot be shown in between.
    page.evaluate(
        "for (let n = 0; n < 5; n++) document.dispatchEvent(new KeyboardEvent('keydown', { key: 'f' }));"
        "document.querySelector('#drop').click()"
    )
    shows(page, "1 of 4 suspects decided")
    page.keyboard.press("Control+d")  # a key of the browser
    page.wait_for_timeout(300)
    assert (project.folder / "data/mine/corrections.csv").read_text() == HEADER + line(1, "flip")
    page.close()


def test_a_fault_in_the_file_is_shown_and_nothing_is_overwritten(
    project: Clone, start: Callable[[], tuple[Popen[str], str]], browser: "Browser"
) -> None:
    file = project.folder / "data/mine/corrections.csv"
    _, address = start()
    page = browser.new_page()
    page.goto(address)
    shows(page, TEXTS[0])
    file.write_text("id,verdict\ntrain-1,maybe\n")
    page.keyboard.press("f")
    shows(page, "Not written: data/mine/corrections.csv: row 1: verdict 'maybe' is not allowed")
    shows(page, TEXTS[0])
    assert file.read_text() == "id,verdict\ntrain-1,maybe\n"
    file.unlink()
    page.keyboard.press("f")
    shows(page, "1 of 4 suspects decided")
    page.close()
    file.write_text("id,verdict\ntrain-1,maybe\n")
    printed = project.run(f'{sys.executable} -c "{PROGRAM}"', fails=True)
    assert re.fullmatch(
        r"error: data/mine/corrections.csv: row 1: verdict 'maybe' is not allowed; .*\n", printed
    )
