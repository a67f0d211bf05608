"""Pretrained models: which folders are accepted, and what check writes about them."""

import shlex
import shutil
from pathlib import Path

import pytest

from sentiment.errors import InputError
from sentiment.pretrained import sources
from tests.architectures import write_pretrained
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a tiny model in models/mine."""
    monkeypatch.chdir(tmp_path)
    write_pretrained(tmp_path / "models/mine", "bert")
    return tmp_path


def test_only_safetensors_are_loaded(project: Path) -> None:
    folder = project / "models/mine"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        InputError, match=r"^model mine: has no \*\.safetensors weights, and no other format is loaded$"
    ):
        sources.fetch("models/mine")
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"model mine: has no config\.json"):
        sources.fetch("models/mine")


@pytest.mark.parametrize(
    ("folders", "listed", "used"),
    [
        (["0_Transformer"], "0_Transformer", "0_Transformer"),
        (["checkpoint-1000", "checkpoint-500"], "checkpoint-500, checkpoint-1000", "checkpoint-1000"),
        (["runs/first try"], "runs/first try", "runs/first try"),
    ],
)
def test_the_error_names_a_model_in_a_subfolder(
    project: Path, folders: list[str], listed: str, used: str
) -> None:
    for name in folders:
        shutil.copytree("models/mine", f"models/outer/{name}")
    for module in ("1_Pooling", "2_Dense"):  # modules of sentence-transformers are not models
        Path("models/outer", module).mkdir()
        Path("models/outer", module, "config.json").write_text("{}")
    shutil.copy("models/mine/model.safetensors", "models/outer/2_Dense")
    setting = shlex.quote(f"model=models/outer/{used}")
    with pytest.raises(InputError) as refused:
        sources.fetch("models/outer")
    assert (
        str(refused.value) == f"model outer: the model is in a folder within it: {listed}; use -S {setting}"
    )
    assert sources.fetch(f"models/outer/{used}").config["model_type"] == "bert"
    Path("models/outer/config.json").write_text("{}")  # as of a model whose weights are elsewhere
    with pytest.raises(InputError, match="the model is in a folder within it"):
        sources.fetch("models/outer")
    shutil.copytree("models/mine", "models/outer", dirs_exist_ok=True)
    assert sources.fetch("models/outer").has_head is False


def test_a_checkpoint_next_to_pickled_weights_is_not_suggested(project: Path) -> None:
    folder = project / "models/mine"
    shutil.copytree(folder, folder / "checkpoint-1")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"^model mine: has no \*\.safetensors weights"):
        sources.fetch("models/mine")


def test_an_adapter_is_refused(project: Path) -> None:
    (project / "models/mine/adapter_config.json").write_text('{"peft_type": "LORA"}')
    (project / "models/mine/config.json").unlink()
    with pytest.raises(InputError, match=r"^model mine: is a PEFT adapter; merge it into its model first"):
        sources.fetch("models/mine")


@pytest.mark.parametrize("name", ["classifier", "int8"])
def test_outputs_of_the_pipeline_are_refused_as_its_model(project: Path, name: str) -> None:
    shutil.copytree("models/mine", f"models/{name}")
    Path("link").symlink_to(f"models/{name}")
    for model in (f"models/{name}", f"./models/../models/{name}", str(project / "models" / name), "link"):
        with pytest.raises(InputError, match="is what the pipeline writes; copy it to another folder first"):
            sources.fetch(model)


@pytest.mark.parametrize("model", ["models/none", "models/none/x"])
def test_a_missing_folder_is_not_requested_from_the_hub(project: Path, model: str) -> None:
    with pytest.raises(InputError, match=r"^params.yaml: model: "):
        sources.fetch(model)
    Path("none.dvc").touch()
    with pytest.raises(InputError, match="there is no folder none; `dvc pull` fetches it if DVC tracks it"):
        sources.fetch("none")


def test_check_writes_a_link_to_a_local_folder_and_the_name_of_the_model(project: Path) -> None:
    local, pointer = Path("models/local"), Path("models/pretrained")
    for model in ("models/mine", str(project / "models/mine")):
        sources.point_to(sources.fetch(model))
        assert local.readlink() == Path("mine")  # so that the repository can move
        assert pointer.read_text() == "mine\n"
    outside = project.parent / "model"
    shutil.copytree("models/mine", outside)
    for model in (str(outside), "../model"):
        sources.point_to(sources.fetch(model))
        assert local.readlink() == outside
    sources.point_to(sources.fetch(sources.PACKAGED))
    assert local.readlink() == Path("none")
    assert pointer.read_text() == f"{sources.PACKAGED}@sha256:{sources.PACKAGED_SHA256[:12]}\n"


def test_the_link_is_refused_as_a_model(project: Path) -> None:
    sources.point_to(sources.fetch("models/mine"))
    for model in ("models/local", "models/../models/local/", str(project / "models/local")):
        with pytest.raises(InputError, match="is a link that `check` writes; name the folder it leads to"):
            sources.fetch(model)


def test_the_link_has_the_same_hash_without_symbolic_links() -> None:
    assert (ROOT / "models/local").readlink() == Path("none")
    assert (ROOT / "models/none").read_bytes() == b"none"


def test_modified_packaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(InputError, match="SHA-256 is 53aa51"):
        sources.fetch(sources.PACKAGED)
