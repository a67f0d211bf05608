"""Labels: the meaning of a value by dataset.yaml and the data's own names, and advice for unknown values."""

import pytest

from sentiment.data.labels import LabelColumn, Meaning, Vocabulary, spelling, unwrapped
from sentiment.data.row import Row
from sentiment.errors import InputError
from sentiment.labels import SPELLINGS

USUAL: dict[Meaning, set[str]] = {
    "negative": SPELLINGS[0],
    "positive": SPELLINGS[1],
    "unlabelled": set(),
    "ignore": {"unsup"},
}
THREE: dict[Meaning, set[str]] = {"negative": {"0"}, "positive": {"2"}, "ignore": {"1"}}
BY_NAMES: dict[Meaning, set[str]] = {"negative": {"-1"}, "positive": {"1"}, "ignore": {"0"}}
KINDS = {"negative": "-", "positive": "+", "ignore": "i", None: "?"}


def vocabulary(names: list[str] | None, listed: dict[Meaning, set[str]]) -> Vocabulary:
    """The meaning of labels if dataset.yaml lists these values."""
    usual: dict[Meaning, set[str]] = {"unlabelled": set(), "ignore": {"unsup"}}
    return Vocabulary((usual if "negative" in listed else USUAL) | listed, listed, names, "reviews.parquet")


@pytest.mark.parametrize(
    ("names", "given", "meanings"),
    [
        (None, {}, "-+?"),
        (["negative", "positive"], {}, "-+?"),
        (["positive", "negative"], {}, "+-?"),
        ([" POS", "Neg"], {}, "+-?"),
        (["neutral", "positive", "negative"], {}, "?+-"),
        (["neutral", "positive", "negative"], {"ignore": {"neutral"}}, "i+-"),
        (["negative", "neutral", "positive"], THREE, "-i+"),
        (["good", "bad"], {}, "???"),
        (["good", "bad"], {"negative": {"bad"}, "positive": {"good"}}, "+-?"),
        (["good", "bad"], {"negative": {"1"}, "positive": {"0"}}, "+-?"),
        (["positive", "negative"], {"negative": {"positive"}, "positive": {"negative"}}, "-+?"),
        # Names that say no more than the numbers, as ClassLabel(num_classes=2) has them.
        (["0", "1"], {}, "-+?"),
        (["LABEL_0", "LABEL_1"], {}, "-+?"),
        # Names that are other numbers: dataset.yaml may list names, or the numbers in the file, if all of
        # either.
        (["1", "2"], {}, "+??"),
        (["1", "2"], {"negative": {"1"}, "positive": {"2"}}, "-+?"),
        (["1", "2"], {"negative": {"0"}, "positive": {"1"}}, "-+?"),
        (["-1", "0", "1"], BY_NAMES, "-i+"),
        (["-1", "0", "1"], THREE, "-i+"),
    ],
)
def test_the_names_of_numbers_decide(
    names: list[str] | None, given: dict[Meaning, set[str]], meanings: str
) -> None:
    labels = vocabulary(names, given)
    assert "".join(KINDS[labels.meaning(number)] for number in range(3)) == meanings
    assert "".join(KINDS[labels.meaning(float(number))] for number in range(3)) == meanings


@pytest.mark.parametrize(
    ("names", "given"),
    [
        (["positive", "negative"], {"negative": {"0"}, "positive": {"1"}}),
        (["negative", "neutral", "positive"], {"negative": {"1"}, "positive": {"2"}, "ignore": {"0"}}),
        (["1", "0"], {"negative": {"0"}, "positive": {"1"}}),
    ],
)
def test_names_that_contradict_dataset_yaml_are_refused(
    names: list[str], given: dict[Meaning, set[str]]
) -> None:
    with pytest.raises(InputError, match="reviews.parquet: the data's own names say that label 0 is"):
        vocabulary(names, given)


def test_labels_of_a_file_that_has_words_mean_what_they_say() -> None:
    labels = vocabulary(["positive", "negative"], {})
    assert [labels.meaning(value) for value in ("negative", "Positive", "0", True)] == [
        "negative",
        "positive",
        "positive",
        "positive",
    ]


def test_numbers_without_names_are_refused_beside_a_file_that_names_them_otherwise() -> None:
    for names, refused in ((["positive", "negative"], True), (["neg", "pos"], False)):
        column = LabelColumn("label", USUAL, {})
        column.add("named.parquet", names)
        row = Row(1, {"label": 0}, where="plain.csv")
        if refused:
            with pytest.raises(
                InputError, match="label 0 has no name in this file, and named.parquet names its labels"
            ):
                column.meaning(row)
        else:
            assert column.meaning(row) == "negative"
        assert column.meaning(Row(1, {"label": "pos"}, where="plain.csv")) == "positive"


@pytest.mark.parametrize(
    ("found", "advice"),
    [
        ("-1 0 1", "{negative: [-1], ignore: [0], positive: [1]}"),
        ("-1 0", "{negative: [-1], ignore: [0], positive: [1]}"),
        ("-1 1", "{negative: [-1], positive: [1]}"),
        ("0 1 2", "{negative: [0], ignore: [1], positive: [2]}"),
        ("0 1 2 3 4", "{negative: [0, 1], ignore: [2], positive: [3, 4]}"),
        ("0 2 4", "{negative: [0, 1], ignore: [2], positive: [3, 4]}"),
        ("0 4", "{negative: [0], positive: [4]}"),
        ("1 2", "{negative: [1], positive: [2]}"),
        ("1 2 3 4 5", "{negative: [1, 2], ignore: [3], positive: [4, 5]}"),
        ("1 2 3 4 7 8 9 10", "{negative: [1, 2, 3, 4], ignore: [5, 6], positive: [7, 8, 9, 10]}"),
        ("0 0.5 1", "{negative: [0], ignore: [0.5], positive: [1]}"),
        ("1 2.5 3 4.5", "{negative: [1], ignore: [2.5, 3], positive: [4.5]}"),
        ("0.08 0.73", "scores from 0.08 to 0.73"),
        (" ".join(map(str, range(101))), "scores from 0 to 100"),
        ("2", "{negative: […], positive: […], ignore: […]}"),
        ("3 4", "{negative: […], positive: […], ignore: […]}"),
        ("bad positive negative", "{negative: […], positive: […], ignore: […]}"),
        ("neutral positive negative", "{ignore: [neutral]}"),
        ("-1 positive negative", "{ignore: [-1]}"),
    ],
)
def test_advice_never_discards_a_class(found: str, advice: str) -> None:
    values = found.split()
    unknown = next(value for value in values if vocabulary(None, {}).meaning(value) is None)
    assert advice in vocabulary(None, {}).advice(unknown, set(values))
    ones: dict[Meaning, set[str]] = {"negative": {"0"}, "positive": {"1"}}
    if values[0] != "bad" and "positive" not in values:
        assert advice in vocabulary(None, ones).advice(
            unknown, set(values)
        )  # as it is where nothing is listed


def test_a_number_between_the_classes_may_be_ignored_and_no_other() -> None:
    labels = vocabulary(None, {"negative": {"1", "2"}, "positive": {"4", "5"}})
    assert labels.advice("3", {"1", "2", "3"}).startswith(
        "`labels: {negative: […], positive: […], ignore: [3]}`"
    )
    assert "ignore: [0]" not in labels.advice("0", {"0", "1", "2"})


def test_ignoring_a_number_beside_0_and_1_needs_both_classes() -> None:
    column = LabelColumn("label", USUAL | {"ignore": {"-1"}}, {"ignore": {"-1"}})
    assert column.meaning(Row(1, {"label": -1})) == "ignore"
    assert column.meaning(Row(2, {"label": "neg"})) == "negative"
    with pytest.raises(
        InputError, match=r"label -1 is ignored beside 0 and 1, .* `labels: {negative: \[-1\], ignore: "
    ):
        column.meaning(Row(3, {"label": 1}))
    given: dict[Meaning, set[str]] = {"negative": {"0"}, "positive": {"1"}, "ignore": {"-1"}}
    column = LabelColumn("label", given, given)
    assert [column.meaning(Row(1, {"label": value})) for value in (-1, 0, 1)] == [
        "ignore",
        "negative",
        "positive",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["positive"], "positive"),
        ([["positive"]], "positive"),
        ({"choices": ["positive"]}, "positive"),
        ([{"label": 1}], 1),
        ([], None),
        ({"choices": []}, None),
        (["a", "b"], ["a", "b"]),
        ({"value": "a", "status": "discarded"}, {"value": "a", "status": "discarded"}),
    ],
)
def test_a_list_of_one_is_its_label(value: object, expected: object) -> None:
    assert unwrapped(value) == expected


def test_values_that_mean_the_same_are_spelled_the_same() -> None:
    assert spelling(" Ne\u0301gatif ") == spelling("n\u00e9gatif") == "n\u00e9gatif"
    assert spelling(2.0) == spelling("2.") == spelling("+2") == "2"
    assert spelling(float("nan")) == spelling(None) == spelling(" ") == ""
