"""What tests of bad input share."""

from pathlib import Path

import pytest


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a new folder the working directory."""
    monkeypatch.chdir(tmp_path)
