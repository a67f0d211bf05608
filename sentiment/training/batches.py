"""Training batches of reviews of like length, and the micro-batches that they are cut into."""

from collections.abc import Iterator, Sequence

import torch
from transformers.trainer_pt_utils import get_length_grouped_indices


class LengthGrouped(torch.utils.data.Sampler[int]):
    """Rows in shuffled batches of like length, all of them whole: an epoch leaves out what is over.

    Where there are not enough rows for one batch, they are the batch. The order follows from seed and epoch alone;
    that of Trainer's own `group_by_length` depends on the number of processes, and goes from long to short.
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


def micro_batch_size(share: int, most: int) -> int:
    """The most reviews that divide a process's share of the batch and are no more than `most`, at least one."""
    return max((size for size in range(1, most + 1) if share % size == 0), default=1)
