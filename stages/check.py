"""Refuse what cannot work before DVC touches an output of an earlier run.

DVC deletes a stage's outputs before it runs that stage. These two have none, run first, and look at all that a run
needs from outside: `params` at params.yaml and the model it names, `data` at every row of the dataset it names.
"""

import argparse
from typing import Any

from stages import checkpoints, errors, parameters, reviews, splits


def main() -> None:
    """Check `params` or `data`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["params", "data"])
    if parser.parse_args().what == "data":
        splits.load(parameters.load(parameters.PrepareParams))
        return
    reviews.read_source(parameters.load(parameters.DataParams).dataset)
    if parameters.load(parameters.Params).exports:
        with errors.extra("onnx"):
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
    params = parameters.load(parameters.TrainParams)
    checkpoint = checkpoints.fetch(params.model)
    checkpoint.check_length(max_length=params.max_length, train_max_length=params.train_max_length)
    if params.model != checkpoints.PACKAGED:  # whose weights are known by their SHA-256
        score(checkpoint, params)


def score(checkpoint: checkpoints.Checkpoint, params: parameters.TrainParams) -> None:
    """Load a checkpoint as training does, and score one review with it.

    Raises:
        InputError: it cannot be loaded or used.
    """
    from stages import encoding, scoring, training  # late: torch takes seconds

    training.quiet()
    model = training.classifier(checkpoint, params.dropout)
    encoder = encoding.Encoder(checkpoint.folder, params.max_length, params.truncation)
    with errors.loading(f"model {checkpoint.source}"):
        embeddings: Any = model.get_input_embeddings()
        if len(encoder.tokenizer) > embeddings.num_embeddings:
            counts = f"{len(encoder.tokenizer)} tokens, the model {embeddings.num_embeddings}"
            raise errors.InputError(f"model {checkpoint.source}: the tokenizer has {counts}")
        scoring.probabilities(model, encoder, ["A review."], params.precision)


if __name__ == "__main__":
    errors.run(main)
