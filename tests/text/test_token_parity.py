"""Token ids are those of the reference: stored ones of transformers, and `tokenizers` itself on 20,000 strings."""

import json
from pathlib import Path

import corpus
import numpy as np
import pytest
from examples import examples, heavy, thinned
from hypothesis import given
from hypothesis import strategies as st
from places import GOLDENS_FOLDER
from tokenizers import Tokenizer as Reference

pytestmark = pytest.mark.weights
GOLDEN = GOLDENS_FOLDER / "minilm_tokens.npz"
PIECES = corpus.NAUGHTY + corpus.SENTENCES + corpus.ODD
# the parts of long strings: what fills thousands of characters with few tokens, or none, or a token each
FILLERS = [" ", "\n", "\u3000", "\x0c", "\x00", "\u0301", "\u200d", "\u00ad", "\ufffd", "naïve\u2003"]
FILLERS += "a ab é e\u0301 中 文a が 한 ş \U00020000 🙂 👩\u200d🚀 . — ، । [SEP] [MASK] [UNK a- ##ing".split()
FILLERS += ["the ", "don't ", "x" * 99, "x" * 101, "y" * 150 + "—", "[MASK] ", "[SEP]中"]


@pytest.fixture(scope="module")
def reference(minilm):
    """The tokenizer that sentence-transformers would use, with the model's limit."""
    tokenizer = Reference.from_file(str(Path(minilm.info()["folder"]) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(minilm.max_seq_length)
    return tokenizer


def assert_same_ids(minilm, reference, texts):
    tokens = minilm.tokenize(texts)
    expected = [encoding.ids for encoding in reference.encode_batch(texts)]
    lengths = np.array([len(ids) for ids in expected])
    wrong = np.flatnonzero(tokens.lengths() != lengths)
    assert not len(wrong), texts[wrong[0]]
    wrong = np.flatnonzero(tokens.ids != np.concatenate(expected))
    assert not len(wrong), texts[int(np.searchsorted(tokens.cu_seqlens, wrong[0], side="right")) - 1]
    assert not tokens.types.any()


def test_the_corpus_and_the_naughty_strings_as_transformers(minilm):
    with np.load(GOLDEN) as golden:
        texts = corpus.texts() + corpus.NAUGHTY
        assert corpus.digest(texts) == str(golden["texts_sha256"]), "the corpus changed: make the goldens again"
        assert "transformers" in json.loads(str(golden["about"]))["versions"]
        tokens = minilm.tokenize(texts)
        np.testing.assert_array_equal(tokens.cu_seqlens, golden["cu_seqlens"])
        np.testing.assert_array_equal(tokens.ids, golden["ids"])


def test_truncation_is_reported(minilm, reference):
    texts = corpus.texts() + corpus.NAUGHTY
    tokens = minilm.tokenize(texts)
    reference.no_truncation()
    whole = np.array([len(encoding.ids) for encoding in reference.encode_batch(texts)])
    reference.enable_truncation(minilm.max_seq_length)
    np.testing.assert_array_equal(tokens.truncated, whole > minilm.max_seq_length)
    np.testing.assert_array_equal(tokens.n_tokens[~tokens.lower_bound], whole[~tokens.lower_bound])
    assert (tokens.n_tokens <= whole).all() and (tokens.n_tokens[tokens.lower_bound] > minilm.max_seq_length).all()


# 5,000 strings that Hypothesis makes of any characters and of the pieces: it knows better what is odd, and shrinks
@examples(250)
@given(
    texts=st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
            st.lists(st.sampled_from(PIECES), min_size=2, max_size=4).map("".join),
        ),
        min_size=20,
        max_size=20,
    )
)
def test_generated_strings(minilm, reference, texts):
    assert_same_ids(minilm, reference, texts)


@pytest.mark.parametrize("thousands", [3, *heavy([14])])
def test_spliced_strings(minilm, reference, thousands, amount):
    """Thousands of strings spliced of two pieces and of characters from everywhere."""
    strings = corpus.spliced(amount.seed(31), PIECES)
    for _ in range(amount.rounds(thousands, each=1000)):
        assert_same_ids(minilm, reference, [next(strings) for _ in range(1000)])


@pytest.mark.parametrize("hundreds", [1, *heavy([12])])
def test_long_strings(minilm, reference, hundreds, amount):
    """Strings of 2,000 to 30,000 characters: their beginnings alone are tokenized, and that must not show."""
    dice = corpus.Dice(amount.seed(32))

    def long():
        length, parts = 2000 + dice.below(dice.pick([3000, 10_000, 28_000])), []
        while length > 0:
            part = dice.pick([dice.pick(FILLERS), dice.pick(PIECES)])
            part *= 1 + dice.below(dice.pick([1, 3, 30, 1000, 6000]))
            parts.append(part[:12_000])
            length -= len(parts[-1])
        return "".join(parts)

    for _ in range(amount.rounds(hundreds, each=100)):
        assert_same_ids(minilm, reference, [long() for _ in range(100)])


@pytest.mark.parametrize("filler", thinned(FILLERS, 4), ids=lambda filler: ascii(filler)[:12])
def test_one_thing_and_nothing_else(minilm, reference, filler):
    """A run of one thing, alone and before and after words: each end of the cut."""
    runs = [filler * (n // len(filler) + 1) for n in (4000, 9000, 40_000)]
    texts = [f"{before}{run}{after}" for run in runs for before in ("", "word ") for after in ("", " word" * 300)]
    assert_same_ids(minilm, reference, texts)
