"""Checks params.yaml and the pretrained model, before DVC removes any output of the last run.

DVC removes a stage's outputs before it runs the stage. Every other stage depends on the file that this one
writes, so DVC runs this one first. The file never changes, so it reruns nothing.
"""

from pathlib import Path

from sentiment import atomic, launch, stage_runner
from sentiment.data import also_test, schema
from sentiment.errors import InputError, extra, one_line
from sentiment.labels import LABELS
from sentiment.params import Params
from sentiment.pretrained import sources
from sentiment.training import soft_labels

CHECKED = Path("models/checked.txt")


def main() -> None:
    """Check the parameters, the datasets' names and the pretrained model."""
    params = Params.load()
    source = schema.read_source(params.dataset)
    also_test.check_names(params.also_test, params.dataset)
    if params.teachers and not source.names_unlabelled:
        raise InputError(
            f"params.yaml: teachers: data/{params.dataset}/dataset.yaml names no reviews for them to label; "
            "name some there by `unlabelled`, or set teachers to []"
        )
    if params.exports:
        with extra("onnx"):
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
    launch.command(params.launch)
    model = sources.fetch(params.model)
    if kept := model.kept_labels(params.head):
        names = one_line(" and ".join(model.labels[index] for index in kept))
        print(f"keeping the head of {model.source}: its labels {names} become {' and '.join(LABELS)}")
    elif model.has_head:
        print(f"replacing the head of {model.source} by a new one")
    elif not model.config.get("architectures"):
        print(f"config.json of {model.source} names no architecture: a head in its weights is replaced")
    longest = params.max_length
    # `fetch` has verified the SHA-256 of the packaged model, which is known to work.
    if params.model != sources.PACKAGED or longest > sources.PACKAGED_LENGTH:
        from sentiment.checks.dry_run import try_model  # importing PyTorch takes seconds

        try_model(model, params)
    if params.precision == "bf16":
        from sentiment.model.precision import multiplies_bf16

        if not multiplies_bf16():
            print(
                "warning: precision: bf16: this processor has no hardware for bf16; "
                "fp32 is several times faster"
            )
    if model.local and not model.in_repository:
        print(f"{params.model} is outside the repository; to share it, move it there and run `dvc add`")
    sources.point_to(model)
    soft_labels.remove_others(params.teachers)
    also_test.remove_others(params.also_test)
    with atomic.replacing(CHECKED) as path:
        path.write_text("The stage `check` accepts params.yaml and the pretrained model.\n", encoding="utf-8")


if __name__ == "__main__":
    stage_runner.run(main, "check")
