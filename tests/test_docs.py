"""README.md, CONTRIBUTING.md, CHANGELOG.md and docs/: links, commands, options and paths exist."""

import ast
import gzip
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from sentiment.cli import COMMANDS
from sentiment.data.schema import Source, read_source
from sentiment.params import Params
from sentiment.validation import read_yaml
from tests import picture, reference
from tests.conftest import ROOT, Clone
from tests.pipeline.test_pipeline import executed
from tests.pipeline.test_remotes import colleague

PAGES = [
    str(path.relative_to(ROOT))
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
]
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
TABLE = read_yaml(ROOT / "tests/docs.yaml")
# Tables that a program of tests/ writes, and another test reads: names in them are of other people's files.
WRITTEN = re.compile(r"<!-- (.+): tests/.*? -->.*?<!-- end of \1 -->", re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Pages whose programs need a server or the steps before, which test_serve.py, test_tutorial.py and
# test_wrong_labels.py have.
ORDERED = ("docs/serving.md", "docs/tutorial.md", "docs/wrong-labels.md")
PLACEHOLDERS = {"mine", "counterfactual", "NAME"}  # parts of paths that a reader chooses


def blocks(page: str, *languages: str) -> list[str]:
    """The content of a page's fenced blocks in these languages."""
    return [content for language, content in FENCE.findall(TEXTS[page]) if language in languages]


def prose(page: str) -> str:
    """A page without its fenced blocks and without tables from tests/."""
    return WRITTEN.sub("", FENCE.sub("", TEXTS[page]))


def spans(page: str) -> list[str]:
    """The code spans of a page's prose."""
    return [" ".join(span.split()) for _, span in re.findall(r"(`+)(.+?)\1(?!`)", prose(page), re.DOTALL)]


def commands(page: str) -> list[str]:
    """The command lines of a page's fenced blocks, one of `a && b` each, joined and without comments."""
    joined = [re.sub(r" \\\n *", " ", content) for content in blocks(page, "sh")]
    lines = [line for content in joined for line in content.splitlines()]
    lines += [
        line[2:]
        for content in blocks(page, "console")
        for line in content.splitlines()
        if line.startswith("$ ")
    ]
    return list(
        filter(
            None, (part.strip() for line in lines for part in re.sub(r"(^|\s)# .*", "", line).split(" && "))
        )
    )


def matches(command: str, pattern: str) -> bool:
    """Whether a command is of a pattern, in which only * is special."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), command) is not None


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options(name: str) -> set[str]:
    """The options of a subcommand of `sentiment`."""
    params = reference.command(name).params
    return {option for param in params for option in (*param.opts, *param.secondary_opts)} | {"--help"}


def listed_files() -> set[str]:
    """Files and folders that Git has, or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True
    ).stdout.splitlines()
    return {str(path) for file in map(Path, listed) for path in (file, *file.parents)}


def outputs() -> set[str]:
    """Files and folders that runs and commands write: those of dvc.yaml, and those that Git ignores."""
    stages = [stage.get("do", stage) for stage in read_yaml(ROOT / "dvc.yaml")["stages"].values()]
    listed = [out for stage in stages for out in [*stage.get("outs", []), *stage.get("metrics", [])]]
    ignored = [
        f"{folder}{line.strip('/')}"
        for folder in ("", ".dvc/")
        for line in (ROOT / folder / ".gitignore").read_text().splitlines()
        if line.startswith("/")
    ]
    names = {out if isinstance(out, str) else next(iter(out)) for out in listed}
    (exports,) = get_args(Params.model_fields["exports"].annotation)
    items = [*get_args(exports), "challenge"]
    return {*(name.replace("${item}", item) for name in names for item in items), *ignored}


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(TEXTS["README.md"].split()) <= 1200


def test_the_picture_is_small_and_its_command_stands_beside_it() -> None:
    assert 1_000 < picture.PICTURE.stat().st_size <= picture.LARGEST
    assert "<!-- python -m tests.picture draws it -->\n![" in TEXTS["README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_lines_have_at_most_110_characters(page: str) -> None:
    # Tables, images and commands cannot be wrapped.
    lines = [line for line in FENCE.sub("", TEXTS[page]).splitlines() if not line.startswith(("|", "!["))]
    assert [line for line in lines if len(line) > 110] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(str(path.resolve().relative_to(ROOT))), target


def test_every_page_is_in_the_index() -> None:
    linked = {f"docs/{link}" for link in re.findall(r"\]\(([\w/-]+\.md)", TEXTS["docs/README.md"])}
    assert linked | {"docs/README.md"} == {page for page in PAGES if page.startswith("docs/")}


def test_the_reference_of_commands_is_up_to_date() -> None:
    assert TEXTS["docs/reference/commands.md"] == reference.page(), "run python -m tests.reference"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_run_by_a_test_or_says_why_not(page: str) -> None:
    assert all(language for language, _ in FENCE.findall(TEXTS[page])), "a block says its language"
    patterns = [*TABLE["tests"], *TABLE["here"], *TABLE["no test"]]
    for command in commands(page):
        assert any(matches(command, pattern) for pattern in patterns), (
            f"{command}: in no list of tests/docs.yaml"
        )


def test_the_list_of_commands_is_no_longer_than_the_pages_need() -> None:
    shown = {command for page in PAGES for command in commands(page)}
    for pattern in [*TABLE["tests"], *TABLE["here"], *TABLE["no test"]]:
        assert any(matches(command, pattern) for command in shown), f"{pattern}: on no page"
    for test in TABLE["tests"].values():
        file, name = test.split("::")
        assert f"def {name}(" in (ROOT / file).read_text(), test


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_sentiment_and_their_options_exist(page: str) -> None:
    for line in commands(page) + spans(page):
        words = shlex.split(line) if line.startswith("sentiment ") else []
        if len(words) > 1:
            assert words[1] in COMMANDS, line
            assert {word for word in words if word.startswith("--")} <= options(words[1]), line


@pytest.mark.parametrize("page", PAGES)
def test_options_named_alone_exist(page: str) -> None:
    # DVC's, pip's and Docker's, which a page names with their command nearby
    others = {
        "--build-arg",
        "--env-file",
        "--dry",
        "--temp",
        "--jobs",
        "--allow-missing",
        "--cloud",
        "--local",
        "--run-cache",
        "--single-item",
        "--downstream",
        "--ignore-errors",
    }
    known = others.union(*map(options, COMMANDS))
    assert {span.split()[0] for span in spans(page) if span.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES)
def test_parameters_exist(page: str) -> None:
    keys = set(Params.model_fields) | {field.alias or name for name, field in Source.model_fields.items()}
    keys |= {"padding", "report_to", "error"}  # of transformers; of lines that end a run
    set_by = [match[1] for span in spans(page) if (match := re.match(r"([a-z]\w*)(?:=(?!=)|: )", span))]
    assert set(set_by) <= keys
    assert set(re.findall(r" -S '?(\w+)=", "\n".join(commands(page) + spans(page)))) <= set(
        Params.model_fields
    )


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_exist(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^make ([a-z-]+)", "\n".join(commands(page) + spans(page)), re.MULTILINE)) <= {
        *targets
    }


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    files, written = listed_files(), outputs()
    names = {Path(path).name for path in files}
    for span in spans(page):
        path = re.sub(r"<\w+>", "*", span.rstrip("/"))
        if re.fullmatch(r"[\w-]+\.(yaml|toml|lock|md|py)", path):
            assert path in names, span
        elif re.fullmatch(r"[\w.*-]+(/[\w.*-]+)+", path) and path.split("/")[0] in files:
            known = any(
                fnmatch(each, path) for each in files | written | {str(Path(out).parent) for out in written}
            )
            under = any(str(parent) in written for parent in Path(path).parents)
            assert known or under or PLACEHOLDERS & set(path.split("/")), span


def test_messages_of_the_reference_are_in_the_code() -> None:
    templates = "\n".join(message_templates())
    listed = TEXTS["docs/reference/messages.md"].split("## DVC")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", listed, re.MULTILINE)
    assert len(messages) > 10
    for message in messages:
        assert message.strip("…").strip() in templates, message


def test_columns_and_keys_of_files_are_in_the_reference(ran: Clone) -> None:
    page = TEXTS["docs/reference/files.md"]
    keys_of_metrics = code_words(page.split("## Metrics of one model")[1].split("\n## ")[0])
    keys_of_data = code_words(page.split("Keys of `metrics/data.json`")[1].split("\n## ")[0])
    of_the_sample = {"genre"}  # a column of the data itself
    checked = []
    for paths, contents in re.findall(r"^\| (`.+?) \| (.+?) \|", page, re.MULTILINE):
        listed = code_words(contents) | (keys_of_metrics if "#metrics-of-one-model" in contents else set())
        for path in re.findall(r"`([\w/]+\.(?:parquet|csv|tsv|json|npz))`", paths):
            if (ran.folder / path).exists():
                listed |= keys_of_data if path == "metrics/data.json" else of_the_sample
                assert columns_or_keys(ran.folder / path) <= listed, path
                checked.append(path)
    assert len(checked) > 20


def code_words(text: str) -> set[str]:
    """The single words that a text shows as code."""
    return set(re.findall(r"`(\w+)`", text))


def columns_or_keys(file: Path) -> set[str]:
    """The columns of a table, the names of arrays, or the keys of a JSON file and of its `details`."""
    if file.suffix == ".parquet":
        return set(pd.read_parquet(file).columns)
    if file.suffix == ".npz":
        return set(np.load(file))
    if file.suffix == ".json":
        content = json.loads(file.read_text())
        return set(content) | set(content.get("details", [{}])[0])
    return set(pd.read_csv(file, sep="\t" if file.suffix == ".tsv" else ",").columns)


def message_templates() -> Iterator[str]:
    """The texts in the code of stages and commands, with … in place of each field of an f-string."""
    for file in [*ROOT.glob("sentiment/**/*.py"), *ROOT.glob("stages/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                yield "".join(map(str, parts))


def test_an_example_of_dataset_yaml_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/mine").mkdir(parents=True)
    examples = [content for page in PAGES for content in blocks(page, "yaml")]
    assert examples
    for content in examples:
        Path("data/mine/dataset.yaml").write_text(content)
        assert read_source("mine").files


def test_cheap_commands_and_programs_run(copy: Clone) -> None:
    write = {
        "reviews.txt": b"A joy.\nDull.\n",
        "reviews.csv": b"id,text\n7,A joy.\n8,Dull.\n",
        "part-1.jsonl.gz": gzip.compress(b'{"text": "A joy."}\n'),
        "part-2.jsonl.gz": gzip.compress(b'{"text": "Dull."}\n'),
    }
    for name, content in write.items():
        (copy.folder / name).write_bytes(content)
    copy.run("dvc exp run --name NAME")
    for command in TABLE["here"]:
        copy.run(command)
    assert (copy.folder / "scores.parquet").exists()
    assert (copy.folder / "scores.jsonl").read_text().count("\n") == 2
    for page in PAGES:
        for program in blocks(page, "python") if page not in ORDERED else []:
            # The same, of a review that is longer than the model reads
            (copy.folder / "program.py").write_text(program.replace("A film I", "A film " * 600 + "I"))
            assert re.search("NEGATIVE|POSITIVE", copy.run(f"{sys.executable} program.py"))


def test_a_fresh_clone_tells_what_would_run(ran: Clone, tmp_path: Path) -> None:
    fresh = colleague(ran, tmp_path)
    assert "ERROR" in fresh.run("dvc repro --dry", fails=True)
    assert not executed(fresh.run("dvc repro --dry --allow-missing"))  # all is as dvc.lock says
    assert "Missing cache files:\nmd5: " in fresh.run("dvc pull", fails=True)  # nobody has pushed


def test_going_back(copy: Clone) -> None:
    before = copy.bytes_of("models", "metrics", "params.yaml", "dvc.lock")
    copy.set(lr="3e-5")
    for name in (
        "models/baseline.npz",
        "metrics/test.json",
        "models/classifier/config.json",
        "metrics/training/plots/metrics/train/loss.tsv",
    ):
        (copy.folder / name).unlink()
        (copy.folder / name).write_text("another run's")
    copy.run("git restore . && dvc checkout --force")
    assert copy.bytes_of("models", "metrics", "params.yaml", "dvc.lock") == before


@pytest.mark.slow
def test_two_branches_that_have_both_run_are_merged(copy: Clone) -> None:
    copy.run("git checkout -q -b BRANCH")
    copy.set(lr="3e-5")
    copy.run("dvc repro")
    copy.commit()
    copy.run("git checkout -q main && dvc checkout")
    copy.set(seed="7")
    copy.run("dvc repro")
    copy.commit()
    assert "CONFLICT (content): Merge conflict in dvc.lock" in copy.run("git merge BRANCH", fails=True)
    copy.run("git checkout --ours dvc.lock metrics")
    assert "train" in executed(copy.run("dvc repro"))
    copy.run('git add -A && git commit -m "Merge BRANCH"')
    params = read_yaml(copy.folder / "params.yaml")
    assert (params["lr"], params["seed"]) == (3e-5, 7)
    assert "up to date" in copy.run("dvc status")
