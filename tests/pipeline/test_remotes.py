"""Sharing outputs through every kind of DVC remote, also if files are damaged or transfers interrupted."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import Clone, copy_into
from tests.helpers import servers
from tests.pipeline.test_pipeline import OUTPUTS, executed, metrics


def colleague(clone: Clone, folder: Path) -> Clone:
    """A Git clone of the clone, with nothing in its DVC cache."""
    other = Clone(folder / "other/project")
    other.folder.parent.mkdir()
    (other.folder.parent / "gitconfig").write_text((clone.folder.parent / "gitconfig").read_text())
    clone.run(f"git clone -q . {other.folder}")
    return other


def share(remote: servers.Remote, clone: Clone, *others: Clone) -> None:
    """Configure the remote in these clones as in docs/sharing.md."""
    for option, value in remote.items():
        clone.run(f"dvc remote modify --local shared {option} '{value}'")
    for other in others:
        shutil.copy(clone.folder / ".dvc/config.local", other.folder / ".dvc")


@pytest.fixture
def other(copy: Clone, tmp_path: Path) -> Clone:
    """A colleague's clone of `copy` that shares a local folder with it."""
    clone = colleague(copy, tmp_path)
    share({"url": str(tmp_path / "storage")}, copy, clone)
    return clone


def stored(folder: Path) -> list[Path]:
    """The files of a remote, the largest first."""
    return sorted(folder.glob("storage/files/md5/??/*"), key=lambda path: -path.stat().st_size)


@pytest.mark.parametrize("kind", servers.WRITABLE)
def test_a_colleague_pulls_what_was_pushed(ran: Clone, tmp_path: Path, kind: str) -> None:
    clone = colleague(ran, tmp_path)
    other = colleague(clone, tmp_path / "other")
    with servers.WRITABLE[kind](tmp_path) as remote:
        share(remote, clone, other)
        (clone.folder / ".dvc/cache").symlink_to(ran.folder / ".dvc/cache")
        clone.run("dvc push")
        other.run("dvc pull")
        assert "up to date" in other.run("dvc status")
        assert "in sync" in other.run("dvc status --cloud")
        assert not executed(other.run("dvc repro"))
    assert other.bytes_of(*OUTPUTS[:2]) == ran.bytes_of(*OUTPUTS[:2])


def test_http_remotes_allow_pulling_but_not_pushing(copy: Clone, other: Clone, tmp_path: Path) -> None:
    copy.run("dvc push")
    with servers.http(tmp_path) as remote:
        share(remote, copy, other)
        other.run("dvc pull")
        assert other.bytes_of(*OUTPUTS[:2]) == copy.bytes_of(*OUTPUTS[:2])
        (copy.folder / "models/baseline.npz").write_bytes(b"another")
        copy.run("dvc commit --force baseline")
        assert "1 files failed to upload" in copy.run("dvc push", fails=True)


@pytest.mark.slow
def test_experiments_travel_through_git(copy: Clone, other: Clone, tmp_path: Path) -> None:
    copy.run(f"git init -q --bare {tmp_path}/shared.git")
    for clone in (copy, other):
        clone.run(f"git remote remove origin; git remote add origin {tmp_path}/shared.git")
    copy.run("git push -q origin HEAD:main")
    copy.run("dvc push")
    copy.run("dvc exp run --name slower -S lr=3e-5")
    copy.run("dvc exp push origin slower")
    other.run("git fetch -q origin")
    assert "slower" in other.run("dvc exp list origin --all-commits")
    assert "error: slower: no such run" in other.run("sentiment compare HEAD slower", fails=True)
    other.run("dvc exp pull origin slower")
    expected = json.loads(copy.run("sentiment compare HEAD slower --json"))
    assert json.loads(other.run("sentiment compare HEAD slower --json")) == expected
    # After `dvc exp apply`, everything is up to date, and nothing runs.
    other.run("dvc pull && dvc exp apply slower")
    assert "lr: 3e-05" in (other.folder / "params.yaml").read_text()
    assert not executed(other.run("dvc repro"))
    assert metrics(other) == metrics(copy)


def test_a_run_that_a_colleague_shared_is_not_trained_again(tried: Clone, tmp_path: Path) -> None:
    copy = copy_into(tmp_path, tried)
    other = colleague(copy, tmp_path)
    share({"url": str(tmp_path / "storage")}, copy, other)
    expected = metrics(copy)
    copy.run("git stash -q && dvc checkout -q")  # the workspace has moved on
    assert "stage runs are shared\n" in copy.run("sentiment share")
    assert executed(other.run("dvc exp run --pull -S seed=7")) == {"check"}
    assert metrics(other) == expected


def test_sharing_errors_are_reported_in_one_line(copy: Clone, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for url in (str(tmp_path / "file"), "https://127.0.0.1:1"):
        share({"url": url}, copy)
        output = copy.run("sentiment share", fails=True)
        assert [line for line in output.splitlines() if "error" in line.lower()] == [
            output.splitlines()[-1]
        ], output
        assert output.splitlines()[-1].startswith("error: ")


def test_a_single_output_can_be_pulled(copy: Clone, other: Clone) -> None:
    copy.run("dvc push")
    other.run("dvc pull models/classifier")
    assert other.bytes_of("models/classifier") == copy.bytes_of("models/classifier")
    assert not (other.folder / "data/prepared").exists()
    assert not (other.folder / "models/baseline.npz").exists()


def test_another_project_gets_the_model_by_its_version(copy: Clone, tmp_path: Path) -> None:
    copy.run("dvc push")
    copy.run(f"git clone -q --bare . {tmp_path}/upstream.git")
    copy.run(f"git remote add origin {tmp_path}/upstream.git")
    copy.run("git tag --annotate --message first classifier@v1.0.0 && git push -q origin classifier@v1.0.0")
    theirs = Clone(tmp_path / "theirs")
    theirs.folder.mkdir()
    theirs.run("git init -q && dvc init -q")
    expected = {Path(name).name: content for name, content in copy.bytes_of("models/classifier").items()}

    url = f"file://{tmp_path}/upstream.git"
    option = f"--remote-config url={tmp_path}/sentiment-storage"  # the default remote is relative
    theirs.run(f"dvc get {url} models/classifier --out got {option}")
    theirs.run(f"dvc import {url} models/classifier --out imported {option}")
    theirs.run("rm -r imported .dvc/cache && dvc pull")
    theirs.run(f"dvc artifacts get {url} classifier --rev v1.0.0 --out versioned {option}")
    copy.run(f"dvc remote modify shared url {tmp_path}/elsewhere && git commit -qam remote && dvc push")
    copy.run("git push -q origin HEAD")
    theirs.run(f"dvc get {url} models/classifier --out committed")
    for folder in ("got", "imported", "versioned", "committed"):
        assert {Path(name).name: content for name, content in theirs.bytes_of(folder).items()} == expected


def test_line_endings_and_links_in_git_make_no_stage_out_of_date(copy: Clone, tmp_path: Path) -> None:
    # The defaults of Git on Windows.
    windows = Clone(tmp_path / "other/project")
    windows.folder.parent.mkdir()
    shutil.copy(copy.folder.parent / "gitconfig", windows.folder.parent)
    copy.run(f"git clone -q -c core.autocrlf=true -c core.symlinks=false . {windows.folder}")
    share({"url": str(tmp_path / "storage")}, copy, windows)
    copy.run("dvc push")
    windows.run("dvc pull")
    assert not (windows.folder / "models/local").is_symlink()
    assert "Data and pipelines are up to date" in windows.run("dvc status")
    assert not executed(windows.run("dvc repro"))
    # Data with other line endings stay unchanged.
    windows.dataset("mine", "rows: {}\r\n", reviews_csv="text,label\r\ngood,1\r\n")
    windows.commit()
    windows.run(f"git push -q {copy.folder} HEAD:windows")
    copy.run("git checkout -q windows")
    assert copy.bytes_of("data/mine") == windows.bytes_of("data/mine")


def test_a_damaged_file_in_the_remote_is_detected_and_not_used(
    copy: Clone, other: Clone, tmp_path: Path
) -> None:
    copy.run("dvc push")
    weights = stored(tmp_path)[0]
    flip(weights)
    output = other.run("dvc pull", fails=True)
    assert "models/classifier" in output
    assert not (other.folder / "models/classifier/model.safetensors").exists()


def test_a_damaged_file_in_the_cache_is_detected_and_not_used(
    copy: Clone, other: Clone, tmp_path: Path
) -> None:
    copy.run("dvc push")
    cached = copy.folder / ".dvc/cache" / stored(tmp_path)[0].relative_to(tmp_path / "storage")
    good = cached.read_bytes()
    assert "in DVC's cache are intact" in copy.run("sentiment verify")
    flip(cached)
    copy.run("rm -r models/classifier")
    assert "error: .dvc/cache: removed 1 damaged file of models/classifier" in copy.run(
        "sentiment verify", fails=True
    )
    assert not cached.exists()
    copy.run("dvc pull")
    assert (copy.folder / "models/classifier/model.safetensors").read_bytes() == good


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()  # other clones may hard-link it
    path.write_bytes(content)


def test_an_interrupted_push_is_completed_by_the_next(copy: Clone, other: Clone, tmp_path: Path) -> None:
    with servers.webdav_at("8M", tmp_path) as remote:  # the weights then take ten seconds
        share(remote, copy, other)
        pushing = copy.start("dvc push")
        while not any(file.stat().st_size > 10e6 for file in tmp_path.glob("dav/storage/files/md5/??/*")):
            assert pushing.poll() is None
            time.sleep(0.05)
        os.killpg(pushing.pid, signal.SIGKILL)
        pushing.wait()
        other.run("dvc pull", fails=True)
    with servers.webdav(tmp_path) as remote:
        share(remote, copy, other)
        assert "1 damaged files in the remote were replaced" in copy.run("sentiment share")
        other.run("dvc pull")
    assert other.bytes_of(*OUTPUTS[:2]) == copy.bytes_of(*OUTPUTS[:2])


def test_an_interrupted_pull_is_completed_by_the_next(copy: Clone, other: Clone, tmp_path: Path) -> None:
    copy.run("dvc push")
    weights = stored(tmp_path)[0]
    weights.rename(tmp_path / "aside")
    other.run("dvc pull", fails=True)
    (tmp_path / "aside").rename(weights)
    # The weights, and the baseline if its transfer was interrupted too.
    assert re.search(r"[12] files? ", other.run("dvc pull"))
    assert other.bytes_of(*OUTPUTS[:2]) == copy.bytes_of(*OUTPUTS[:2])
