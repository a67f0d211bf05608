"""The check of DVC's cache and the workspace: damage that DVC overlooks, and the commands that repair it."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from sentiment.commands import verify
from sentiment.errors import InputError
from tests.conftest import Clone

WEIGHTS = "models/classifier/model.safetensors"
KEPT = ["models", "metrics/test.json", "metrics/plots"]


def flip(path: Path) -> None:
    """Flip a bit of a file as a disk does it: inode, size and modification time stay as they are."""
    path = path.resolve()
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cached(clone: Clone, path: str) -> Path:
    """The cache object of an output or of a file in it, detached from the hard links of other clones."""
    lock = (clone.folder / "dvc.lock").read_text()
    found = re.search(rf"path: {path}\n *hash: md5\n *md5: (\S+)", lock)
    if not found:
        folder, name = path.rsplit("/", 1)
        (digest,) = (
            each["md5"] for each in json.loads(cached(clone, folder).read_text()) if each["relpath"] == name
        )
    else:
        digest = found[1]
    place = clone.folder / f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}"
    shutil.copy2(place, "own")  # the cache of `ran` has the same file
    return Path("own").replace(place)


def add_remote(clone: Clone) -> Path:
    """Give a clone a remote that has all of its cache."""
    storage = clone.folder.parent / "storage"
    shutil.copytree(clone.folder / ".dvc/cache/files", storage / "files", copy_function=os.link)
    clone.run(f"dvc remote modify --local shared url {storage}")
    return storage


def problem() -> str:
    with pytest.raises(InputError) as error:
        verify.main()
    return str(error.value)


@pytest.fixture
def here(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """The copy of `ran`, whose folder is the working directory, and of whose files DVC knows the hashes."""
    monkeypatch.chdir(copy.folder)
    copy.run("dvc status")
    return copy


@pytest.mark.parametrize("kind", ["copy", "hardlink", "symlink"])
def test_damage_that_was_copied_from_the_cache_is_found_and_repaired(here: Clone, kind: str) -> None:
    expected = here.bytes_of(*KEPT)
    add_remote(here)
    flip(cached(here, WEIGHTS))
    shutil.rmtree("models/classifier")
    here.run(f"dvc config --local cache.type {kind} && dvc checkout models/classifier")
    assert here.bytes_of(*KEPT) != expected
    assert "up to date" in here.run("dvc status")
    line = problem()
    assert line.startswith(
        ".dvc/cache: removed 1 damaged file of models/classifier; wrong hashes in the workspace"
    )
    here.run(re.findall("`(dvc pull [^`]*)`", line)[0])
    verify.main()
    assert here.bytes_of(*KEPT) == expected


def test_decay_in_the_workspace_is_found_and_restored_from_the_cache(here: Clone) -> None:
    expected = here.bytes_of(*KEPT)
    flip(Path(WEIGHTS))
    Path("metrics/plots/roc.csv").unlink()
    assert "models" not in here.run("dvc status")
    line = problem()
    assert line == (
        "wrong hashes in the workspace: metrics/plots, models/classifier; "
        "`dvc checkout --force models/classifier metrics/plots` restores them from DVC's cache"
    )
    here.run(line.split("`")[1])
    verify.main()
    assert here.bytes_of(*KEPT) == expected


def test_damaged_metrics_that_git_tracks_are_regenerated(here: Clone) -> None:
    expected = here.bytes_of(*KEPT)
    flip(Path("metrics/test.json"))
    assert "up to date" in here.run("dvc status")
    line = problem()
    assert line == "wrong hashes in the workspace: metrics/test.json; `dvc repro` regenerates the rest"
    assert "Running stage" not in here.run(line.split("`")[1])  # DVC has run it before
    verify.main()
    assert here.bytes_of(*KEPT) == expected


@pytest.mark.parametrize("path", [WEIGHTS, "models/classifier"])
def test_a_damaged_cache_is_refilled_from_a_whole_workspace(
    here: Clone, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = cached(here, path)
    content = place.read_bytes()
    flip(place)
    verify.main()
    assert "models/classifier: damaged files in DVC's cache were replaced" in capsys.readouterr().out
    assert place.read_bytes() == content
    assert "up to date" in here.run("dvc status")


def test_a_list_of_files_that_is_damaged_in_the_remote_is_found_and_replaced(here: Clone) -> None:
    expected = here.bytes_of(*KEPT)
    storage = add_remote(here)
    place = cached(here, "metrics/plots")
    listing = storage / place.relative_to(Path(".dvc/cache").resolve())
    content = listing.read_bytes()
    listing.unlink()
    listing.write_text(json.dumps(json.loads(content)[:2]))
    place.unlink()
    shutil.rmtree("metrics/plots")
    here.run("dvc pull metrics/plots")
    assert len(list(Path("metrics/plots").iterdir())) == 2
    line = problem()
    assert line.startswith(
        "wrong hashes in the workspace: metrics/plots; the remote's list of the files in metrics/plots"
    )
    assert "dvc pull" not in line
    for command in line.split("`")[1::2]:
        here.run(command)
    verify.main()
    assert here.bytes_of(*KEPT) == expected
    assert listing.read_bytes() == content


def test_what_is_not_in_the_workspace_is_not_damaged(here: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("models/classifier")
    verify.main()
    assert (
        "\noutputs that are not in the workspace: 1; `dvc checkout` or `dvc pull` restores them\n"
        in capsys.readouterr().out
    )
