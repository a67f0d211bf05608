"""Benchmarks training and scoring against common recipes and other runtimes, with the same model and reviews.

The recipes take turns, so that a change in the machine's speed affects all of them. Without --dataset, the
reviews are composed of the sample's, with the lengths of IMDb's reviews. With --trained, the models of the
last run are compared instead.
"""

import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from typing import Annotated

import numpy as np
import torch
import typer

from sentiment.commands.bench import scoring_recipes, trained_models, training_recipes
from sentiment.commands.bench.inputs import BATCH_SIZE, MAX_LENGTH, synthetic_reviews, training_reviews
from sentiment.commands.bench.measurement import Measured, Recipe, Round, machine
from sentiment.metrics.evaluation_sets import why_unavailable
from sentiment.params import scoring_precision


def main(
    dataset: Annotated[
        str, typer.Option(help="a folder of data/; by default, reviews composed of the sample's")
    ] = "",
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="the number of rounds")] = 3,
    seconds: Annotated[
        float,
        typer.Option(min=0.1, max=3600, help="the duration of a recipe per round, to the next step or batch"),
    ] = 25,
    trained: Annotated[
        bool,
        typer.Option(
            "--trained",
            help="instead, compare the last run's n-grams, encoders, blends and cascades",
        ),
    ] = False,
) -> None:
    """Benchmark training and scoring against common recipes and runtimes.

    Each recipe runs once per round; the table has the medians.
    """
    if trained:
        models = trained_models.trained_models()
        print(f"{date.today()}, {machine()}, precision {scoring_precision()}; medians of {rounds} rounds")
        if why := why_unavailable("baseline"):
            print(f"n-grams and blends: left out, {why}")
        print(trained_models.table(models, trained_models.measure(models, rounds, seconds)))
        return
    texts, labels = training_reviews(dataset) if dataset else synthetic_reviews()
    shuffled = shuffled_rounds(texts, labels, rounds, seconds)
    scoring, missing = scoring_recipes.available()
    print(
        f"{date.today()}, {machine()}, PyTorch {torch.__version__}, "
        f"max_length {MAX_LENGTH}, batch {BATCH_SIZE}; medians"
    )
    for name, package in missing.items():
        print(f"{name}: left out, {package} is not installed: pip install -e '.[bench]'")
    for title, recipes in {"training": training_recipes.RECIPES, "scoring": scoring}.items():
        print(table(title, measure(recipes, shuffled)), flush=True)


def shuffled_rounds(texts: list[str], labels: list[int], number: int, seconds: float) -> list[Round]:
    """The reviews in another order for each round."""
    rounds = []
    for seed in range(number):
        order = np.random.default_rng(seed).permutation(len(texts))
        rounds.append(Round([texts[row] for row in order], [labels[row] for row in order], seconds, seed))
    return rounds


def measure(recipes: dict[str, Recipe], rounds: list[Round]) -> dict[str, list[Measured]]:
    """Measure every recipe in every round.

    Each recipe has its own process, because the peak memory is that of a process.
    """
    context = multiprocessing.get_context("spawn")
    processes = {name: ProcessPoolExecutor(1, mp_context=context) for name in recipes}
    results: dict[str, list[Measured]] = {name: [] for name in recipes}
    for this_round in rounds:
        for name, recipe in recipes.items():
            results[name].append(processes[name].submit(recipe, this_round).result())
    for process in processes.values():
        process.shutdown()
    return results


def table(title: str, results: dict[str, list[Measured]]) -> str:
    """Medians over the rounds as a Markdown table; speed ratios are to the first recipe in the same round."""
    first = next(iter(results))
    lines = [
        f"| {title} | reviews/s | tokens/s | times {first} | peak memory | "
        "share of the machine's matrix multiplication |",
        "|---" * 6 + "|",
    ]
    reference = [each.reviews / each.seconds for each in results[first]]
    for name, rounds in results.items():
        speeds = [each.reviews / each.seconds for each in rounds]
        tokens = statistics.median(each.tokens / each.seconds for each in rounds)
        ratio = statistics.median(np.divide(speeds, reference))
        memory = statistics.median(each.peak_bytes for each in rounds)
        share = statistics.median(each.operations / each.seconds / each.peak_operations for each in rounds)
        lines.append(
            f"| {name} | {statistics.median(speeds):.3g} | {tokens:,.0f} | {ratio:.2f} "
            f"| {memory / 2**30:.1f} GiB | {share:.0%} |"
        )
    peak = statistics.median(each.peak_operations for rounds in results.values() for each in rounds)
    return "\n".join([*lines, f"The machine's matrix multiplication: {peak / 1e9:,.0f} GFLOPS."])
