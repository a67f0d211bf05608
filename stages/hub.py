"""The Hugging Face Hub, as far as its clients differ from what a stage should show."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.utils import disable_progress_bars, logging

from stages.errors import InputError


@contextmanager
def fetching(what: str) -> Iterator[None]:
    """Turn whatever a Hub client raises in this block into an InputError that says what could not be fetched and why.

    The clients retry by themselves and go on from what was downloaded.
    """
    logging.set_verbosity_error()  # not a line for each retry
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    except Exception as error:  # some twenty kinds, of three libraries; each means that it did not come
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise InputError(
            f"{what} could not be fetched from the Hub: {type(error).__name__}: {reason[:300]} "
            "(check the name, the network and HF_ENDPOINT; what was fetched is kept)"
        ) from error
