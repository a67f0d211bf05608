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
from sentiment.pretrained.sources import Pretrained
from sentiment.teaching import teacher
from sentiment.teaching.teacher import Teacher
from sentiment.training import soft_labels

CHECKED = Path("models/checked.txt")


def main() -> None:
    """Check the parameters, the datasets' names and the pretrained models."""
    params = Params.load()
    source = schema.read_source(params.dataset)
    also_test.check_names(params.also_test, params.dataset)
    schema.check_teachers(source, params.dataset, params.teachers, params.teacher_epochs)
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
    check_model(model, params)
    teachers, teachers_model = check_teachers(params)
    if params.precision == "bf16":
        from sentiment.model.precision import multiplies_bf16

        if not multiplies_bf16():
            print(
                "warning: precision: bf16: this processor has no hardware for bf16; "
                "fp32 is several times faster"
            )
    sources.point_to(model)
    teacher.point_to(teachers, teachers_model)
    soft_labels.remove_others(params.teachers)
    also_test.remove_others(params.also_test)
    with atomic.replacing(CHECKED) as path:
        path.write_text("The stage `check` accepts params.yaml and the pretrained model.\n", encoding="utf-8")


def check_model(model: Pretrained, params: Params, is_trained: bool = True) -> None:
    """Say what happens to the model's head, and try the model unless it is known to work.

    Args:
        model: the model.
        params: the parameters that it is used with.
        is_trained: whether it is fine-tuned, and not only scores reviews.

    Raises:
        InputError: it does not support these parameters.
    """
    if kept := model.kept_labels(params.head):
        names = one_line(" and ".join(model.labels[index] for index in kept))
        print(f"keeping the head of {model.source}: its labels {names} become {' and '.join(LABELS)}")
    elif model.has_head:
        print(f"replacing the head of {model.source} by a new one")
    elif not model.config.get("architectures"):
        print(f"config.json of {model.source} names no architecture: a head in its weights is replaced")
    # `fetch` has verified the SHA-256 of the packaged model, which is known to work.
    longest = params.max_length
    if params.model != sources.PACKAGED or longest > sources.PACKAGED_LENGTH:
        from sentiment.checks.dry_run import try_model  # importing PyTorch takes seconds

        try_model(model, params, is_trained)
    if model.local and not model.in_repository:
        print(f"{params.model} is outside the repository; to share it, move it there and run `dvc add`")


def check_teachers(params: Params) -> tuple[Teacher | None, Pretrained | None]:
    """Check the teachers' model.

    Returns:
        The teachers' parameters, and their model. Both are None without teachers. The model is None if it is
        not available, but the soft labels that it gave are.

    Raises:
        InputError: the model does not support the parameters, or has no head to be used as it is.
    """
    if not params.teachers:
        if params.teacher_model:
            print("warning: teacher_model has no effect without a teacher, such as -S 'teachers=[1]'")
        return None, None
    model = teacher.fetch(params)
    if model is None:
        requested = params.teacher_model or params.model
        print(f"{requested} is not available; training uses the soft labels that it gave before")
        return Teacher.read(), None
    own = teacher.resolve(params, model.pinned, teacher.sha256(model))
    if params.teacher_epochs == 0:
        if model.kept_labels(own.head) is None:
            raise InputError(
                f"params.yaml: teacher_epochs: 0 is not allowed: {model.source} has no head for "
                f"{' and '.join(LABELS)} that was trained; allowed: 1 or more"
            )
        if len(params.teachers) > 1:
            raise InputError(
                f"params.yaml: teachers: {params.teachers} is not allowed with teacher_epochs: 0, because "
                f"seeds would make no difference; allowed: [{params.teachers[0]}]"
            )
    if params.teacher_model or params.teacher_max_length:
        changed = own.model_dump(include={"model", "head", "max_length", "train_max_length"})
        as_student = params.model_copy(update={**changed, "exports": []})
        check_model(model, as_student, is_trained=params.teacher_epochs > 0)
    return own, model


if __name__ == "__main__":
    stage_runner.run(main, "check")
