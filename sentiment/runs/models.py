"""How tables and pages name the models of a run."""

from sentiment.runs.run import Model

TITLES: dict[Model, str] = {
    "baseline": "n-gram baseline",
    "probe": "before fine-tuning",
    "classifier": "fine-tuned",
    "blend": "blend of n-grams and fine-tuned",
    "int8": "fine-tuned, int8",
    "fp32": "fine-tuned, ONNX in fp32",
}
