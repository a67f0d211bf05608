"""Encoding: reviews to token ids, and how long reviews are truncated."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from sentiment.errors import InputError, extra, loading
from sentiment.model.tokens import SavedTokenizer, Tokenizer, TransformersTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Truncation = Literal["head", "tail", "head_tail"]
MIN_LENGTH = 8  # tokens per review: the lowest max_length that params.yaml allows
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

    Of a review that is too long, `head` keeps the first tokens and `tail` the last. `head_tail` keeps tokens
    from both ends, a quarter of them from the beginning: 128 and 382 of 510, as in Sun et al. 2019 (arXiv
    1905.05583).

    Args:
        folder: a model with a tokenizer.
        max_length: maximum number of tokens per review, special tokens included.
        truncation: which part of a longer review is kept.

    Attributes:
        padding: id of the padding token.

    Raises:
        InputError: the folder has no usable tokenizer, or it needs the extra `sentencepiece`.
    """

    def __init__(self, folder: str | Path, max_length: int, truncation: Truncation):
        self.folder, self.max_length, self.truncation = Path(folder), max_length, truncation
        with loading(f"{folder}: the tokenizer"):
            config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            self._tokenizer = self._load_tokenizer(saved_by_train="review_truncation" in config)
            (plain,) = self._tokenizer(["a"])
            (with_special,) = self._tokenizer(["a"], special=True)
        start = _find(plain, with_special)
        self._unknown_id = self._tokenizer.id_of("unk_token")
        # If its files are missing, transformers silently makes a tokenizer that knows no word.
        if not plain or start is None or self._unknown_id in plain:
            raise InputError(f"{folder}: the tokenizer's files are missing or incomplete: it cannot read 'a'")
        self._prefix, self._suffix = with_special[:start], with_special[start + len(plain) :]
        self._letter = plain[-1]
        # Tokenizers can have a few tokens that the model lacks, such as a mask, which no review contains.
        self._vocabulary = (config.get("text_config") or config).get("vocab_size") or len(self._tokenizer)
        self.padding = self._find_padding()
        self._room = max_length - len(self._prefix) - len(self._suffix)
        heads = {"head": self._room, "tail": 0, "head_tail": round(self._room * 128 / 510)}
        self._head = heads[truncation]
        self._tail = self._room - self._head

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer of transformers, which pads batches and can be saved."""
        from transformers import AutoTokenizer  # the import takes seconds

        if any(self.folder.glob("*.model")) and not (self.folder / "tokenizer.json").exists():
            with extra("sentencepiece"):
                import sentencepiece  # noqa: F401, I001
                import google.protobuf  # noqa: F401
        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    def _load_tokenizer(self, saved_by_train: bool) -> Tokenizer:
        if saved_by_train and (self.folder / "tokenizer.json").exists():
            return SavedTokenizer(self.folder)
        return TransformersTokenizer(self.tokenizer)

    def _find_padding(self) -> int:
        """The id of the padding token, or of the end-of-text token, which decoders without padding use.

        Raises:
            InputError: the model has neither, or lacks a special token that the tokenizer adds to each
                review.
        """
        padding = self._model_id_of("pad_token")
        end_of_text = self._model_id_of("eos_token")
        if padding is None:
            if end_of_text is None:
                raise InputError(
                    f"{self.folder}: the tokenizer has neither a padding nor an end-of-text token that the "
                    f"model knows; name one of its {self._vocabulary} tokens as pad_token in "
                    "tokenizer_config.json"
                )
            self.tokenizer.pad_token = self.tokenizer.eos_token
            padding = end_of_text
        if max(self._prefix + self._suffix, default=0) >= self._vocabulary:
            raise InputError(
                f"{self.folder}: the tokenizer has {len(self._tokenizer)} tokens, the model "
                f"{self._vocabulary}, and it adds a special token to reviews that the model lacks"
            )
        return padding

    def _model_id_of(self, name: str) -> int | None:
        """The id of a special token; None if the tokenizer or the model lacks it."""
        token = self._tokenizer.id_of(name)
        return token if token is not None and token < self._vocabulary else None

    @property
    def ends(self) -> tuple[int, int]:
        """How many ids at the beginning and end of a truncated review are kept, special tokens included."""
        return len(self._prefix) + self._head, self._tail + len(self._suffix)

    def __call__(self, texts: Sequence[str]) -> Encoded:
        """Encode reviews, and count their tokens. Several threads may call it at the same time."""
        encoded: list[list[int]] = []
        tokens = unknown = truncated = 0
        for ids in map(self._replace_missing, self._tokenizer(texts)):
            tokens += len(ids)
            if self._unknown_id is not None:
                unknown += ids.count(self._unknown_id)
            truncated += len(ids) > self._room
            encoded.append([*self._prefix, *self._truncate(ids), *self._suffix])
        return Encoded(encoded, tokens, unknown, truncated)

    def dummy(self, length: int) -> list[int]:
        """Token ids of a made-up review, to try a model: exactly `length` tokens, special ones included."""
        letters = length - len(self._prefix) - len(self._suffix)
        return [*self._prefix, *[self._letter] * letters, *self._suffix]

    def with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int] | None]]:
        """Encode one review, and locate its tokens in the text.

        Returns:
            Token ids, as from a call, and for each the offsets of its characters, text[start:end]; None for
            special tokens.
        """
        ids, offsets = self._tokenizer.with_offsets(text)
        encoded = [*self._prefix, *self._truncate(self._replace_missing(ids)), *self._suffix]
        located = [*[None] * len(self._prefix), *self._truncate(offsets), *[None] * len(self._suffix)]
        return encoded, located

    def _replace_missing(self, ids: list[int]) -> list[int]:
        """Replace ids that the model lacks by the unknown token, or by padding where there is none."""
        if len(self._tokenizer) <= self._vocabulary:
            return ids
        replacement = self.padding if self._unknown_id is None else self._unknown_id
        return [id if id < self._vocabulary else replacement for id in ids]

    def _truncate(self, tokens: list[T]) -> list[T]:
        if len(tokens) <= self._room:
            return tokens
        return tokens[: self._head] + tokens[len(tokens) - self._tail :]


def _find(part: list[int], whole: list[int]) -> int | None:
    """Index in `whole` at which `part` first begins, or None."""
    for start in range(len(whole)):
        if whole[start : start + len(part)] == part:
            return start
    return None
