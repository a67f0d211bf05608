"""Commands work in every folder of the project, and a copied model works outside a project."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from sentiment import cli, project
from tests.conftest import Clone

ARGUMENTS = {"publish": ["owner/name"], "search": ["lr=1e-4,2e-4"]}


@pytest.fixture
def below(copy: Clone) -> Clone:
    """A copy of `ran` with a folder notes/more that contains two reviews and a model."""
    folder = copy.folder / "notes/more"
    folder.mkdir(parents=True)
    (folder / "reviews.csv").write_text("id,text\n7,A warm and funny film.\n8,Dull.\n")
    shutil.copy(copy.folder / "models/baseline.npz", folder / "own.npz")
    return copy


def test_a_command_gives_the_same_result_in_a_subfolder(below: Clone) -> None:
    there = "cd notes/more && "
    assert below.run(f"{there}sentiment compare --json") == below.run("sentiment compare --json")
    below.run(f"{there}sentiment report")
    assert (below.folder / "metrics/report.html").exists()


def test_paths_are_relative_to_the_folder_of_the_user(below: Clone) -> None:
    folder = below.folder / "notes/more"
    expected = below.run("sentiment predict --input notes/more/reviews.csv --model models/baseline.npz")
    there = "cd notes/more && sentiment predict"
    assert below.run(f"{there} --input '../m*/rev*.csv' --model {folder}/own.npz") == expected
    below.run(f"{there} --input reviews.csv --model own.npz --output scores.csv")
    assert (folder / "scores.csv").read_text() == expected
    said = below.run(f"{there} reviews.csv", fails=True)
    assert said == "error: reviews.csv is a file or a folder: --input reviews.csv\n"
    said = below.run(f"{there} --model none.npz Dull.", fails=True)
    assert said.startswith("error: notes/more/none.npz: no classifier there")


def test_a_copied_model_works_outside_a_project(below: Clone, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(below.folder / "notes/more", tmp_path / "elsewhere")
    (elsewhere / "params.yaml").write_text("other: 1\n")  # of some other project
    expected = below.run("sentiment predict Dull. --model models/baseline.npz")
    assert below.run(f"cd {elsewhere} && sentiment predict Dull. --model own.npz") == expected
    said = below.run(f"cd {elsewhere} && sentiment predict Dull.", fails=True)
    assert said.startswith("error: models/classifier: no classifier there")
    (below.folder / "params.yaml").unlink()
    said = below.run("sentiment predict Dull. --model models/baseline.npz", fails=True)
    assert said == "error: params.yaml: no such file\n"


@pytest.mark.parametrize("name", sorted(cli.COMMANDS.keys() - cli.WITHOUT_PROJECT))
def test_a_command_that_needs_the_project_says_so_outside(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sentiment", name, *ARGUMENTS.get(name, [])])
    with pytest.raises(
        SystemExit, match=r"^error: no dvc.yaml and stages/check.py here or in a folder above; run this "
    ):
        cli.main()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(sys, "argv", ["sentiment", name, "--help"])
    with pytest.raises(SystemExit, match="^0$"):
        cli.main()


def test_a_project_without_git_is_reported_in_one_line(copy: Clone) -> None:
    shutil.rmtree(copy.folder / ".git")  # as in an archive of it
    for command in ("sentiment verify", "sentiment compare", "sentiment compare --seeds", "sentiment share"):
        said = copy.run(command, fails=True)
        assert said.startswith("error: ")
        assert said.endswith("is not a git repository\n") or "is not a git repository; " in said
        assert said.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
def test_a_checkout_of_another_user_is_reported_with_the_remedy(copy: Clone) -> None:
    for folder in (copy.folder, copy.folder / ".git"):
        os.chown(folder, 65534, 65534)
    home = copy.folder.parent
    copy.environment |= {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig")}  # for libgit2
    commands = ("compare", "best", "report", "results")
    (line,) = {copy.run(f"sentiment {command}", fails=True) for command in commands}
    assert line.startswith("error: ~/project belongs to another user, so Git does not read it; ")
    copy.run(line.split("`")[1])
    copy.run("sentiment compare")


def test_a_repository_without_commits_is_reported(copy: Clone) -> None:
    copy.run("rm -rf .git && git init -q")
    assert copy.run("sentiment best", fails=True) == (
        "error: there is no commit yet for experiments to start from; `git commit` creates one\n"
    )
    copy.run("sentiment best workspace && sentiment report && sentiment verify")


def test_urls_and_absolute_paths_stay_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "project/notes"
    for marker in project.MARKERS:
        (tmp_path / "project" / marker).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / marker).touch()
    folder.mkdir()
    monkeypatch.setattr(project, "_started_in", "")
    monkeypatch.chdir(folder)
    project.change_to_top_folder()
    assert Path.cwd() == tmp_path / "project"
    typed = {"": "", "a.csv": "notes/a.csv", "../a*.csv": "notes/../a*.csv", "s3://bucket/a": "s3://bucket/a"}
    assert {path: project.from_top(path) for path in typed} == typed
    assert project.from_top(str(tmp_path)) == str(tmp_path)
    default = Path("models/classifier")  # of an option
    assert project.path_from_top(default) == default
