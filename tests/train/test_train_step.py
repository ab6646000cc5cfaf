"""A batch's loss and gradients: the same bits on any threads, the same numbers however memory is saved."""

import numpy as np
import pytest
from tiers import TIERS

from minembed import Embedder
from minembed.errors import UnsupportedModelError
from minembed.train.backward.trees import Rows, flat
from minembed.train.dropout import Dropout
from minembed.train.model import Trainee
from minembed.train.step import Method, contrastive_gradients, deal_out

TEXTS = [f"a {'long ' * (i % 7)}text number {i} of many" for i in range(48)]


def products(columns, labels):
    """The sum of products of the two columns."""
    a, b = columns
    return float((a * b).sum()), (b.copy(), a.copy())


@pytest.fixture(scope="module")
def trainee(tiny_checkpoint):
    return Trainee.load(tiny_checkpoint)


def gradients(trainee, method, texts=TEXTS):
    half = len(texts) // 2
    columns = [trainee.tokenizer(texts[:half]), trainee.tokenizer(texts[half:])]
    return contrastive_gradients(trainee, columns, None, products, method)


def arrays(step):
    return {n: g.values if isinstance(g, Rows) else g for n, g in step.gradients.items()}


@pytest.mark.parametrize("backend", TIERS)
@pytest.mark.parametrize("p", [0.0, 0.3])
def test_threads_change_no_bit(trainee, backend, p):
    dropout = Dropout(p, seed=5).at(3)
    one, many = (gradients(trainee, Method(threads=n, dropout=dropout, backend=backend)) for n in (1, 4))
    assert one.loss == many.loss and one.n_tokens == many.n_tokens == len(trainee.tokenizer(TEXTS).ids)
    assert one.gradients.keys() == flat(trainee.weights).keys()
    for name, array in arrays(one).items():
        np.testing.assert_array_equal(array, arrays(many)[name], err_msg=name)


@pytest.mark.parametrize("p", [0.0, 0.3])
@pytest.mark.parametrize("how", [{"recompute": True}, {"cached": True}, {"cached": True, "recompute": True}])
def test_saving_memory_changes_no_bit(trainee, how, p):
    """What is computed again is computed from the same numbers by the same operations."""
    dropout = Dropout(p, seed=5).at(3) if p else None
    plain, saving = gradients(trainee, Method(dropout=dropout)), gradients(trainee, Method(dropout=dropout, **how))
    assert plain.loss == saving.loss
    for name, array in arrays(plain).items():
        np.testing.assert_array_equal(array, arrays(saving)[name], err_msg=name)


def test_the_slope_is_that_of_the_loss(trainee):
    """A step against a difference: the loss falls by the squared norm of the gradients, times the step."""
    step = gradients(trainee, Method())
    square = sum(float((g.astype(np.float64) ** 2).sum()) for g in arrays(step).values())
    h, weights = 1e-3 / square**0.5, flat(trainee.weights)
    kept = {name: array.copy() for name, array in weights.items()}
    losses = []
    for sign in (1, -1):
        for name, g in step.gradients.items():
            where = g.indices if isinstance(g, Rows) else slice(None)
            weights[name][where] += np.float32(sign * h) * (g.values if isinstance(g, Rows) else g)
        losses.append(gradients(trainee, Method()).loss)
        for name, array in kept.items():
            weights[name][...] = array
    assert abs((losses[0] - losses[1]) / (2 * h * square) - 1) <= 1e-2  # float32 in losses of size 20, third derivative


def test_dropout_leaves_out_other_numbers_at_every_step(trainee):
    losses = {gradients(trainee, Method(dropout=Dropout(0.2, seed=1).at(step))).loss for step in range(3)}
    assert len(losses) == 3


def test_chunks_depend_on_lengths_alone():
    lengths = np.random.default_rng(0).integers(3, 200, 100)
    chunks = deal_out(lengths)
    assert sorted(np.concatenate(chunks).tolist()) == list(range(100))
    work = [lengths[chunk].sum() for chunk in chunks]
    assert len(chunks) % 2 == 0 and max(work) <= 256 + 200
    assert [c.tolist() for c in deal_out(np.array([7]))] == [[0]]


@pytest.mark.weights
def test_a_model_that_was_not_trained_is_saved_as_it_was(tmp_path):
    trainee, texts = Trainee.load(), ["A cat sits.", "Dogs run in the park."]
    trainee.save(tmp_path / "saved")
    before, after = Embedder.load(backend="numpy"), Embedder.load(tmp_path / "saved", backend="numpy")
    np.testing.assert_array_equal(before.encode(texts), after.encode(texts))
    np.testing.assert_array_equal(before.encode(texts), trainee.embedder("numpy").encode(texts))


def test_what_cannot_be_trained_is_refused(tmp_path, tiny_checkpoint):
    import golden_families as goldens

    folder = goldens.write_checkpoint(goldens.read("gemma3_text"), tmp_path / "gemma")
    with pytest.raises(UnsupportedModelError, match="another form"):
        Trainee.load(folder)
