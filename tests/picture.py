"""Writes docs/report.png, the README's picture of the report: python -m tests.picture [FOLDER].

FOLDER is a clone in which the pipeline has run. Without one, a new clone runs it, which takes minutes.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from sentiment.errors import InputError
from tests.conftest import ROOT, Clone, clone_into

PICTURE = ROOT / "docs/report.png"
LARGEST = 150_000  # bytes, of which every clone has a copy
WIDTH, HEIGHT = 1180, 720  # CSS pixels: the figures, and most metrics beside the baseline's


def ran(folder: Path) -> Clone:
    """A new clone with the complete sample and challenge set, in which the pipeline has run in fp32."""
    clone = clone_into(folder)
    for dataset in ("data/sample", "data/challenge"):
        shutil.copytree(ROOT / dataset, folder / dataset, dirs_exist_ok=True)
    clone.set(precision="fp32")
    clone.commit()
    clone.run("dvc repro")
    clone.commit()
    return clone


def picture(clone: Clone) -> bytes:
    """The top of the clone's report as a PNG, as Chromium shows it.

    Raises:
        InputError: Chromium is not installed.
    """
    from playwright.sync_api import sync_playwright

    clone.run("sentiment report")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise InputError("Chromium is not installed; it draws the picture")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto((clone.folder / "metrics/report.html").as_uri())
        return page.screenshot()


def main() -> None:
    """Take the picture and write it.

    Raises:
        InputError: Chromium is not installed, or the picture is too large.
    """
    with tempfile.TemporaryDirectory() as scratch:
        clone = Clone(Path(sys.argv[1]).resolve()) if sys.argv[1:] else ran(Path(scratch) / "project")
        content = picture(clone)
    if len(content) > LARGEST:
        raise InputError(f"{PICTURE.name}: {len(content):,} bytes; allowed: at most {LARGEST:,}")
    PICTURE.write_bytes(content)


if __name__ == "__main__":
    from sentiment import errors

    errors.run(main)
