"""Tokenizers: models that train saved need only the library `tokenizers`, any other model transformers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Offsets = list[tuple[int, int]]


class Tokenizer(Protocol):
    """Turns texts into token ids."""

    def __len__(self) -> int:
        """The number of tokens, added ones included."""

    def __call__(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:
        """Token ids of each text; `special` adds the special tokens around it."""

    def with_offsets(self, text: str) -> tuple[list[int], Offsets]:
        """Token ids of a text without special ones, and the offsets of each in it: text[start:end]."""

    def id_of(self, name: str) -> int | None:
        """The id of `unk_token`, `pad_token` or `eos_token`; None if the tokenizer has none."""


class TransformersTokenizer:
    """The tokenizer of any model, as transformers loads it; its class may override what the files say."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase"):
        self._tokenizer = tokenizer

    def __len__(self) -> int:  # noqa: D105
        return len(self._tokenizer)

    def __call__(self, texts: Sequence[str], special: bool = False) -> list[list[int]]:  # noqa: D102
        encoded = self._tokenizer(list(texts), add_special_tokens=special, verbose=False)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def with_offsets(self, text: str) -> tuple[list[int], Offsets]:  # noqa: D102
        tokens = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return tokens["input_ids"], tokens["offset_mapping"]

    def id_of(self, name: str) -> int | None:  # noqa: D102
        id: int | None = getattr(self._tokenizer, f"{name}_id")
        return id


class SavedTokenizer:
    """The tokenizer of a model that train saved: its tokenizer.json is complete.

    Loading it does not need transformers, whose import takes seconds. The ids are the same; a test compares
    them for every architecture.
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
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=special)
        return [encoding.ids for encoding in encodings]

    def with_offsets(self, text: str) -> tuple[list[int], Offsets]:  # noqa: D102
        tokens = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens.ids, tokens.offsets

    def id_of(self, name: str) -> int | None:  # noqa: D102
        token = self._settings.get(name)
        if isinstance(token, dict):  # a token with settings of its own
            token = token["content"]
        return None if token is None else self._tokenizer.token_to_id(token)
