"""Training batches: reviews of similar length, and the size of the micro-batches that they are split into."""

from collections.abc import Iterator, Sequence

import torch
from transformers.trainer_pt_utils import get_length_grouped_indices

from sentiment.model import scoring


class LengthGroupedSampler(torch.utils.data.Sampler[int]):
    """Draws shuffled batches of reviews of similar length; an epoch skips the rows that do not fill a batch.

    Fewer reviews than `batch_size` form one smaller batch. The order depends on seed and epoch alone. That of
    Trainer's own `group_by_length` depends on the number of processes, and runs from long to short.

    Args:
        lengths: tokens of each review.
        batch_size: reviews per optimizer step, over all processes.
        seed: for the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths, self.seed, self.epoch = list(lengths), seed, 0
        self.batch_size = min(batch_size, len(self.lengths))

    def __len__(self) -> int:  # noqa: D105
        return len(self.lengths) // self.batch_size * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; Trainer calls this at the start of each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:  # noqa: D105
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        rows = torch.tensor(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))
        batches = rows[: len(self)].view(-1, self.batch_size)
        yield from batches[torch.randperm(len(batches), generator=generator)].flatten().tolist()


def micro_batch_size(reviews: int, max_length: int, bf16: bool, divisor: int = 1) -> int:
    """Reviews per micro-batch. The gradients of its micro-batches add up to the gradient of a batch.

    On a GPU, a micro-batch is a process's whole share of the batch. On a CPU, it contains as many reviews of
    the maximum length as fit into the tokens of one scoring batch. The size is rounded down to a divisor of
    the share.

    Args:
        reviews: the process's share of the batch.
        max_length: maximum number of tokens per review in training.
        bf16: whether training uses bfloat16, which halves the bytes of each token.
        divisor: reduces the size after memory ran out.
    """
    limit = reviews
    if not torch.cuda.is_available():
        max_tokens = scoring.TOKENS_A_BATCH["cpu"]
        if bf16:
            max_tokens *= 2
        limit = min(limit, max_tokens // max_length)
    return largest_divisor(reviews, limit // divisor)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of a number that does not exceed `limit`, and 1 if `limit` is 0."""
    divisors = [size for size in range(1, limit + 1) if number % size == 0]
    return max(divisors, default=1)
