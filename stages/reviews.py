"""Datasets of labelled reviews: what dataset.yaml says, how it is read, and what a good row is."""

import html
import json
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sklearn.model_selection import train_test_split

from stages.errors import InputError
from stages.labels import LABELS
from stages.parameters import explain, read_yaml, shortened

DATA = Path("data")
_AT_ONCE = 50_000  # reviews that are Python strings at the same time, which take twice the memory of pandas' own
# Of a Hub dataset: what says how it is read, and data; never code or pickles.
_HUB_FILES = ["README.md", ".huggingface.yaml", "*.parquet", "*.csv*", "*.tsv*", "*.json*"]
_SPELLINGS = [{"negative", "neg", "0", "false"}, {"positive", "pos", "1", "true"}]

Split = Literal["train", "test"]


class Source(BaseModel):
    """The schema of data/<name>/dataset.yaml: either `hub` and `revision`, or `files`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    description: str = Field("", description="one line of text")
    license: str = Field("", description="one line of text")
    hub: str | None = Field(None, description="a Hub dataset such as org/name", pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str | None = Field(
        None, description="a commit of the Hub dataset: 40 hexadecimal digits", pattern=r"^[0-9a-f]{40}$"
    )
    config: str | None = Field(None, description="a configuration of the Hub dataset")
    files: str | dict[Split, str] | None = Field(
        None, description="a file name, or {train: file, test: file}; .csv, .jsonl or .parquet"
    )
    test_size: float | None = Field(None, description="a share above 0 and below 1, cut off for testing", gt=0, lt=1)
    text: str = Field("text", description="the name of the column with the review")
    label: str = Field("label", description="the name of the column with the label")
    split: str = Field("split", description="the name of the column that says train or test")
    group: str | None = Field(None, description="the name of a column, such as film, that no two splits share")
    labels: dict[Literal["negative", "positive"], list[str | int | bool]] | None = Field(
        None, description="{negative: [values], positive: [values]}"
    )
    rows: dict[Split, int] | None = Field(None, description="{train: count, test: count}")
    text_bytes: dict[Split, int] | None = Field(None, description="{train: count, test: count}")

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        if (self.hub is None) == (self.files is None):
            raise ValueError("needs either hub (with revision) or files")
        if self.hub and not self.revision:
            raise ValueError("hub needs a revision: a commit of 40 hexadecimal digits, so that the data never changes")
        if self.test_size and not isinstance(self.files, str):
            raise ValueError("test_size needs files to name one file")
        return self


def names() -> list[str]:
    """The datasets there are: the folders of data/ that hold a dataset.yaml."""
    return sorted(path.parent.name for path in DATA.glob("*/dataset.yaml"))


def normalise(text: str) -> str:
    """One line of Unicode NFC: HTML entities decoded, `<br />` and runs of white space turned into one space."""
    text = _LINE_BREAK.sub(" ", html.unescape(text))
    return " ".join(unicodedata.normalize("NFC", text).split())


def in_short(text: str, most: int = 200) -> str:
    """The beginning and the end of a review: people often say what they mean last."""
    return text if len(text) <= most else f"{text[: most // 2].rstrip()} [...] {text[-most // 2 :].lstrip()}"


_LINE_BREAK = re.compile(r"<br\s*/?\s*>", re.IGNORECASE)


def capped(rows: pd.DataFrame, most: int | None, seed: int) -> pd.DataFrame:
    """All rows (`most` is None or no fewer than they are), or `most` of them, both classes alike, in their order."""
    if most is None or most >= len(rows):
        return rows
    kept, _ = train_test_split(rows.index, train_size=most, stratify=rows["label"], random_state=seed)
    return rows.loc[sorted(kept)]


def load(name: str, needed: Sequence[Split] = ("train", "test")) -> tuple[Source, pd.DataFrame]:
    """Read, check and normalise the dataset in data/<name>/.

    Args:
        name: the folder.
        needed: splits that it must have.

    Returns:
        What dataset.yaml says, and one row a review: `id` (split and row, such as test-17, counted from 1),
        `split` (train, test; all `train` where test_size is to cut a test split off), `text` (normalised),
        `label` (index into LABELS), `group` where dataset.yaml names one, then the other columns as text.

    Raises:
        InputError: the first fault found, with its file and row.
    """
    source = read_source(name)
    frames = [_read_rows(source, where, split, frame) for where, split, frame in _tables(name, source)]
    reviews = pd.concat(frames, ignore_index=True)
    _check_counts(DATA / name, source, reviews, needed)
    parts = (reviews["text"].iloc[start : start + _AT_ONCE] for start in range(0, len(reviews), _AT_ONCE))
    reviews["text"] = pd.concat([part.map(normalise) for part in parts])
    empty = reviews.index[reviews["text"] == ""]
    if len(empty):
        raise InputError(f"{_place(reviews, empty[0])}: the text is empty; every review needs some")
    for split, labels in reviews.groupby("split")["label"]:
        if labels.nunique() < len(LABELS):
            raise InputError(
                f"{DATA / name}: every {split} review is {LABELS[labels.iloc[0]]}; both classes are needed"
            )
    reviews.insert(0, "id", reviews["split"] + "-" + (reviews.groupby("split").cumcount() + 1).astype(str))
    return source, reviews.drop(columns=["_where", "_row"])


def read_source(name: str) -> Source:
    """Read and check data/<name>/dataset.yaml.

    Raises:
        InputError: there is no such dataset, or the file has an unknown, missing or disallowed value.
    """
    path = DATA / name / "dataset.yaml"
    if name not in names():
        raise InputError(f"params.yaml: dataset: no {path}; allowed: {', '.join(names())}, or a new folder with one")
    try:
        return Source.model_validate(read_yaml(path))
    except ValidationError as error:
        raise InputError(explain(error, path, Source)) from None


def _tables(name: str, source: Source) -> Iterator[tuple[str, str | None, pd.DataFrame]]:
    """The dataset's raw tables: where each comes from, its split if the source says it, and its rows."""
    if source.hub:
        for part, frame in _from_hub(source).items():
            yield f"{source.hub} {part}", part, frame
        return
    files = source.files or {}
    folder = (DATA / name).resolve()
    for split, file in [(None, files)] if isinstance(files, str) else files.items():
        path = DATA / name / file
        if not path.resolve().is_relative_to(folder):
            raise InputError(f"{DATA / name / 'dataset.yaml'}: files: {file!r} lies outside {DATA / name}")
        yield str(path), split, _from_file(path)


def _from_hub(source: Source) -> dict[str, pd.DataFrame]:
    import datasets  # late: it takes a second, and most datasets are files

    from stages import hub

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # else an error is more than its one line
    # Not load_dataset(source.hub): where the Hub does not answer, that takes whichever revision was cached last.
    folder = hub.snapshot("dataset", str(source.hub), source.revision, _HUB_FILES)
    # No second cache: what is read was checked just now.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        try:
            tables = datasets.load_dataset(str(folder), source.config, cache_dir=scratch)
        except Exception as error:  # whatever is wrong with its files
            raise InputError(f"{source.hub}: cannot be read: {hub.in_one_line(error.__cause__ or error)}") from error
        if not {"train", "test"} <= set(tables):
            raise InputError(f"{source.hub}: has splits {', '.join(tables)}; train and test are needed")
        return {split: tables[split].to_pandas() for split in ("train", "test")}


def _from_file(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype=str, na_filter=False, encoding="utf-8-sig")
        if path.suffix == ".jsonl":
            return pd.DataFrame(_json_lines(path))
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: {_not_utf8(path)}; only UTF-8 is read") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read: {str(error).strip().splitlines()[0]}") from None
    raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: .csv, .jsonl, .parquet")


def _json_lines(path: Path) -> list[dict[str, object]]:
    rows = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}: line {number}: not JSON: {error.msg}") from None
            if not isinstance(row, dict):
                raise InputError(f"{path}: line {number}: {type(row).__name__}; allowed: one JSON object a line")
            rows.append(row)
    return rows


def _not_utf8(path: Path) -> str:
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            return f"line {number}: byte 0x{line[error.start]:02x} is not UTF-8"
    return "is not UTF-8"


def _read_rows(source: Source, where: str, split: str | None, frame: pd.DataFrame) -> pd.DataFrame:
    """Check one table's columns, labels and splits; rows come out as `split`, `text`, `label` and the other columns."""
    needed = [source.text, source.label, *([source.group] if source.group else [])]
    if split is None and source.test_size is None:
        needed.append(source.split)
    for column in needed:
        if column not in frame.columns:
            raise InputError(f"{where}: no column {column!r}; it has: {', '.join(map(str, frame.columns))}")
    rows = pd.DataFrame({"_where": where, "_row": range(1, len(frame) + 1)})
    if split is not None or source.test_size is not None:
        rows["split"] = split or "train"
    else:
        rows["split"] = frame[source.split].astype(str).str.strip().str.casefold()
        _refuse(
            rows,
            ~rows["split"].isin(["train", "test"]),
            f"{source.split} {{}} is not allowed; allowed: train, test",
            frame[source.split],
        )
    rows["text"] = frame[source.text]
    _refuse(
        rows,
        pd.Series([not isinstance(text, str) for text in rows["text"]], dtype=bool),
        f"{source.text} {{}} is not text",
        rows["text"],
    )
    meaning = _label_meaning(source)
    rows["label"] = frame[source.label].map(_spelling).map(meaning)
    _refuse(
        rows,
        rows["label"].isna(),
        f"{source.label} {{}} is not allowed; allowed: {', '.join(meaning)}",
        frame[source.label],
    )
    rows["label"] = rows["label"].astype("int64")
    if source.group:
        rows["group"] = frame[source.group].astype(str)
    used = {source.text, source.label, source.split, source.group, "id", *rows.columns}
    for column in frame.columns.difference(list(used), sort=False):
        rows[str(column)] = frame[column].astype(str)
    return rows


def _label_meaning(source: Source) -> dict[str, int]:
    if source.labels is None:
        spellings = _SPELLINGS
    else:
        spellings = [{_spelling(value) for value in source.labels.get(key, [])} for key in ("negative", "positive")]
    return {spelling: label for label, group in enumerate(spellings) for spelling in sorted(group)}


def _spelling(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()


def _refuse(rows: pd.DataFrame, bad: pd.Series, message: str, values: pd.Series) -> None:
    """Raise for the first row that is bad; `message` shows the row's value at `{}`."""
    if bad.any():
        first = bad.idxmax()
        value = values[first]
        value = value.item() if isinstance(value, np.generic) else value
        raise InputError(f"{_place(rows, first)}: {message.format(shortened(value))}")


def _place(rows: pd.DataFrame, index: int) -> str:
    return f"{rows.at[index, '_where']}: row {rows.at[index, '_row']}"


def _check_counts(folder: Path, source: Source, reviews: pd.DataFrame, needed: Sequence[Split]) -> None:
    sizes = pd.Series([len(text.encode()) for text in reviews["text"]], dtype="int64")
    counted = {
        "rows": reviews.groupby("split").size().to_dict(),
        "text_bytes": sizes.groupby(reviews["split"]).sum().to_dict(),
    }
    for key, counts in counted.items():
        for split, expected in (getattr(source, key) or {}).items():
            if counts.get(split, 0) != expected:
                raise InputError(f"{folder}: {split} has {counts.get(split, 0)} {key}; dataset.yaml says {expected}")
    for split in ("train",) if source.test_size else needed:
        if not counted["rows"].get(split):
            raise InputError(f"{folder}: there are no {split} reviews")
