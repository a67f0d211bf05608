"""Refuse what cannot work before DVC touches an output of an earlier run.

DVC deletes a stage's outputs before it runs that stage. These two have none, run first, and look at all that a run
needs from outside: `params` at params.yaml and the model it names, `data` at every row of the dataset it names.
"""

import argparse

from stages import checkpoints, errors, parameters, reviews


def main() -> None:
    """Check `params` or `data`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["params", "data"])
    if parser.parse_args().what == "data":
        reviews.load(parameters.load(parameters.DataParams).dataset)
        return
    reviews.read_source(parameters.load(parameters.DataParams).dataset)
    params = parameters.load(parameters.TrainParams)
    checkpoints.fetch(params.model).check_length(params.max_length)


if __name__ == "__main__":
    errors.run(main)
