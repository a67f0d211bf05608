"""Encoding: reviews to token ids, and which part of a long review is kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sentiment.errors import InputError, loading

Truncation = Literal["head", "tail", "head_tail"]
T = TypeVar("T")


class Encoder:
    """Turns normalised reviews into the token ids that a model reads, special tokens included.

    `head` keeps the first tokens of a review that is too long, `tail` the last ones, and `head_tail` the first
    quarter and the last three: 128 and 382 of 510, as in Sun et al. 2019 (arXiv 1905.05583).

    Args:
        folder: a model with a tokenizer.
        max_length: the most tokens a review may have, special tokens included.
        truncation: the part of a longer review that is kept.

    Raises:
        InputError: there is no tokenizer in the folder that can be used.
    """

    def __init__(self, folder: str | Path, max_length: int, truncation: Truncation):
        self.max_length, self.truncation = max_length, truncation
        with loading(f"{folder}: the tokenizer"):
            self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
            dressed = self.tokenizer("a")["input_ids"]
        starts = [i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare]
        # Without its files, transformers makes a tokenizer that knows no word, and says nothing.
        if not (bare and starts) or self.tokenizer.unk_token_id in bare:
            raise InputError(f"{folder}: the tokenizer's files are missing or incomplete: it cannot read 'a'")
        if self.tokenizer.pad_token_id is None:
            raise InputError(f"{folder}: the tokenizer has no padding token, which batches need")
        self._before, self._after = dressed[: starts[0]], dressed[starts[0] + len(bare) :]
        self.room = max_length - len(self._before) - len(self._after)
        head = {"head": self.room, "tail": 0, "head_tail": round(self.room * 128 / 510)}[truncation]
        self._head, self._tail = head, self.room - head

    @property
    def ends(self) -> tuple[int, int]:
        """How many token ids of a longer review stay at its beginning and at its end, special tokens included."""
        return len(self._before) + self._head, self._tail + len(self._after)

    def __call__(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """Token ids of each review (lists of at most max_length), and how many reviews were cut."""
        tokens = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        encoded = [[*self._before, *self._cut(ids), *self._after] for ids in tokens]
        return encoded, sum(len(ids) > self.room for ids in tokens)

    def located(self, text: str) -> tuple[list[int], list[tuple[int, int] | None]]:
        """Token ids as a call gives them for one review, and the characters of each: text[start:end], None: special."""
        tokens = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = [*self._before, *self._cut(tokens["input_ids"]), *self._after]
        return ids, [*(None for _ in self._before), *self._cut(tokens["offset_mapping"]), *(None for _ in self._after)]

    def _cut(self, tokens: list[T]) -> list[T]:
        if len(tokens) <= self.room:
            return tokens
        return tokens[: self._head] + tokens[len(tokens) - self._tail :]
