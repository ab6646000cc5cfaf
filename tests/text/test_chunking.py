"""Chunks of long texts: nothing is lost, everything fits, and the work grows with the text."""

import json
import re
import time
from itertools import pairwise

import corpus
import examples
import pytest
import tokenizer_kinds
from examples import thinned
from hypothesis import given, settings
from hypothesis import strategies as st

from minembed import MinembedError
from minembed.text.chunking import RESPECT, chunk_text

# one of every kind of model: WordPiece, byte-level BPE (two), Unigram (two), whole words, BPE over all of a text
KINDS = ("bert", "roberta", "qwen", "xlm-roberta", "albert", "word-level", "gemma")
SPACE = re.compile(r"\s")
PARTS = [
    *corpus.SENTENCES[::3],
    *corpus.ODD[::2],
    *corpus.NAUGHTY[::5],
    *(
        "x" * 300,
        "ab" * 60,
        " ",
        "\n\n",
        "  \t ",
        ". ",
        "! ",
        "\u200b" * 40,
        "\x00\x01",
        "猫は屋根の上で眠ります。" * 9,
        "แมวนอน" * 20,
    ),
    *(
        "\ud83d\ude00",
        "\ud83d",
        "👩‍👩‍👧‍👦" * 5,
        "e\u0301\u0327" * 30,
        "ﷺ" * 3,
        "[SEP] <s> </s> <mask>",
        "https://a.b/c?d=e&f=" + "g" * 50,
    ),
]
texts = st.lists(st.sampled_from(PARTS) | st.text(max_size=20), max_size=25).map("".join)


@pytest.fixture(scope="module")
def tokenizers_of_all_kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: tokenizer_kinds.load(kind, folder / kind, limit=64) for kind in KINDS}


def check(chunks, text, tokenizer, limit, prompt=""):
    """What holds for all chunks."""
    at = 0
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text and chunk.text.strip() == chunk.text != ""
        assert not text[at : chunk.start].strip() and chunk.end > at  # nothing is left out, and all bring something new
        at = chunk.end
        assert chunk.n_tokens <= limit
        assert tokenizer([prompt + chunk.text]).n_tokens[0] == chunk.n_tokens
    assert not text[at:].strip()
    assert all(a.start < b.start for a, b in pairwise(chunks))


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_and_all_fits(kind, tokenizers_of_all_kinds):
    tokenizer = tokenizers_of_all_kinds[kind]

    @given(texts, st.integers(24, 64), st.sampled_from([0, 1, 5, 15]), st.sampled_from(RESPECT))
    @settings(max_examples=150 if examples.FULL else 50, deadline=None)
    def run(text, limit, overlap, respect):
        check(chunk_text(text, tokenizer, max_tokens=limit, overlap=overlap, respect=respect), text, tokenizer, limit)

    run()


@pytest.mark.fuzz
@pytest.mark.parametrize("respect", RESPECT)
def test_with_hardly_any_room(respect, tokenizers_of_all_kinds):
    tokenizer = tokenizers_of_all_kinds["bert"]

    @given(texts, st.integers(3, 8))
    @settings(max_examples=150 if examples.FULL else 50, deadline=None)
    def run(text, limit):
        try:
            chunks = chunk_text(text, tokenizer, max_tokens=limit, respect=respect)
        except MinembedError as error:
            place = int(re.match(r"character (\d+) of the text", str(error))[1])
            assert tokenizer([text[place]]).n_tokens[0] > limit
        else:
            check(chunks, text, tokenizer, limit)

    run()


def test_a_short_text_is_one_chunk_and_white_space_is_none(tiny_model):
    text = "  the cat in the house\n"
    (chunk,) = chunk_text(text, tiny_model)
    assert (chunk.text, chunk.start, chunk.end, chunk.n_tokens) == (text.strip(), 2, 22, 7)
    assert chunk_text("", tiny_model) == chunk_text(" \n\u3000", tiny_model) == []


def test_sentences_words_and_tokens(tiny_model):
    text = "the cat in the house. rain on the river today. a dog"
    by = {r: [c.text for c in chunk_text(text, tiny_model, max_tokens=11, respect=r)] for r in RESPECT}
    assert by["sentences"][0] == "the cat in the house."
    assert " ".join(by["words"]) == text and by["words"][0] != by["sentences"][0]
    assert "".join(by["tokens"]).replace(" ", "") == text.replace(" ", "")


def test_a_sentence_that_ends_early_does_not_end_a_chunk(tiny_model):
    text = "the cat. " + "rain on the river and the book in the house " * 4
    first, *_ = chunk_text(text, tiny_model, max_tokens=24)
    assert first.n_tokens > 12 and not first.text.endswith(".")


def test_paragraphs_end_sentences(tiny_model):
    text = "the cat in the house\n\nrain on the river and the book"
    assert chunk_text(text, tiny_model, max_tokens=10)[0].text == "the cat in the house"


def test_words_stay_whole_where_they_fit(tokenizers_of_all_kinds):
    text = " ".join(corpus.ENGLISH)
    words = {(m.start(), m.end()) for m in re.finditer(r"\S+", text)}
    for kind in KINDS:
        chunks = chunk_text(text, tokenizers_of_all_kinds[kind], max_tokens=40, overlap=8, respect="words")
        assert {c.start for c in chunks} <= {start for start, _ in words}, kind
        assert {c.end for c in chunks} <= {end for _, end in words}, kind


def test_a_word_that_fits_alone_is_not_cut_for_a_repetition(tokenizers_of_all_kinds):
    tokenizer = tokenizers_of_all_kinds["bert"]
    text = ("a b c d e f g h " * 6 + "wvk.wvk.wvk.wvk ") * 8
    words = {(m.start(), m.end()) for m in re.finditer(r"\S+", text)}
    limit = int(tokenizer(["wvk.wvk.wvk.wvk"]).n_tokens[0]) + 1
    for overlap in range(1, limit - 2):
        chunks = chunk_text(text, tokenizer, max_tokens=limit, overlap=overlap, respect="words")
        check(chunks, text, tokenizer, limit)
        assert {c.start for c in chunks} <= {start for start, _ in words}
        assert {c.end for c in chunks} <= {end for _, end in words}
        assert any(b.start < a.end for a, b in pairwise(chunks))


def test_chinese_is_cut_between_characters_and_repeated(tokenizers_of_all_kinds):
    text = "那只猫每天下午都在屋顶上睡觉" * 20
    chunks = chunk_text(text, tokenizers_of_all_kinds["bert"], max_tokens=22, overlap=5, respect="words")
    assert all(c.n_tokens == 22 for c in chunks[:-1])
    assert all(a.end - b.start == 5 for a, b in pairwise(chunks))


def test_overlap_is_at_most_so_many_tokens(tokenizers_of_all_kinds):
    text, tokenizer = " ".join(corpus.ENGLISH), tokenizers_of_all_kinds["bert"]
    for overlap in (1, 4, 12):
        chunks = chunk_text(text, tokenizer, max_tokens=40, overlap=overlap)
        repeated = [text[b.start : a.end] for a, b in pairwise(chunks)]
        counts = tokenizer(repeated).n_tokens - 2
        assert counts.max() <= overlap and (overlap < 12 or counts.mean() > overlap / 2)


def test_marks_and_surrogates_stay_with_their_character(tokenizers_of_all_kinds):
    for text in ("e\u0301" * 200, "\ud83d\ude00" * 100, "ก็" * 100):
        chunks = chunk_text(text, tokenizers_of_all_kinds["roberta"], max_tokens=30, respect="words")
        assert len(chunks) > 1 and all(c.start % 2 == 0 for c in chunks)


def test_prompt_is_counted(tokenizers_of_all_kinds):
    text, tokenizer = " ".join(corpus.ENGLISH), tokenizers_of_all_kinds["bert"]
    check(chunk_text(text, tokenizer, max_tokens=30, prompt="passage: "), text, tokenizer, 30, "passage: ")


def test_any_tokenizer_that_is_at_hand(tokenizers_of_all_kinds, tiny_model):
    own = tiny_model.engine.tokenizer
    text = "the cat in the house " * 30
    expected = chunk_text(text, tiny_model)
    assert len(expected) > 3 and chunk_text(text, own) == expected
    reference = type(own.reference).from_str(own.reference.to_str())
    reference.enable_truncation(8)
    reference.enable_padding(length=8)
    assert chunk_text(text, reference, max_tokens=32) == expected
    assert json.loads(reference.to_str())["truncation"]["max_length"] == 8  # the caller's is left as it was


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": 3}, "text is int"),
        ({"tokenizer_or_model": str}, "tokenizer_or_model is type"),
        ({"max_tokens": 33}, "max_tokens must be a whole number from 1 to 32"),
        ({"max_tokens": 0}, "max_tokens must"),
        ({"max_tokens": 2}, "leaves no room"),
        ({"prompt": "the cat " * 20}, "leaves no room"),
        ({"overlap": 30}, "overlap must be a whole number of tokens from 0 to 29"),
        ({"overlap": -1}, "overlap must"),
        ({"respect": "lines"}, "respect 'lines'"),
    ],
)
def test_what_is_refused(change, message, tiny_model):
    arguments = {"text": "the cat", "tokenizer_or_model": tiny_model} | change
    with pytest.raises(MinembedError, match=message):
        chunk_text(arguments.pop("text"), arguments.pop("tokenizer_or_model"), **arguments)


def test_a_tokenizer_without_limit_wants_one(tiny_model):
    with pytest.raises(MinembedError, match="max_tokens must be given"):
        chunk_text("the cat", tiny_model.engine.tokenizer.reference)


@pytest.mark.parametrize(
    "text",
    [
        " ".join(corpus.SENTENCES[::3]) + "\n",
        *thinned(
            [
                "x" * 1000,
                "\u200b" * 1000,
                " " * 1000 + "a",
                "。" * 1000,
                "\n" * 999 + "a",
                "a.b/" * 250,
                "a " + "b" * 998,
            ],
            2,
        ),
    ],
    ids=["prose", "one word", "spaces", "lines", "long words", "nothing", "stops", "signs"],
)
def test_time_is_linear(text, tokenizers_of_all_kinds):
    def seconds(times):
        start = time.process_time()
        check(chunk_text(text * times, tokenizer, max_tokens=64, overlap=8), text * times, tokenizer, 64)
        return time.process_time() - start

    tokenizer = tokenizers_of_all_kinds["bert"]
    few = max(seconds(20), 0.05)
    assert seconds(160) < 24 * few  # 8 times the text; 64 times the work would be quadratic
