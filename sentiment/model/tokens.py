"""Tokenizers as encoding needs them: those of models written here by `tokenizers` alone, any other by transformers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Offsets = list[tuple[int, int]]


class Tokens(Protocol):
    """Turns texts into token ids."""

    def __len__(self) -> int:
        """How many tokens there are, added ones included."""

    def __call__(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:
        """Token ids of each text, without the special tokens around it or with them."""

    def located(self, text: str) -> tuple[list[int], Offsets]:
        """Token ids of a text without special ones, and the characters of each: text[start:end]."""

    def id_of(self, name: str) -> int | None:
        """The id of `unk_token`, `pad_token` or `eos_token`; None if there is no such token."""


class TransformersTokens:
    """The tokenizer of any model: a class of transformers, which may change at load what its files say."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase"):
        self._tokenizer = tokenizer

    def __len__(self) -> int:  # noqa: D105
        return len(self._tokenizer)

    def __call__(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:  # noqa: D102
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=special, verbose=False)[
            "input_ids"
        ]
        return ids

    def located(self, text: str) -> tuple[list[int], Offsets]:  # noqa: D102
        tokens = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return tokens["input_ids"], tokens["offset_mapping"]

    def id_of(self, name: str) -> int | None:  # noqa: D102
        id: int | None = getattr(self._tokenizer, f"{name}_id")
        return id


class WrittenTokens:
    """The tokenizer of a model that train wrote: tokenizer.json is the whole of it as it was in training.

    transformers takes seconds to import, and comes to the same ids (a test of every architecture).
    """

    def __init__(self, folder: Path):
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self._tokenizer.encode_special_tokens = bool(self._settings.get("split_special_tokens"))

    def __len__(self) -> int:  # noqa: D105
        return self._tokenizer.get_vocab_size()

    def __call__(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:  # noqa: D102
        return [each.ids for each in self._tokenizer.encode_batch(list(texts), add_special_tokens=special)]

    def located(self, text: str) -> tuple[list[int], Offsets]:  # noqa: D102
        tokens = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens.ids, tokens.offsets

    def id_of(self, name: str) -> int | None:  # noqa: D102
        token = self._settings.get(name)
        token = token["content"] if isinstance(token, dict) else token  # one that has settings of its own
        return None if token is None else self._tokenizer.token_to_id(token)
