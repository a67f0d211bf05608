"""The inputs of the benchmark, the same for every recipe: reviews and a model."""

import numpy as np
import torch
import transformers
from transformers import PreTrainedModel

from sentiment.data.dataset import load
from sentiment.model.encoding import Encoder
from sentiment.pretrained import sources
from sentiment.pretrained.building import build_classifier, set_dropout
from sentiment.training.fine_tuning import quiet_libraries

MAX_LENGTH, BATCH_SIZE = 512, 16
TO_TRAIN, TO_SCORE = 480, 256  # reviews
# The number of words in IMDb's reviews is about log-normal.
MEDIAN_WORDS, P95_WORDS = 173, 593
P95_QUANTILE = 1.645  # of the standard normal distribution


def synthetic_reviews() -> tuple[list[str], list[int]]:
    """Texts with the lengths of IMDb's reviews, each composed of sample reviews of one label, and labels."""
    sample = load("sample").reviews
    words = [sample["text"][sample["label"] == label].str.cat(sep=" ").split() for label in (0, 1)]
    rng = np.random.default_rng(0)
    sigma = np.log(P95_WORDS / MEDIAN_WORDS) / P95_QUANTILE
    lengths = rng.lognormal(np.log(MEDIAN_WORDS), sigma, TO_TRAIN).astype(int)
    texts, labels = [], []
    for index, length in enumerate(lengths):
        label = index % 2
        start = rng.integers(len(words[label]) - length)
        texts.append(" ".join(words[label][start : start + length + 1]))
        labels.append(label)
    return texts, labels


def training_reviews(name: str) -> tuple[list[str], list[int]]:
    """Training reviews of a dataset, and their labels."""
    rows = load(name).reviews
    rows = rows[rows["split"] == "train"]
    rows = rows.sample(min(TO_TRAIN, len(rows)), random_state=0)
    return rows["text"].tolist(), rows["label"].tolist()


def new_model(dropout: float | None = None) -> tuple[PreTrainedModel, Encoder]:
    """A pretrained model with a new head, and its encoder.

    On a CPU it is all-MiniLM-L6-v2. On CUDA it has the architecture of DistilBERT and random weights, which
    take as much time as pretrained ones.
    """
    quiet_libraries()
    torch.manual_seed(0)
    base = sources.fetch(sources.PACKAGED)
    encoder = Encoder(base.folder, MAX_LENGTH, "head")
    if not torch.cuda.is_available():
        return build_classifier(base, encoder, dropout=dropout), encoder
    config = transformers.DistilBertConfig(vocab_size=len(encoder.tokenizer))
    set_dropout(config, dropout)
    return transformers.DistilBertForSequenceClassification(config), encoder
