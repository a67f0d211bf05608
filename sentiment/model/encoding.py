"""Encoding: reviews to token ids, and which part of a long review is kept."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sentiment.errors import InputError, extra, loading

Truncation = Literal["head", "tail", "head_tail"]
SHORTEST = 8  # tokens of a review: the least that params.yaml allows
MANY_UNKNOWN = 0.03  # a share of the tokens; of English reviews, models for English know all but some thousandths
T = TypeVar("T")


class Encoder:
    """Turns normalised reviews into the token ids that a model reads, special tokens included.

    `head` keeps the first tokens of a review that is too long, `tail` the last ones, and `head_tail` the first
    quarter and the last three: 128 and 382 of 510, as in Sun et al. 2019 (arXiv 1905.05583).

    Args:
        folder: a model with a tokenizer.
        max_length: the most tokens a review may have, special tokens included.
        truncation: the part of a longer review that is kept.

    Attributes:
        tokens: tokens of all reviews encoded so far, with those that were left out and without special tokens.
        unknown: those of them that the vocabulary does not have.

    Raises:
        InputError: there is no tokenizer in the folder that can be used, or it needs the extra `sentencepiece`.
    """

    def __init__(self, folder: str | Path, max_length: int, truncation: Truncation):
        self.max_length, self.truncation = max_length, truncation
        self.tokens = self.unknown = 0
        if any(Path(folder).glob("*.model")) and not Path(folder, "tokenizer.json").exists():
            with extra("sentencepiece"):
                import sentencepiece  # noqa: F401, I001
                import google.protobuf  # noqa: F401
        with loading(f"{folder}: the tokenizer"):
            self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
            dressed = self.tokenizer("a")["input_ids"]
            config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        starts = [i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare]
        # Without its files, transformers makes a tokenizer that knows no word, and says nothing.
        if not (bare and starts) or self.tokenizer.unk_token_id in bare:
            raise InputError(f"{folder}: the tokenizer's files are missing or incomplete: it cannot read 'a'")
        self._before, self._after = dressed[: starts[0]], dressed[starts[0] + len(bare) :]
        self._letter = bare[-1]
        # Tokenizers may have a few tokens more than the model, such as a mask, which no review has.
        self._vocabulary = (config.get("text_config") or config).get("vocab_size") or len(self.tokenizer)
        self._set_padding(str(folder))
        self.room = max_length - len(self._before) - len(self._after)
        head = {"head": self.room, "tail": 0, "head_tail": round(self.room * 128 / 510)}[truncation]
        self._head, self._tail = head, self.room - head

    def _set_padding(self, folder: str) -> None:
        """Let a decoder without a padding token use its end-of-text token, which no review has within."""
        for name in ("pad_token", "eos_token"):
            token, id = getattr(self.tokenizer, name), getattr(self.tokenizer, f"{name}_id")
            if id is not None and id < self._vocabulary:
                self.tokenizer.pad_token = token
                break
        else:
            raise InputError(
                f"{folder}: the tokenizer has neither a padding nor an end-of-text token that the model knows; name one of "
                f"its {self._vocabulary} tokens as pad_token in tokenizer_config.json"
            )
        if max(self._before + self._after, default=0) >= self._vocabulary:
            raise InputError(
                f"{folder}: the tokenizer has {len(self.tokenizer)} tokens, the model {self._vocabulary}, and it begins or "
                "ends reviews with one of those that the model does not have"
            )

    @property
    def ends(self) -> tuple[int, int]:
        """How many token ids of a longer review stay at its beginning and at its end, special tokens included."""
        return len(self._before) + self._head, self._tail + len(self._after)

    def __call__(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """Token ids of each review (lists of at most max_length), and how many reviews were cut."""
        batch = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        reviews = [self._known(ids) for ids in batch]
        self.tokens += sum(map(len, reviews))
        if (unknown := self.tokenizer.unk_token_id) is not None:
            self.unknown += sum(ids.count(unknown) for ids in reviews)
        encoded = [[*self._before, *self._cut(ids), *self._after] for ids in reviews]
        return encoded, sum(len(ids) > self.room for ids in reviews)

    @property
    def unknown_share(self) -> float:
        """Share of the tokens encoded so far that the vocabulary does not have."""
        return self.unknown / max(self.tokens, 1)

    def warning(self) -> str | None:
        """A line for people if many of the tokens are unknown, else None."""
        if self.unknown_share <= MANY_UNKNOWN:
            return None
        return (
            f"warning: the model's vocabulary does not have {self.unknown_share:.0%} of the reviews' tokens, of which it "
            "knows nothing; is it for this language, and for emoji?"
        )

    def filled(self, length: int) -> list[int]:
        """Token ids of a review of exactly `length` tokens, special tokens included, to try a model with."""
        return [*self._before, *[self._letter] * (length - len(self._before) - len(self._after)), *self._after]

    def located(self, text: str) -> tuple[list[int], list[tuple[int, int] | None]]:
        """Token ids as a call gives them for one review, and the characters of each: text[start:end], None: special."""
        tokens = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = [*self._before, *self._cut(self._known(tokens["input_ids"])), *self._after]
        return ids, [*(None for _ in self._before), *self._cut(tokens["offset_mapping"]), *(None for _ in self._after)]

    def _known(self, ids: list[int]) -> list[int]:
        """Token ids, of which those that the model does not have are unknown ones, or the padding of decoders."""
        if len(self.tokenizer) <= self._vocabulary:
            return ids
        unknown = self.tokenizer.unk_token_id
        other = self.tokenizer.pad_token_id if unknown is None else unknown
        return [id if id < self._vocabulary else other for id in ids]

    def _cut(self, tokens: list[T]) -> list[T]:
        if len(tokens) <= self.room:
            return tokens
        return tokens[: self._head] + tokens[len(tokens) - self._tail :]
