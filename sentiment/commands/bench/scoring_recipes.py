"""Scoring recipes of the benchmark: transformers' pipeline, the stage evaluate, ONNX Runtime and OpenVINO."""

import importlib.util
import io
import os
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel

from sentiment.commands.bench import inputs
from sentiment.commands.bench.inputs import new_model, synthetic_reviews
from sentiment.commands.bench.measurement import SCORING, Measured, Recipe, Round, matmul_peak, measured, now
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.saved import save_transformer
from sentiment.model.scoring import TransformerClassifier
from sentiment.onnx import graph
from sentiment.onnx.runtime import OnnxClassifier


def score_with_pipeline(batch_size: int | None, this_round: Round) -> Measured:
    """Score with transformers.pipeline until the time limit.

    Args:
        batch_size: reviews per call; None: one review, without batching.
        this_round: the reviews and the time limit.
    """
    peak = matmul_peak()
    model, encoder = new_model()
    classify: Any = transformers.pipeline(
        "text-classification",
        model=model.eval(),
        tokenizer=encoder.tokenizer,
        truncation=True,
        max_length=inputs.MAX_LENGTH,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )  # type: ignore[call-overload]
    texts = this_round.texts
    classify(texts[0])
    scored, started = 0, now()
    while not scored or (scored < inputs.TO_SCORE and now() - started < this_round.seconds):
        if batch_size:
            classify(texts[scored : scored + batch_size], batch_size=batch_size)
            scored += batch_size
        else:
            classify(texts[scored])
            scored += 1
    seconds = now() - started
    lengths = [len(ids) for ids in encoder(texts[:scored]).ids]
    return measured(model, lengths, SCORING, seconds, peak)


def score_as_evaluate(this_round: Round) -> Measured:
    """Score as the stage evaluate does."""
    peak = matmul_peak()
    scoring.make_deterministic()
    model, encoder = new_model()
    return score(TransformerClassifier(model, encoder).probabilities, model, encoder, this_round, peak)


def score_with_onnx(precision: str, this_round: Round) -> Measured:
    """Score with ONNX Runtime and the model that export writes: one thread per review, on all cores."""
    peak = matmul_peak()
    model, encoder = new_model()
    return score(onnx_classifier(precision).probabilities, model, encoder, this_round, peak)


@cache
def onnx_classifier(precision: str) -> OnnxClassifier:
    """The model that export writes."""
    model, encoder = new_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_transformer(folder, model, encoder, "")
        graph.write(model, folder / "model.onnx", precision)
        return OnnxClassifier(folder)


def score_with_openvino(bits: int, this_round: Round) -> Measured:
    """Score with OpenVINO: each review alone, one stream per core.

    OpenVINO's documentation recommends this for the highest throughput.
    """
    peak = matmul_peak()
    model, encoder = new_model()
    compiled = openvino_model(bits)
    from openvino import AsyncInferQueue

    def infer(texts: list[str]) -> None:
        queue = AsyncInferQueue(compiled, torch.get_num_threads())
        for ids in encoder(texts).ids:
            queue.start_async({0: np.array([ids])})
        queue.wait_all()

    return score(infer, model, encoder, this_round, peak)


@cache
def openvino_model(bits: int) -> Any:
    """The model compiled by OpenVINO, in fp32, or in int8 as NNCF quantizes transformers by default.

    That is static quantization with SmoothQuant:
    https://docs.openvino.ai/2025/openvino-workflow/model-optimization-guide/quantizing-models-post-training/basic-quantization-flow.html
    """
    import openvino

    model, encoder = new_model()
    reviews = encoder(synthetic_reviews()[0][:100]).ids
    os.environ["CI"] = "true"  # so that openvino-telemetry sends nothing
    # Tracing compares two runs. With gradients, attention differs between them once a model was trained in
    # bf16.
    with torch.no_grad(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        converted = openvino.convert_model(Logits(model.eval()), example_input=torch.tensor(reviews[:1]))
        converted.reshape([1, -1])
        if bits == 8:
            import nncf

            samples = nncf.Dataset(reviews, lambda ids: {0: np.array([ids])})
            converted = nncf.quantize(converted, samples, model_type=nncf.ModelType.TRANSFORMER)
    threads = torch.get_num_threads()
    settings = {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(converted, "CPU", settings)


class Logits(torch.nn.Module):
    """A classifier as a function of token ids only, for tracing."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Logits, shape (reviews, labels), of token ids, shape (reviews, tokens)."""
        logits: torch.Tensor = self.model(input_ids=input_ids).logits
        return logits


def score(
    infer: Callable[[list[str]], object],
    model: PreTrainedModel,
    encoder: Encoder,
    this_round: Round,
    peak: float,
) -> Measured:
    """Measure the scoring of reviews by `infer`, after a warm-up; the work counts as that of `model`."""
    texts = this_round.texts[: inputs.TO_SCORE]
    infer(texts[:1])
    started = now()
    infer(texts)
    seconds = now() - started
    return measured(model, [len(ids) for ids in encoder(texts).ids], SCORING, seconds, peak)


RECIPES: dict[str, Recipe] = {
    "pipeline, one by one": partial(score_with_pipeline, None),
    "pipeline, batch_size=32": partial(score_with_pipeline, 32),
    "this evaluate stage": score_as_evaluate,
}
# Runtimes for CPUs: the package that each requires, and the recipe.
RUNTIMES: dict[str, tuple[str, Recipe]] = {
    "OpenVINO, fp32": ("openvino", partial(score_with_openvino, 32)),
    "OpenVINO, int8 by NNCF": ("nncf", partial(score_with_openvino, 8)),
    "ONNX Runtime, models/fp32": ("onnxruntime", partial(score_with_onnx, "fp32")),
    "ONNX Runtime, models/int8": ("onnxruntime", partial(score_with_onnx, "int8")),
}


def available() -> tuple[dict[str, Recipe], dict[str, str]]:
    """The recipes that can run on this machine, and the missing package of each other one, by name."""
    recipes = dict(RECIPES)
    missing: dict[str, str] = {}
    if torch.cuda.is_available():
        return recipes, missing
    for name, (package, recipe) in RUNTIMES.items():
        if importlib.util.find_spec(package):
            recipes[name] = recipe
        else:
            missing[name] = package
    return recipes, missing
