"""The start of training: how the weights of the classification head begin.

A new head with random weights distorts pretrained features in the first steps. If it starts as a linear probe
of the frozen model instead, fine-tuning changes them less (LP-FT, Kumar et al. 2022, arXiv 2202.10054).
"""

from typing import Literal

import numpy as np
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from transformers import PreTrainedModel

from sentiment.errors import InputError
from sentiment.model.encoding import Encoder
from sentiment.model.scoring import TransformerClassifier
from sentiment.model.transformer import last_linear
from sentiment.params import TrainParams
from sentiment.pretrained.sources import Pretrained
from sentiment.progress import Progress

MAX_REVIEWS = 5_000  # of each class, that the probe is fitted on


def kind(base: Pretrained, model: PreTrainedModel, params: TrainParams) -> Literal["own", "probe", "random"]:
    """Where the head's first weights come from: the pretrained model, a linear probe, or random numbers.

    A head that does not end in a linear layer starts at random.

    Args:
        base: the pretrained model.
        model: the classifier built from it.
        params: the parameters of the training.
    """
    if base.kept_labels(params.head) is not None:
        return "own"
    return "probe" if params.probe_head and last_linear(model) else "random"


def start_as_probe(model: PreTrainedModel, encoder: Encoder, train: Dataset, precision: str) -> None:
    """Set the head's last layer to logistic regression on its inputs, with the rest of the model frozen.

    Args:
        model: the classifier; its last linear layer is changed.
        encoder: of the same model.
        train: encoded training reviews: `input_ids`, and `labels`, indices into LABELS or probabilities.
        precision: the parameter `precision`.

    Raises:
        InputError: the inputs of that layer are not one vector for each review, or memory runs out.
    """
    layer = last_linear(model)
    assert layer, "`kind` says whether there is one"
    parent, _, name = layer.rpartition(".")
    owner = model.get_submodule(parent)
    linear: torch.nn.Linear = getattr(owner, name)
    labels = (np.asarray(train["labels"]) >= 0.5).astype(int)
    order = np.random.default_rng(0).permutation(len(labels))
    rows = np.sort(np.concatenate([order[labels[order] == label][:MAX_REVIEWS] for label in (0, 1)]))
    setattr(owner, name, torch.nn.Identity())  # the model then returns the inputs of the layer
    try:
        frozen = TransformerClassifier(model, encoder, precision, trained=True)
        with Progress("linear probe", len(rows)) as bar:
            features = frozen.outputs(train[rows]["input_ids"], bar.update)
    finally:
        setattr(owner, name, linear)
        model.train()
    if features.shape[1] != linear.in_features:
        raise InputError(
            "params.yaml: probe_head: true is not allowed: the model's head does not end in one vector for "
            "each review; allowed: false"
        )
    with threadpool_limits(1):  # several threads would add in another order
        probe = LogisticRegression(max_iter=2000, fit_intercept=linear.bias is not None)
        probe.fit(features.astype(np.float64), labels[rows])
    # Half for each label with opposite signs: the difference of the logits is the probe's.
    weight, bias = (
        torch.from_numpy(values / 2).to(linear.weight) for values in (probe.coef_, probe.intercept_)
    )
    with torch.no_grad():
        linear.weight.copy_(torch.cat([-weight, weight]))
        if linear.bias is not None:
            linear.bias.copy_(torch.cat([-bias, bias]))
