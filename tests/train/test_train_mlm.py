"""The masked-LM loss against transformers in every family and against central differences; heads written and made."""

import json
import tracemalloc
import warnings
from dataclasses import replace

import golden_heads as goldens
import numpy as np
import pytest
from differences import CLOSE, numbers, slope
from golden_families import read as read_family
from golden_families import write_checkpoint as write_family
from hypothesis import given, settings
from hypothesis import strategies as st
from masked_cases import NAMES, asked, is_kept, places
from places import GOLDENS_FOLDER

from minembed import Embedder
from minembed.errors import InputError, MissingHeadError, NumericalError, UnsupportedModelError
from minembed.runtime.threads import single_threaded_blas
from minembed.train import masked_lm_loss as mlm
from minembed.train.backward.tape import Tape
from minembed.train.backward.trees import Rows, Weights, flat, flat_gradients
from minembed.train.backward.vjp import Backward, Pass, encode_vjp, linear
from minembed.train.masked_lm_loss import HEAD_ACTIVATIONS_VJP, masked_lm, new_head
from minembed.transformer.encoder import encode
from minembed.transformer.heads import HEAD_ACTIVATIONS, Block, MaskedHead, word_scores
from minembed.transformer.operations import Operations
from minembed.transformer.params import Linear, Norm
from minembed.transformer.positions import attention_patterns
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import FAMILIES, read_params
from minembed.weights.heads import MASKED, head_tensors, masked_layout, read_masked
from minembed.weights.layout import named
from minembed.weights.tensors import TensorFiles

FILE = GOLDENS_FOLDER / "masked.npz"
# float32 against float64: a loss of about 10 nats from logits of some tens; gradients as the contract says
LOSS, GRADIENTS = 2e-6, 1e-5


def checkpoint_in(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a plain folder leaves the pooling open
        return read_checkpoint(folder)


# ---- numbers ----


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradients_are_transformers(name, tmp_path):
    golden, checkpoint = goldens.read(name), checkpoint_in(goldens.write_checkpoint(name, "masked", tmp_path))
    params, head, config = read_params(checkpoint), read_masked(checkpoint), checkpoint.config
    head = replace(head, decoder=params.embeddings.word)
    tokens, tape, seen = goldens.tokens_of(golden), Tape(), attention_patterns(params, config)
    ops = Operations(linear=linear)
    hidden = encode(tokens, params, config, tape, tape.watch(ops), seen)
    value, dhidden, dhead = masked_lm(hidden, *asked(golden), head)
    dencoder = encode_vjp(params, seen, Pass(tokens, config, ops, Backward(), tape), dhidden)
    gradients = flat_gradients(Weights(params, (), head), Weights(dencoder, (), dhead))
    assert "head.decoder" not in gradients  # tied: its slope is in that of the embeddings
    found = head_tensors(dhead, checkpoint.family, dhead.decoder)
    found[FAMILIES[checkpoint.family].names["embeddings.word"][0]] = gradients["encoder.embeddings.word"]
    with np.load(FILE) as file:
        wanted = {key.partition("/")[2]: file[key] for key in file.files if key.startswith(f"{name}/")}
    assert value == pytest.approx(float(wanted.pop("loss")), rel=LOSS)
    whole = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in found.values()))
    plain = {key: FAMILIES[checkpoint.family].plain_name(key) for key in wanted}
    assert set(plain.values()) == set(found) and all(map(is_kept, found))
    for key, kept in wanted.items():
        gradient = found[plain[key]]
        assert np.linalg.norm(gradient.reshape(-1)[places(key, gradient.size)] - kept) <= GRADIENTS * whole, key


def random_head(D, E, V, activation="gelu", norm=True, bias=True):
    block = Block(
        Linear(numbers(D, E, seed=1), numbers(E, seed=2) if bias else None),
        activation,
        Norm(1 + numbers(E, seed=3), numbers(E, seed=4) if bias else None) if norm else None,
    )
    return MaskedHead((block,), numbers(V, E, seed=5), numbers(V, seed=6) if bias else None)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(HEAD_ACTIVATIONS)),
    st.booleans(),
    st.booleans(),
    st.integers(1, 5),
    st.integers(2, 4),
    st.integers(2, 6),
    st.integers(1, 40),
)
def test_slopes_are_slopes(activation, norm, bias, T, E, V, block):
    head, hidden = random_head(3, E, V, activation, norm, bias), numbers(T, 3, seed=T)
    positions = np.arange(0, T, 2)
    labels = np.random.default_rng(T).integers(0, V, len(positions))

    def loss():
        return masked_lm(hidden, positions, labels, head)[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlm, "LOGITS", block)  # of one row, or of several
        patch.setattr(mlm, "WORDS", 4)
        _, dhidden, gradient = masked_lm(hidden, positions, labels, head)
    # rtol: CLOSE's; a norm over two numbers bends much within the step of 1e-6
    np.testing.assert_allclose(dhidden, slope(loss, hidden), rtol=1e-6, atol=1e-7)
    slopes = dict(named(gradient))
    assert slopes.keys() == dict(named(head)).keys()
    for name, array in named(head):
        np.testing.assert_allclose(slopes[name], slope(loss, array), rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("activation", HEAD_ACTIVATIONS)
def test_activations_inside(activation):
    x, dy = numbers(20), numbers(20, seed=1)
    expected = slope(lambda: (HEAD_ACTIVATIONS[activation](x) * dy).sum(), x)
    np.testing.assert_allclose(HEAD_ACTIVATIONS_VJP[activation](x, dy), expected, **CLOSE)


def test_the_loss_is_that_of_the_words_scores():
    head, hidden = random_head(3, 4, 6), numbers(5, 3)
    with single_threaded_blas():
        logits = word_scores(hidden, head)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    value, _, _ = masked_lm(hidden, np.array([1, 4]), np.array([5, 0]), head)
    assert value == pytest.approx(-(logs[1, 5] + logs[4, 0]) / 2, rel=1e-12)


def test_what_cannot_be_known_costs_the_logarithm_of_the_words():
    value, dhidden, _ = masked_lm(
        np.zeros((2, 4)), np.array([0, 1]), np.array([3, 0]), random_head(4, 4, 50, bias=False)
    )
    assert value == pytest.approx(np.log(50)) and dhidden.any()


def test_logits_that_are_huge_do_not_overflow():
    head = MaskedHead((), np.float32([[1e4], [-1e4], [0]]), None)
    with np.errstate(all="raise", under="ignore"):
        value, _, _ = masked_lm(np.float32([[1e4], [1e4]]), np.array([0, 1]), np.array([0, 1]), head)
    assert value == pytest.approx(1e8)


def test_float32_stays_float32_and_is_near():
    head, hidden = random_head(8, 8, 90), numbers(30, 8)
    positions, labels = np.arange(0, 30, 2), np.arange(15)
    single = MaskedHead(
        tuple(
            replace(
                b,
                linear=Linear(b.linear.weight.astype(np.float32), b.linear.bias.astype(np.float32)),
                norm=Norm(b.norm.weight.astype(np.float32), b.norm.bias.astype(np.float32)),
            )
            for b in head.blocks
        ),
        head.decoder.astype(np.float32),
        head.bias.astype(np.float32),
    )
    value, dhidden, gradient = masked_lm(hidden.astype(np.float32), positions, labels, single)
    exact, dexact, _ = masked_lm(hidden, positions, labels, head)
    assert value == pytest.approx(exact, rel=1e-6)
    np.testing.assert_allclose(dhidden, dexact, atol=1e-5 * np.abs(dexact).max())  # some roundings of float32
    assert {array.dtype for _, array in named(gradient)} | {dhidden.dtype} == {np.dtype(np.float32)}


def test_parts_of_a_batch_add_up():
    head, hidden = random_head(3, 4, 6), numbers(8, 3)
    positions, labels = np.array([0, 2, 3, 6]), np.array([5, 1, 0, 2])
    value, dhidden, gradient = masked_lm(hidden, positions, labels, head)
    one = masked_lm(hidden[:3], positions[:2], labels[:2], head, count=4)
    two = masked_lm(hidden[3:], positions[2:] - 3, labels[2:], head, count=4)
    assert one[0] + two[0] == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(np.concatenate([one[1], two[1]]), dhidden, rtol=1e-12, atol=1e-15)
    for (name, whole), (_, a), (_, b) in zip(named(gradient), named(one[2]), named(two[2]), strict=True):
        np.testing.assert_allclose(a + b, whole, rtol=1e-12, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("count", [None, 0, 3])
def test_no_word_is_asked_for(count):
    head, nothing = random_head(3, 4, 6), np.zeros(0, np.int64)
    value, dhidden, gradient = masked_lm(numbers(5, 3), nothing, nothing, head, count)
    assert value == 0 and dhidden.shape == (5, 3) and not dhidden.any()
    assert [a.shape for _, a in named(gradient)] == [a.shape for _, a in named(head)]
    assert not any(a.any() for _, a in named(gradient))


def test_a_tied_decoder_has_both_slopes():
    word = np.ones((4, 2))
    weights = Weights(Embedded(word), (), MaskedHead((), word, None))
    gradient = Weights(Embedded(Rows(np.array([1]), np.ones((1, 2)))), (), MaskedHead((), np.full((4, 2), 10.0), None))
    assert list(flat(weights)) == ["encoder.0"]
    assert flat_gradients(weights, gradient)["encoder.0"][:, 0].tolist() == [10, 11, 10, 10]


def Embedded(word):
    return (word,)


def test_memory_is_bounded():
    V, E, M = 20_000, 16, 2_000
    head = MaskedHead((), np.ones((V, E), np.float32), np.zeros(V, np.float32))
    hidden, positions, labels = np.ones((M, E), np.float32), np.arange(M), np.arange(M)
    tracemalloc.start()
    masked_lm(hidden, positions, labels, head)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    slopes = 4 * (V * E + V + 4 * M * E)
    assert M * V * 4 > 3 * peak  # all logits are never there
    assert peak <= slopes + 4 * mlm.LOGITS * 1.1  # an array of LOGITS, and small change


# ---- refusals ----


@pytest.mark.parametrize(
    ("positions", "labels", "message"),
    [
        ([1], [6], "label of position 1 is 6, but the vocabulary has 6 words"),
        ([0, 2], [0, -100], "label of position 2 is -100"),
        ([5], [0], "positions must rise within the 5 tokens"),
        ([-1], [0], "positions must rise"),
        ([2, 2], [0, 0], "each once"),
        ([2, 1], [0, 0], "positions must rise"),
        ([1], [0, 0], "1 and 2"),
        ([1.0], [0], "must be whole numbers, not float64"),
    ],
)
def test_bad_input_is_named(positions, labels, message):
    with pytest.raises(InputError, match=message):
        masked_lm(numbers(5, 3), np.array(positions), np.array(labels), random_head(3, 4, 6))


def test_a_count_that_is_too_small():
    with pytest.raises(InputError, match="at least the 2"):
        masked_lm(numbers(5, 3), np.array([0, 1]), np.array([0, 1]), random_head(3, 4, 6), count=1)


def test_states_that_are_no_numbers():
    hidden = numbers(5, 3)
    hidden[3, 1] = np.nan
    with pytest.raises(NumericalError, match="hidden state of token 3"):
        masked_lm(hidden, np.array([1, 3]), np.array([0, 0]), random_head(3, 4, 6))


# ---- heads, written and made ----


def assert_same(got, wanted):
    assert [name for name, _ in named(got)] == [name for name, _ in named(wanted)]
    for (name, a), (_, b) in zip(named(got), named(wanted), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
    assert [(b.activation, b.eps) for b in got.blocks] == [(b.activation, b.eps) for b in wanted.blocks]


def changed(head):
    """A head as training leaves it: every number is another."""
    blocks = tuple(
        replace(
            b,
            linear=Linear(b.linear.weight + 1, None if b.linear.bias is None else b.linear.bias + 1),
            norm=Norm(b.norm.weight + 1, None if b.norm.bias is None else b.norm.bias + 1),
        )
        for b in head.blocks
    )
    return MaskedHead(blocks, head.decoder, None if head.bias is None else head.bias + 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_head_is_read_as_it_was_written(name, tmp_path):
    checkpoint = checkpoint_in(goldens.write_checkpoint(name, "masked", tmp_path / "a"))
    stored = TensorFiles.open(checkpoint.folder).stored
    trained = changed(read_masked(checkpoint))
    own = head_tensors(trained, checkpoint.family, trained.decoder, stored)
    assert set(own) <= set(stored)  # under the names of the file: nothing of the old head is left beside the new
    again = checkpoint_in(goldens.write_checkpoint(name, "masked", tmp_path / "b", tensors=own))
    assert_same(read_masked(again), trained)


@pytest.mark.parametrize("name", NAMES)
def test_a_head_of_an_encoder_that_had_none(name, tmp_path):
    tensors = goldens.tensors_of(goldens.read(name), "masked")
    family = FAMILIES[goldens.config_of(goldens.CASES[name], "masked")["model_type"]]
    none = {key: None for key in tensors if is_kept(family.plain_name(key)) and not key.endswith("embeddings.weight")}
    folder = goldens.write_checkpoint(name, "masked", tmp_path / "a", tensors=none)
    checkpoint = checkpoint_in(folder)
    with pytest.raises(MissingHeadError):
        read_masked(checkpoint)
    word = read_params(checkpoint).embeddings.word
    head = new_head(checkpoint, word, seed=3)
    own = head_tensors(head, checkpoint.family, word, TensorFiles.open(folder).stored)
    whole = goldens.write_checkpoint(name, "masked", tmp_path / "b", tensors=none | own)
    assert_same(read_masked(checkpoint_in(whole)), head)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Embedder.load(whole)
    assert len(model.fill_mask("the [MASK]", 3)) == 3 and model.encode("the cat").ndim == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_new_head_has_the_shape_of_the_familys(name, tmp_path):
    checkpoint = checkpoint_in(goldens.write_checkpoint(name, "masked", tmp_path))
    wanted, got = read_masked(checkpoint), masked_layout(checkpoint)
    if name == "nomic_bert":  # the golden has its publishers' config.json, and biases as transformers has them
        wanted = MaskedHead(
            (replace(wanted.blocks[0], linear=Linear(wanted.blocks[0].linear.weight)),), wanted.decoder, None
        )
    assert [(n, a.shape) for n, a in named(got)] == [(n, a.shape) for n, a in named(wanted)]
    assert [(b.activation, b.eps) for b in got.blocks] == [(b.activation, b.eps) for b in wanted.blocks]


def test_every_family_with_a_head_is_tested():
    assert set(MASKED) - {name.partition("+")[0] for name in NAMES} == {"jina_bert"}  # which is below


def test_a_head_of_jina_bert(tmp_path):
    golden = read_family("jina_bert")
    checkpoint = checkpoint_in(write_family(golden, tmp_path / "a"))
    word = read_params(checkpoint).embeddings.word
    head = new_head(checkpoint, word)
    whole = write_family(golden, tmp_path / "b", tensors=head_tensors(head, "jina_bert", word))
    assert_same(read_masked(checkpoint_in(whole)), head)


@pytest.mark.parametrize(("settings", "dense", "decoder"), [({}, False, True), ({"decoder_bias": False}, False, False)])
def test_biases_of_modernbert(settings, dense, decoder, tmp_path):
    checkpoint = checkpoint_in(goldens.write_checkpoint("modernbert", "masked", tmp_path, config=settings))
    head = masked_layout(checkpoint)
    assert (head.blocks[0].linear.bias is not None, head.bias is not None) == (dense, decoder)
    assert head.blocks[0].norm.bias is None


def test_nomicbert_of_its_publishers_has_no_biases(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"n_embd": 8}))
    config = replace(checkpoint_in(goldens.write_checkpoint("nomic_bert", "masked", tmp_path / "a")).config)
    head = masked_layout(Checkpoint(tmp_path, "nomic_bert", config, ("mean",), 16))
    assert head.blocks[0].linear.bias is None and head.bias is None and head.blocks[0].norm.bias is not None


def test_numbers_of_a_new_head(tmp_path):
    checkpoint = checkpoint_in(goldens.write_checkpoint("bert", "masked", tmp_path))
    word = read_params(checkpoint).embeddings.word
    a, b, c = (new_head(checkpoint, word, seed=seed) for seed in (1, 1, 2))
    (block,) = a.blocks
    assert a.decoder is word and not a.bias.any() and not block.linear.bias.any()
    assert (block.norm.weight == 1).all() and not block.norm.bias.any()
    assert block.linear.weight.dtype == np.float32
    # 35 x 35 numbers: their deviation is known to about 2 %
    assert block.linear.weight.std() == pytest.approx(0.02, rel=0.1) and abs(block.linear.weight.mean()) < 0.002
    assert_same(a, b)
    assert not np.array_equal(block.linear.weight, c.blocks[0].linear.weight)
    with pytest.raises(InputError, match=r"shape \(3, 35\), not \(157, 35\)"):
        new_head(checkpoint, word[:3])
    with pytest.raises(InputError, match="seed must be a whole number"):
        new_head(checkpoint, word, seed=2**64)


def test_what_a_file_says_twice_is_written_twice():
    block = Block(Linear(np.ones((2, 2)), np.ones(2)), "gelu", Norm(np.ones(2), np.ones(2)))
    head, names = MaskedHead((block,), np.ones((5, 2)), np.ones(5)), ["bias", "decoder.bias", "decoder.weight"]
    stored = [f"cls.predictions.{name}" for name in names]
    own = head_tensors(head, "bert", head.decoder, [*stored, "cls.predictions.transform.LayerNorm.gamma"])
    assert set(stored) <= set(own) and "cls.predictions.transform.LayerNorm.gamma" in own
    assert "cls.predictions.transform.LayerNorm.weight" not in own
    assert set(head_tensors(head, "bert")) == {
        *(f"cls.predictions.{name}" for name in ("bias", "decoder.weight")),
        *(f"cls.predictions.transform.{part}" for part in ("dense.weight", "dense.bias")),
        *(f"cls.predictions.transform.LayerNorm.{part}" for part in ("weight", "bias")),
    }
    assert "lm_head.decoder.bias" in head_tensors(head, "roberta", head.decoder, ["lm_head.decoder.bias"])
    assert "lm_head.bias" not in head_tensors(head, "roberta", head.decoder, ["lm_head.decoder.bias"])


def test_heads_that_no_family_has():
    head = random_head(3, 4, 6)
    with pytest.raises(UnsupportedModelError, match="masked-LM head of 'qwen3'"):
        head_tensors(head, "qwen3")
    for other in (MaskedHead((), head.decoder, None), random_head(3, 4, 6, norm=False)):
        with pytest.raises(InputError, match="one block with a norm"):
            head_tensors(other, "bert")
