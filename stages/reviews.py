"""Datasets of labelled reviews: what dataset.yaml says, how it is read, and what a good row is."""

import html
import json
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sklearn.model_selection import train_test_split

from stages.errors import InputError, one_line, reason
from stages.labels import LABELS
from stages.parameters import PRINTABLE, explain, read_yaml, shortened

DATA = Path("data")
_AT_ONCE = 50_000  # reviews that are Python strings at the same time, which take twice the memory of pandas' own
# Of a Hub dataset: what says how it is read, and data; never code or pickles.
_HUB_FILES = ["README.md", ".huggingface.yaml", "*.parquet", "*.csv*", "*.tsv*", "*.json*"]
_SPELLINGS = [{"negative", "neg", "0", "false"}, {"positive", "pos", "1", "true"}]

_TAKEN = {"id", "group", "probability", "_where", "_row"}  # columns that only the pipeline itself makes

Split = Literal["train", "test"]
_File = Annotated[str, Field(pattern=PRINTABLE, max_length=200)]
_Files = Annotated[dict[Split, _File], Field(min_length=1)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]


class Source(BaseModel):
    """The schema of data/<name>/dataset.yaml: either `hub` and `revision`, or `files`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    description: str = Field("", description="one line of text")
    license: str = Field("", description="one line of text")
    language: str | None = Field(None, description="a language code such as en", pattern=r"^[a-z]{2,3}$")
    hub: str | None = Field(None, description="a Hub dataset such as org/name", pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str | None = Field(
        None, description="a commit of the Hub dataset: 40 hexadecimal digits", pattern=r"^[0-9a-f]{40}$"
    )
    config: str | None = Field(None, description="a configuration of the Hub dataset")
    files: _File | _Files | None = Field(
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
    rows: dict[Split, _Count] | None = Field(None, description="{train: count, test: count}")
    text_bytes: dict[Split, _Count] | None = Field(None, description="{train: count, test: count}")

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        if (self.hub is None) == (self.files is None):
            raise ValueError("needs either hub (with revision) or files")
        if self.hub and not self.revision:
            raise ValueError("hub needs a revision: a commit of 40 hexadecimal digits, so that the data never changes")
        if self.test_size and not isinstance(self.files, str):
            raise ValueError("test_size needs files to name one file")
        return self

    @model_validator(mode="after")
    def _labels_that_differ(self) -> "Source":
        if self.labels is not None:
            negative, positive = _spellings(self)
            if not (negative and positive):
                raise ValueError("labels: both negative and positive need values")
            if both := sorted(negative & positive):
                raise ValueError(f"labels: {shortened(both[0])} stands for both negative and positive")
        return self


def names() -> list[str]:
    """The datasets there are: the folders of data/ that hold a dataset.yaml."""
    return sorted(path.parent.name for path in DATA.glob("*/dataset.yaml"))


def normalise(text: str) -> str:
    """One line of Unicode NFC: HTML entities decoded, `<br />` and runs of white space turned into one space."""
    text = _LINE_BREAK.sub(" ", html.unescape(_NO_CHARACTER.sub("\ufffd", text)))
    return " ".join(unicodedata.normalize("NFC", text).split())


def in_short(text: str, most: int = 200) -> str:
    """The beginning and the end of a review: people often say what they mean last."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2].rsplit(maxsplit=1)[0]} [...] {text[-most // 2 :].split(maxsplit=1)[-1]}"


_LINE_BREAK = re.compile(r"<br\s*(?:/\s*)?>", re.IGNORECASE)  # a second \s* beside the first would be quadratic
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_NO_CHARACTER = re.compile(r"&#[0-9]{4000,};?")  # Python reads no number of more than 4300 digits


def capped(rows: pd.DataFrame, most: int | None, seed: int) -> pd.DataFrame:
    """All rows (`most` is None or no fewer than they are), or `most` of them, both classes alike, in their order.

    Raises:
        InputError: so few are drawn, or left, that a class would have none.
    """
    if most is None or most >= len(rows):
        return rows
    drawn = f"params.yaml: max_train_reviews: {most}, drawn by class of {len(rows)}"
    try:
        if len(rows) - most < len(LABELS):  # too few for train_test_split to leave out by class
            kept = rows.sample(most, random_state=seed).index
        else:
            kept, _ = train_test_split(rows.index, train_size=most, stratify=rows["label"], random_state=seed)
    except ValueError as error:
        raise InputError(f"{drawn}, cannot be: {reason(error)}") from None
    if rows.loc[kept, "label"].nunique() < len(LABELS):
        raise InputError(f"{drawn}, are all of one class")
    return rows.loc[sorted(kept)]


def load(name: str, needed: Sequence[Split] = ("train", "test")) -> tuple[Source, pd.DataFrame]:
    """Read, check and normalise the dataset in data/<name>/.

    Args:
        name: the folder.
        needed: splits that it must have.

    Returns:
        What dataset.yaml says, and one row a review: `id` (split and row, such as test-17, counted from 1),
        `split` (train, test; all `train` where test_size is to cut a test split off), `text` (normalised),
        `label` (index into LABELS), `group` where dataset.yaml names one, then the other columns as text, but for
        those that have a name which the pipeline gives.

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
    read = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}.get(path.suffix)
    if read is None:
        raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: .csv, .jsonl, .parquet")
    if not path.is_file():
        raise InputError(f"{path}: is not a file" if path.exists() else f"{path}: no such file")
    try:
        frame = read(path)
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(f"{path}: {_not_utf8(path)}; only UTF-8 is read") from None
    except Exception as error:  # pandas and pyarrow raise a dozen kinds, OSError for a damaged file among them
        raise InputError(f"{path}: cannot be read: {reason(error)}") from None
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(f"{path}: column {shortened(twice[0])} stands there twice")
    return frame


def _csv(path: Path) -> pd.DataFrame:
    # With a header, pandas takes one column too many in every row for an index, and renames what stands there twice.
    frame = pd.read_csv(path, header=None, dtype=str, na_filter=False, encoding="utf-8-sig")
    frame.columns = pd.Index(frame.iloc[0], dtype=object)
    return frame.loc[1:, frame.columns != ""].reset_index(drop=True)  # spreadsheets leave unnamed columns at the end


def _json_lines(path: Path) -> pd.DataFrame:
    rows = []
    with path.open(encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json_object(line))
            except InputError as error:
                raise InputError(f"{path}: line {number}: {error}") from None
    return pd.DataFrame(rows)


def json_object(line: str) -> dict[str, object]:
    """A JSON object.

    Raises:
        InputError: the line is none, or no key or character may be as it is.
    """
    try:
        row = json.loads(line, object_pairs_hook=_unique)
        if "\\ud" in line.casefold():
            json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg}") from None
    except RecursionError:
        raise InputError("nested too deeply") from None
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object[error.start]!a} is half a character") from None
    except ValueError as error:  # a key twice, or a number of more than 4300 digits
        raise InputError(one_line(str(error))) from None
    if not isinstance(row, dict):
        raise InputError(f"{type(row).__name__}; allowed: one JSON object a line")
    return row


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {shortened(max(names, key=names.count))} stands there twice")
    return row


def _parquet(path: Path) -> pd.DataFrame:
    table = pq.ParquetFile(path, page_checksum_verification=True).read()
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)  # or text that is not UTF-8 would come through
        except ValueError as error:
            raise InputError(f"{path}: column {shortened(name)}: {one_line(str(error))}") from None
    # Not as an index, which pandas would put the rows in the order of.
    kept = [number for number, name in enumerate(table.column_names) if not _PANDAS_INDEX.fullmatch(name)]
    return table.select(kept).to_pandas(ignore_metadata=True)


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
            found = one_line(", ".join(map(str, frame.columns[:20])))
            raise InputError(f"{where}: no column {shortened(column)}; it has: {found or 'none'}")
    rows = pd.DataFrame({"_where": where, "_row": range(1, len(frame) + 1)})
    if split is not None or source.test_size is not None:
        rows["split"] = split or "train"
    else:
        rows["split"] = _as_text(frame[source.split]).str.strip().str.casefold()
        bad = ~rows["split"].isin(["train", "test"])
        _refuse(rows, bad, frame[source.split], "is not allowed; allowed: train, test")
    rows["text"] = frame[source.text]
    bad = pd.Series([not isinstance(text, str) for text in rows["text"]], dtype=bool)
    _refuse(rows, bad, frame[source.text], "is not text")
    meaning = {spelling: label for label, group in enumerate(_spellings(source)) for spelling in sorted(group)}
    spelled = frame[source.label].astype(object).map(_spelling)
    rows["label"] = spelled.map(meaning)
    allowed = f"is not allowed; allowed: {one_line(', '.join(meaning))}"
    if (spelled == "-1").any():
        allowed += " (-1 often means unlabelled: leave such rows out)"
    _refuse(rows, rows["label"].isna(), frame[source.label], allowed)
    rows["label"] = rows["label"].astype("int64")
    if source.group:
        _refuse(rows, frame[source.group].isna(), frame[source.group], "is not allowed; every review needs a value")
        rows["group"] = _as_text(frame[source.group])
    used = {source.text, source.label, source.split, source.group, *_TAKEN, *rows.columns}
    for column in frame.columns.difference(list(used), sort=False):
        rows[str(column)] = _as_text(frame[column])
    return rows


def _as_text(values: pd.Series) -> pd.Series:
    return values.map(str, na_action="ignore").astype("str")  # astype alone would decode bytes, whatever they are


def _spellings(source: Source) -> list[set[str]]:
    """The values that mean negative, and those that mean positive."""
    if source.labels is None:
        return _SPELLINGS
    return [{_spelling(value) for value in source.labels.get(key, [])} for key in ("negative", "positive")]


def _spelling(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()


def _refuse(rows: pd.DataFrame, bad: pd.Series, values: pd.Series, why: str) -> None:
    """Raise for the first row that is bad, with its value and the name of the column."""
    if bad.any():
        first = bad.idxmax()
        value = values[first]
        value = value.item() if isinstance(value, np.generic) else value
        raise InputError(f"{_place(rows, first)}: {one_line(str(values.name), 80)} {shortened(value)} {why}")


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
