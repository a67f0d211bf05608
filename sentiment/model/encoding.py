"""Encoding: reviews to token ids, and which part of a long review is kept."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from sentiment.errors import InputError, extra, loading
from sentiment.model.tokens import Tokens, TransformersTokens, WrittenTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Truncation = Literal["head", "tail", "head_tail"]
SHORTEST = 8  # tokens of a review: the least that params.yaml allows
T = TypeVar("T")


class Encoded(NamedTuple):
    """Encoded reviews, and counts of their tokens.

    Attributes:
        ids: token ids of each review, special tokens included: lists of at most `max_length`.
        tokens: tokens of all reviews before truncation, without special tokens.
        unknown: those of them that the vocabulary lacks.
        truncated: number of reviews that were truncated.
    """

    ids: list[list[int]]
    tokens: int
    unknown: int
    truncated: int


class Encoder:
    """Turns normalised reviews into the token ids that a model reads, special tokens included.

    `head` keeps the first tokens of a review that is too long, `tail` the last ones, and `head_tail` the first
    quarter and the last three: 128 and 382 of 510, as in Sun et al. 2019 (arXiv 1905.05583).

    Args:
        folder: a model with a tokenizer.
        max_length: the most tokens a review may have, special tokens included.
        truncation: the part of a longer review that is kept.

    Raises:
        InputError: there is no tokenizer in the folder that can be used, or it needs the extra `sentencepiece`.
    """

    def __init__(self, folder: str | Path, max_length: int, truncation: Truncation):
        self.folder, self.max_length, self.truncation = Path(folder), max_length, truncation
        with loading(f"{folder}: the tokenizer"):
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            self._tokens = self._read_tokens(written="review_truncation" in config)
            (bare,), (dressed,) = self._tokens(["a"]), self._tokens(["a"], special=True)
        starts = [i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare]
        self._unknown_id = self._tokens.id_of("unk_token")
        # Without its files, transformers makes a tokenizer that knows no word, and says nothing.
        if not (bare and starts) or self._unknown_id in bare:
            raise InputError(f"{folder}: the tokenizer's files are missing or incomplete: it cannot read 'a'")
        self._before, self._after = dressed[: starts[0]], dressed[starts[0] + len(bare) :]
        self._letter = bare[-1]
        # Tokenizers may have a few tokens more than the model, such as a mask, which no review has.
        self._vocabulary = (config.get("text_config") or config).get("vocab_size") or len(self._tokens)
        self.padding = self._find_padding()
        self.room = max_length - len(self._before) - len(self._after)
        head = {"head": self.room, "tail": 0, "head_tail": round(self.room * 128 / 510)}[truncation]
        self._head, self._tail = head, self.room - head

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer as transformers has it, which pads batches and can be saved."""
        from transformers import AutoTokenizer  # late: it takes seconds

        if any(self.folder.glob("*.model")) and not (self.folder / "tokenizer.json").exists():
            with extra("sentencepiece"):
                import sentencepiece  # noqa: F401, I001
                import google.protobuf  # noqa: F401
        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    def _read_tokens(self, written: bool) -> Tokens:
        """The tokenizer of a model that train wrote (`written`), or of any other."""
        if written and (self.folder / "tokenizer.json").exists():
            return WrittenTokens(self.folder)
        return TransformersTokens(self.tokenizer)

    def _find_padding(self) -> int:
        """The id of the padding token; a decoder without one uses its end-of-text token, which no review has within."""
        ids = {name: self._tokens.id_of(name) for name in ("pad_token", "eos_token")}
        known = {name: id for name, id in ids.items() if id is not None and id < self._vocabulary}
        if not known:
            raise InputError(
                f"{self.folder}: the tokenizer has neither a padding nor an end-of-text token that the model knows; name one "
                f"of its {self._vocabulary} tokens as pad_token in tokenizer_config.json"
            )
        if "pad_token" not in known:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        if max(self._before + self._after, default=0) >= self._vocabulary:
            raise InputError(
                f"{self.folder}: the tokenizer has {len(self._tokens)} tokens, the model {self._vocabulary}, and it begins or "
                "ends reviews with one of those that the model does not have"
            )
        return next(iter(known.values()))

    @property
    def ends(self) -> tuple[int, int]:
        """How many token ids of a longer review stay at its beginning and at its end, special tokens included."""
        return len(self._before) + self._head, self._tail + len(self._after)

    def __call__(self, texts: Sequence[str]) -> Encoded:
        """Encode reviews, and count their tokens. Several threads may call it at the same time."""
        encoded: list[list[int]] = []
        tokens = unknown = truncated = 0
        for ids in map(self._known, self._tokens(texts)):
            tokens += len(ids)
            if self._unknown_id is not None:
                unknown += ids.count(self._unknown_id)
            truncated += len(ids) > self.room
            encoded.append([*self._before, *self._cut(ids), *self._after])
        return Encoded(encoded, tokens, unknown, truncated)

    def filled(self, length: int) -> list[int]:
        """Token ids of a review of exactly `length` tokens, special tokens included, to try a model with."""
        return [
            *self._before,
            *[self._letter] * (length - len(self._before) - len(self._after)),
            *self._after,
        ]

    def located(self, text: str) -> tuple[list[int], list[tuple[int, int] | None]]:
        """Token ids as a call gives them for one review, and the characters of each: text[start:end], None: special."""
        ids, offsets = self._tokens.located(text)
        around = [None] * len(self._before), [None] * len(self._after)
        dressed = [*self._before, *self._cut(self._known(ids)), *self._after]
        return dressed, [*around[0], *self._cut(offsets), *around[1]]

    def _known(self, ids: list[int]) -> list[int]:
        """Token ids, of which those that the model does not have are unknown ones, or the padding of decoders."""
        if len(self._tokens) <= self._vocabulary:
            return ids
        other = self.padding if self._unknown_id is None else self._unknown_id
        return [id if id < self._vocabulary else other for id in ids]

    def _cut(self, tokens: list[T]) -> list[T]:
        if len(tokens) <= self.room:
            return tokens
        return tokens[: self._head] + tokens[len(tokens) - self._tail :]
