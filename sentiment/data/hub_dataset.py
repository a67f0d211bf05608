"""Datasets on the Hub: the download, the files of each split, and the names of the classes."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sentiment.data.files import FORMATS, ending
from sentiment.data.schema import Source
from sentiment.errors import InputError, reason
from sentiment.validation import listed

# The data, and the files that say how to read it; never code or pickles.
_DOWNLOADED = ["README.md", ".huggingface.yaml", "*.parquet", "*.csv*", "*.tsv*", "*.json*", "*.ndjson*"]
# JSON files that describe a dataset and contain no reviews.
_DESCRIPTIONS = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"}


class HubDataset(NamedTuple):
    """A downloaded Hub dataset.

    Attributes:
        folder: the folder with its files.
        files: the files of each split, by the name that the dataset gives the split.
        class_names: the names of the classes on the dataset's card; None if it names none.
    """

    folder: Path
    files: dict[str, list[Path]]
    class_names: list[str] | None


def download(source: Source) -> HubDataset:
    """Download the dataset that `hub` and `revision` name, or find it in the Hub's cache.

    Raises:
        InputError: it is not available, has no data in a supported format, or the splits of its files are
            unclear.
    """
    from sentiment import hub

    # Not load_dataset(source.hub): if the Hub does not answer, that takes whichever revision was cached last.
    folder = hub.snapshot("dataset", str(source.hub), source.revision, _DOWNLOADED).resolve()
    if not any(_is_data(path) for path in folder.rglob("*")):
        raise InputError(_no_data(source, _unread_files(source)))
    return HubDataset(folder, *_files_and_classes(folder, source))


def _files_and_classes(folder: Path, source: Source) -> tuple[dict[str, list[Path]], list[str] | None]:
    """The files of each split, as README.md or the file names say, and the names of the classes."""
    import datasets  # late: this takes a second, and most datasets are files
    from datasets.info import DatasetInfosDict

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # an error is one line, which we print
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        try:
            configs = datasets.get_dataset_config_names(str(folder))
            config = source.config or datasets.get_dataset_default_config_name(str(folder))
            if config in configs:
                builder = datasets.load_dataset_builder(str(folder), config, cache_dir=scratch)
                files = {}
                for split, paths in (builder.config.data_files or {}).items():
                    files[str(split)] = [Path(path) for path in paths]
                features = builder.info.features
                infos = list(DatasetInfosDict.from_directory(str(folder)).values())
                if not features and len(infos) == 1:
                    # A card with a single description may give its configuration another name, or none.
                    features = infos[0].features
                feature = (features or {}).get(source.label)
                while isinstance(feature, datasets.List):
                    feature = feature.feature
                return files, getattr(feature, "names", None)
        except Exception as error:  # any fault in README.md or in the names of the files
            if isinstance(error, FileNotFoundError) and (unread := _unread_files(source)):
                raise InputError(_no_data(source, unread)) from error
            raise InputError(f"{source.hub}: the splits of its files are unclear: {reason(error)}") from error
    fault = f"has no configuration {config!r}" if config else "has several configurations"
    raise InputError(f"{source.hub}: {fault}: `config` in dataset.yaml names one of: {listed(configs)}")


def _is_data(path: Path) -> bool:
    return ending(path)[0] in FORMATS and path.name not in _DESCRIPTIONS


def _unread_files(source: Source) -> list[Path]:
    """The files on the Hub that are neither data in a supported format nor Markdown."""
    from sentiment import hub

    unread = []
    for name in hub.file_names("dataset", str(source.hub), source.revision):
        path = Path(name)
        if not path.name.startswith(".") and ending(path)[0] not in (*FORMATS, ".md"):
            unread.append(path)
    return unread


def _no_data(source: Source, unread: Sequence[Path]) -> str:
    """The error for a Hub dataset without data in a supported format."""
    if any(path.suffix == ".py" for path in unread):
        fault = "is a loading script, which is never run"
    else:
        fault = f"has no data in a supported format ({', '.join(FORMATS)})"
    return (
        f"{source.hub}: {fault}; it has {listed(unread) or 'no data'}. Use a commit of its branch "
        "refs/convert/parquet as the revision, if it has that branch, or download the data and name it under "
        "`files`"
    )
