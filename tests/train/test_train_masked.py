"""Masked language modelling from nothing: a vocabulary, a model that learns, folders, and what is refused."""

import json
import random

import numpy as np
import pytest

from minembed import Embedder
from minembed.errors import InputError, MissingHeadError
from minembed.train.backward.trees import Rows, flat
from minembed.train.masked_lm import masked_loss, train_masked_lm, unigram_entropy
from minembed.train.masking import mask_tokens, words_of
from minembed.train.model import Trainee
from minembed.train.scratch import new_model
from minembed.train.settings import Settings
from minembed.train.step import Method, masked_gradients

ANIMALS, FOODS = ["cat", "dog", "horse", "mouse"], ["bread", "rice", "cake", "soup"]
TEXTS = [f"the {a} eats the {f} in the {p}" for a in ANIMALS for f in FOODS for p in ("house", "garden", "kitchen")]
SETTINGS = Settings(epochs=12, batch_size=8, learning_rate=5e-3, dropout=0.0, backend="numpy", threads=2)


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scratch") / "new"
    new_model(folder, TEXTS, size="tiny", max_seq_length=32, seed=1)
    return folder


def load(folder):
    return Trainee.load(folder, head=True, make_head=True)


def test_a_new_model_is_a_folder_like_any_other(new, tmp_path):
    model = Embedder.load(new, backend="numpy")
    assert model.dimension == 64 and model.max_seq_length == 32
    assert np.isfinite(model.encode(["the cat eats", "nothing known"])).all()


def test_the_same_texts_give_the_same_bytes(tmp_path):
    """Also where many pairs of letters are equally frequent, so that the vocabulary might be any of many."""
    dice = random.Random(0)
    texts = ["".join(dice.choices("abcdefghé", k=dice.randint(2, 9))) for _ in range(2000)] * 2
    for name in "ab":
        new_model(tmp_path / name / "new", texts, size="tiny", max_seq_length=32, seed=1)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) >= 5
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    tokenizer = json.loads((tmp_path / "a" / "new" / "tokenizer.json").read_text())
    assert len(tokenizer["model"]["vocab"]) == 2000 and len(tokenizer["added_tokens"]) == 5


def test_it_learns_more_than_how_frequent_words_are(new, tmp_path):
    trainee = load(new)
    tokens = trainee.tokenizer(TEXTS)
    counts = np.bincount(tokens.ids, minlength=trainee.checkpoint.config.vocab_size)
    words = words_of(trainee.tokenizer, trainee.checkpoint)
    counts[~words.known] = 0
    entropy = unigram_entropy([mask_tokens(tokens, words, seed=SETTINGS.seed + 1, step=0)], counts)
    state = train_masked_lm(trainee, TEXTS, SETTINGS, tmp_path / "run", evaluation=TEXTS)
    assert -state.best < entropy - 0.8 and masked_loss(trainee, TEXTS, SETTINGS) == -state.best
    trainee.save(tmp_path / "model")
    again = Trainee.load(tmp_path / "model", head=True)  # the head was saved with it
    assert masked_loss(again, TEXTS, SETTINGS) == -state.best
    best = Embedder.load(tmp_path / "model", backend="numpy").fill_mask("the cat [MASK] the soup in the house")[0]
    assert best["token_str"] == "eats"


@pytest.mark.parametrize("how", [{"threads": 3}, {"recompute": True}])
def test_threads_and_memory_change_no_bit(new, how):
    trainee = load(new)
    masked = mask_tokens(trainee.tokenizer(TEXTS), words_of(trainee.tokenizer, trainee.checkpoint), seed=1, step=2)
    one, other = masked_gradients(trainee, masked, Method()), masked_gradients(trainee, masked, Method(**how))
    assert one.loss == other.loss and one.gradients.keys() == flat(trainee.weights).keys()
    for name, gradient in one.gradients.items():
        assert not isinstance(gradient, Rows)  # the tied decoder gives every row a slope
        np.testing.assert_array_equal(gradient, other.gradients[name])


def test_nothing_hidden_is_no_loss(new):
    trainee = load(new)
    tokens = trainee.tokenizer(["the cat"])
    masked = mask_tokens(tokens, words_of(trainee.tokenizer, trainee.checkpoint), seed=1, step=0, mlm_probability=1e-9)
    step = masked_gradients(trainee, masked, Method())
    assert step.loss == 0 and not any(np.asarray(g).any() for g in step.gradients.values())


def test_a_resumed_training_has_the_same_bits(new, tmp_path):
    class Stopped(Exception):
        pass

    def stop(line):
        if line["step"] == 7:
            raise Stopped

    settings = Settings(epochs=2, batch_size=8, backend="numpy", save_every=3, whole_words=False)
    whole, cut, resumed = load(new), load(new), load(new)
    train_masked_lm(whole, TEXTS, settings, tmp_path / "whole")
    with pytest.raises(Stopped):
        train_masked_lm(cut, TEXTS, settings, tmp_path / "cut", on_step=stop)
    train_masked_lm(resumed, TEXTS, settings, tmp_path / "cut", resume=True)
    for name, array in flat(whole.weights).items():
        np.testing.assert_array_equal(array, flat(resumed.weights)[name])


def test_what_is_refused(new, tmp_path):
    with pytest.raises(MissingHeadError, match="head=True"):
        train_masked_lm(Trainee.load(new), TEXTS, SETTINGS, tmp_path / "run")
    with pytest.raises(MissingHeadError, match="saved without"):
        Trainee.load(new, head=True)
    with pytest.raises(InputError, match="no texts"):
        train_masked_lm(load(new), [], SETTINGS, tmp_path / "run")
    with pytest.raises(InputError, match="size 'huge' is unknown"):
        new_model(tmp_path / "x", TEXTS, size="huge")
    for seed in (-1, 2**64):
        with pytest.raises(InputError, match="seed must be a whole number"):
            new_model(tmp_path / "x", TEXTS, size="tiny", seed=seed)
        with pytest.raises(InputError, match="seed must be a whole number"):
            Trainee.load(new, head=True, make_head=True, seed=seed)
    with pytest.raises(InputError, match="no words that come twice"):
        new_model(tmp_path / "x", [], size="tiny")
    with pytest.raises(InputError, match="exists already"):
        new_model(new, TEXTS, size="tiny")
