"""Masking: what is chosen and what becomes of it, in every kind of vocabulary; the same again for the same step."""

import itertools
import warnings

import golden_heads as goldens
import numpy as np
import pytest
import tokenizer_kinds as kinds
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import VOCABULARY
from tokenizers import AddedToken, models
from tokenizers import Tokenizer as Reference

from minembed.errors import InputError, TokenizationError
from minembed.text.tokenizer import Tokenizer
from minembed.train.masking import Masked, Words, mask_tokens, words_of
from minembed.transformer.tokens import Tokens
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.directory import read_checkpoint

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def words(V=1000, special=5, begins=None):
    """A vocabulary whose first ids are special; 4 is the mask."""
    return Words(4, np.arange(V) >= special, np.ones(V, np.bool_) if begins is None else begins)


def tokens_of(*texts):
    ids = np.concatenate([np.array([2, *text, 3]) for text in texts]).astype(np.int32)
    return Tokens(ids, np.zeros_like(ids), np.cumsum([0, *(len(text) + 2 for text in texts)]))


def many(n=20_000, seed=0):
    rng = np.random.default_rng(seed)
    return tokens_of(*np.split(rng.integers(5, 1000, n), n // 50))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint = read_checkpoint(goldens.write_checkpoint("bert", "masked", tmp_path_factory.mktemp("bert")))
    return Tokenizer.load(checkpoint.folder / "tokenizer.json", 41, checkpoint.config), checkpoint


# ---- what is chosen ----


def test_shares():
    tokens = many()
    masked = mask_tokens(tokens, words(), seed=1, step=2)
    now, before, n = masked.tokens.ids[masked.positions], masked.labels, len(masked.labels)
    np.testing.assert_array_equal(before, tokens.ids[masked.positions])
    hidden, kept = (now == 4).mean(), (now == before).mean()
    # 20,000 tokens, 3,000 chosen: four standard deviations
    assert abs(n / 20_000 - 0.15) < 4 * np.sqrt(0.15 * 0.85 / 20_000)
    assert abs(hidden - 0.8) < 4 * np.sqrt(0.16 / n) and abs(kept - 0.1) < 4 * np.sqrt(0.09 / n)
    other = now[(now != 4) & (now != before)]
    assert len(np.unique(other)) > 200 and other.min() < 100 and other.max() > 900


def test_nothing_else_changes():
    tokens = many(1000)
    before = tokens.ids.copy()
    masked = mask_tokens(tokens, words(), seed=1, step=2)
    np.testing.assert_array_equal(tokens.ids, before)  # the caller's texts
    others = np.setdiff1d(np.arange(len(before)), masked.positions)
    np.testing.assert_array_equal(masked.tokens.ids[others], before[others])
    assert masked.tokens.cu_seqlens is tokens.cu_seqlens and masked.tokens.ids.dtype == tokens.ids.dtype
    assert masked.positions.dtype == masked.labels.dtype == np.int64
    assert (np.diff(masked.positions) > 0).all()


def test_special_tokens_are_neither_chosen_nor_put_in():
    rng = np.random.default_rng(0)
    tokens = tokens_of(rng.integers(0, 12, 5000))  # many of them special, the unknown word and masks too
    masked = mask_tokens(tokens, words(12), seed=0, step=0, mask_replace_prob=0.0, random_replace_prob=1.0)
    assert masked.labels.min() >= 5 and masked.tokens.ids[masked.positions].min() >= 5
    everything = mask_tokens(tokens, words(12), seed=0, step=0, mlm_probability=1.0)
    np.testing.assert_array_equal(everything.positions, np.flatnonzero(tokens.ids >= 5))


@pytest.mark.parametrize(("mask", "random", "expected"), [(1.0, 0.0, "mask"), (0.0, 0.0, "same"), (0.0, 1.0, "other")])
def test_each_fate_alone(mask, random, expected):
    masked = mask_tokens(many(2000), words(), seed=0, step=0, mask_replace_prob=mask, random_replace_prob=random)
    now, before = masked.tokens.ids[masked.positions], masked.labels
    assert (now == 4).all() == (expected == "mask") and (now == before).all() == (expected == "same")


def test_a_step_can_be_repeated_and_no_two_are_alike():
    tokens = many(2000)
    found = [mask_tokens(tokens, words(), seed=seed, step=step) for seed, step in [(1, 5), (1, 5), (1, 6), (2, 5)]]
    assert_same(found[0], found[1])
    for other in found[2:]:
        assert not np.array_equal(other.positions, found[0].positions)
        both = np.intersect1d(other.positions, found[0].positions)
        assert len(both) < 0.3 * len(other.positions)  # 0.15 of them by chance


def assert_same(a: Masked, b: Masked):
    np.testing.assert_array_equal(a.positions, b.positions)
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.tokens.ids, b.tokens.ids)


def test_the_numbers_are_these_on_every_machine():
    masked = mask_tokens(tokens_of(range(10, 40)), words(), seed=2**64 - 1, step=4)
    assert masked.positions.tolist() == [7, 17, 21, 27, 28]
    assert masked.tokens.ids[masked.positions].tolist() == [4, 747, 261, 4, 4]


def test_texts_of_special_tokens_alone():
    masked = mask_tokens(tokens_of([], []), words(), seed=0, step=0, mlm_probability=1.0)
    assert masked.positions.shape == masked.labels.shape == (0,)
    nothing = Tokens(np.zeros(0, np.int32), np.zeros(0, np.int32), np.array([0]))
    assert mask_tokens(nothing, words(), seed=0, step=0).positions.shape == (0,)


# ---- whole words ----


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 11), max_size=12), min_size=1, max_size=4), st.integers(0, 2**64 - 1))
def test_words_are_chosen_whole(texts, step):
    begins = np.arange(12) < 9  # 9, 10 and 11 go on a word
    tokens, vocabulary = tokens_of(*texts), words(12, begins=begins)
    masked = mask_tokens(tokens, vocabulary, seed=0, step=step, mlm_probability=0.4)
    chosen = np.zeros(len(tokens.ids), bool)
    chosen[masked.positions] = True
    ends = set(tokens.cu_seqlens.tolist())
    for i in range(1, len(chosen)):
        here, before = tokens.ids[i], tokens.ids[i - 1]
        if here >= 9 and before >= 5 and i not in ends:  # goes on the word of the token before
            assert chosen[i] == chosen[i - 1]
    assert (tokens.ids[masked.positions] >= 5).all()


def test_the_share_of_tokens_is_the_same_for_whole_words():
    begins = np.arange(1000) < 600
    masked = mask_tokens(many(), words(begins=begins), seed=1, step=2)
    # words of 1.7 pieces on average, up to 10: the deviation of the share is about twice that of single tokens
    assert abs(len(masked.positions) / 20_000 - 0.15) < 8 * np.sqrt(0.15 * 0.85 / 20_000)


# ---- vocabularies ----


def test_a_vocabulary_of_wordpiece(tiny):
    found = words_of(*tiny, whole_words=True)
    assert found.mask == VOCABULARY.index("[MASK]")
    assert np.flatnonzero(found.known).tolist() == list(range(len(SPECIAL), len(VOCABULARY)))  # of 157 rows
    assert [i for i, word in enumerate(VOCABULARY) if not found.begins[i]] == [
        i for i, word in enumerate(VOCABULARY) if word.startswith("##")
    ]
    assert words_of(*tiny).begins.all()
    tokens = tiny[0](["unable to be read, a cat's tree"] * 50)
    masked = mask_tokens(tokens, found, seed=0, step=0, mlm_probability=0.5)
    assert len(masked.positions) and not set(masked.labels.tolist()) & {VOCABULARY.index(s) for s in SPECIAL}


BEGINNINGS = dict.fromkeys(("roberta", "roberta-prefix-space", "vocab-roberta", "modernbert"), "Ġ")
BEGINNINGS |= dict.fromkeys(("xlm-roberta", "xlm-roberta-newer", "camembert", "albert"), "▁")


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_vocabularies_in_which_spaces_show_words(kind, tmp_path):
    tokenizer = kinds.load(kind, tmp_path / "a")
    checkpoint = Checkpoint(tmp_path / "a", "roberta", kinds.config(kind), ("mean",), 64)
    found = words_of(tokenizer, checkpoint, whole_words=True)
    begin, pieces = BEGINNINGS[kind], tokenizer.reference.get_vocab()
    special = {i for i, token in tokenizer.reference.get_added_tokens_decoder().items() if token.special}
    assert not found.known[sorted(special)].any() and found.mask in special
    for piece, i in pieces.items():
        if found.known[i] and piece.startswith(begin):
            assert found.begins[i]
    tokens = tokenizer(["mathematics of extraordinarily unpronounceable words"] * 40)
    masked = mask_tokens(tokens, found, seed=1, step=1, mlm_probability=0.3)
    text, at = tokenizer.reference.encode("mathematics of extraordinarily unpronounceable words"), tokens.cu_seqlens
    parts = [i for i in text.word_ids if i is not None]
    assert len(set(parts)) == 5
    for start, stop in itertools.pairwise(at):
        inside = masked.positions[(masked.positions >= start) & (masked.positions < stop)] - start
        chosen = {text.word_ids[i] for i in inside.tolist()}
        assert len(inside) == sum(part in chosen for part in parts)  # each with all of its pieces


def small(pieces, **options):
    reference = Reference(models.WordLevel({p: i for i, p in enumerate(pieces)}, unk_token=pieces[0]))
    reference.add_special_tokens(["[MASK]"])
    reference.add_tokens([AddedToken(word, special=False) for word in options.get("added", ())])
    return reference


def look(reference, tmp_path, V=8, **options):
    config = kinds.config(kinds.KINDS[0], vocab_size=V, type_vocab_size=2)
    tokenizer = Tokenizer(reference, 16, config)
    return words_of(tokenizer, Checkpoint(tmp_path, "bert", config, ("mean",), 16), **options)


def test_words_that_have_no_weights_are_left_out(tmp_path):
    found = look(small(["[UNK]", "a", "b", "[MASK]"], added=["inside", "outside"]), tmp_path, V=5)
    assert found.known.tolist() == [False, True, True, False, True] and found.mask == 3


def test_ids_that_no_word_has_are_left_out(tmp_path):
    assert look(small(["[UNK]", "a", "[MASK]"]), tmp_path).known.tolist() == [False, True, *[False] * 6]


def test_pieces_that_do_not_show_words(tmp_path):
    with pytest.raises(InputError, match="do not show where words begin"):
        look(small(["[UNK]", "a", "b", "[MASK]"]), tmp_path, whole_words=True)


def test_added_words_are_whole(tmp_path):
    reference = small(["[UNK]", "Ġa", "b", "[MASK]"], added=["added"])
    assert look(reference, tmp_path, whole_words=True).begins.tolist()[:5] == [False, True, False, True, True]


def test_a_tokenizer_without_a_mask(tmp_path):
    reference = Reference(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(TokenizationError, match="no mask token"):
        look(reference, tmp_path)
    with pytest.raises(TokenizationError, match="no mask token"):
        look(small(["[UNK]", "a", "[MASK]"]), tmp_path, V=2)  # there are no weights for it
    with pytest.raises(TokenizationError, match="knows no words"):
        look(small(["[UNK]", "[MASK]"]), tmp_path)


# ---- refusals ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"step": True}, "step must be"),
        ({"step": 2**64}, "step must be"),
        *[({"mlm_probability": bad}, "mlm_probability is the share") for bad in (0, -0.1, 1.1, float("nan"))],
        *[({"mask_replace_prob": bad}, "shares of one whole") for bad in (-0.1, 0.95, float("nan"))],
        ({"random_replace_prob": float("nan")}, "shares of one whole"),
        ({"mlm_probability": "15%"}, "a share of tokens must be a number"),
        ({"mask_replace_prob": True}, "a share of tokens must be a number"),
    ],
    ids=str,
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        mask_tokens(tokens_of([7, 8]), words(), **({"seed": 0, "step": 0} | options))


def test_a_token_beyond_the_vocabulary():
    with pytest.raises(InputError, match="token 2 has the id 1000, but the vocabulary ends at 1000"):
        mask_tokens(tokens_of([7, 1000]), words(), seed=0, step=0)
