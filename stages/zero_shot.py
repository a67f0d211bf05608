"""Score the checkpoint as it came, before fine-tuning, so that what training bought is visible."""

from typing import Any

import pandas as pd

from stages import checkpoints, errors, outputs, parameters


def main() -> None:
    """Write metrics/zero_shot.json; a checkpoint with no trained head has no figures, and the file says so."""
    params = parameters.load(parameters.ModelParams)
    checkpoint = checkpoints.fetch(params.model)
    if not checkpoint.has_head:
        outputs.write_json("metrics/zero_shot.json", {"accuracy": "no trained head"})
        print(f"zero-shot: {checkpoint.source} has no trained head")
        return
    found = zero_shot(checkpoint, params, pd.read_parquet("data/prepared/test.parquet"))
    outputs.write_json("metrics/zero_shot.json", found)
    print(f"zero-shot: test accuracy {found['accuracy']:.4f}")


def zero_shot(checkpoint: checkpoints.Checkpoint, params: parameters.ModelParams, test: pd.DataFrame) -> dict[str, Any]:
    """The metrics of a checkpoint with a trained head on the prepared test split."""
    from stages import encoding, scoring  # late: torch takes seconds, and many have no head
    from stages.metrics import report

    scoring.deterministic()
    with errors.loading(f"model {checkpoint.source}"):
        model = scoring.classifier(checkpoint.folder)
    encoder = encoding.Encoder(checkpoint.folder, params.max_length, params.truncation)
    probability = scoring.probabilities(model, encoder, test["text"], params.precision)
    return report(test, probability)


if __name__ == "__main__":
    errors.run(main)
