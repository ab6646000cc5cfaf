"""What is around the peers: shapes that OpenVINO compiles for, and checkpoints of random numbers."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import write_tiny_checkpoint

# --- fixed shapes


def test_lengths_are_rounded_up_by_little(bench):
    shapes = bench.openvino_shapes
    padded = [shapes.padded_length(length) for length in range(1, 513)]
    assert padded == sorted(padded) and set(padded) == set(shapes.STEPS)
    assert all(length <= step <= max(8, 1.34 * length) for length, step in enumerate(padded, 1))
    assert shapes.padded_length(600) == 600


class FakeModel:
    def reshape(self, shapes):
        self.shapes = shapes


def test_a_shape_is_compiled_once(bench):
    made = []

    def compile_model(model):
        made.append(model.shapes)
        return SimpleNamespace(create_infer_request=lambda: object())

    fixed = bench.openvino_shapes.FixedShapes(FakeModel, compile_model, ["ids", "mask"], streams=2)
    first = fixed.compiled((8, 32))
    assert fixed.compiled((8, 32)) is first and first.qsize() == 2
    fixed.compiled((4, 32))
    assert made == [{"ids": [8, 32], "mask": [8, 32]}, {"ids": [4, 32], "mask": [4, 32]}]


@pytest.fixture
def peer(bench, monkeypatch):
    """OpenVINO's contestant on fixed shapes, with requests that note what they are fed, and hold a 1 for each token."""
    fed = []

    class Request:
        def infer(self, feed, share_inputs):
            self.mask = feed["attention_mask"]
            fed.append(self.mask.shape)

        def get_output_tensor(self, number):
            return SimpleNamespace(data=np.repeat(self.mask[:, :, None], 2, axis=2).astype(np.float32))

    compiled = SimpleNamespace(create_infer_request=Request)
    made = bench.openvino_graph.Peer.__new__(bench.openvino_graph.Peer)
    made.batch, made.sort, made.streams, made.pool, made.queue = 2, True, 1, None, None
    made.fixed = bench.openvino_shapes.FixedShapes(FakeModel, lambda model: compiled, ["ids"], 1)
    encode = lambda text: SimpleNamespace(ids=[1] * len(text))  # noqa: E731
    made.tokenizer = SimpleNamespace(encode=encode, encode_batch=lambda texts: list(map(encode, texts)))
    return made, fed


def test_each_shape_is_met_before_the_clock_starts(peer):
    made, fed = peer
    texts = ["a" * length for length in (3, 9, 30, 31, 31, 10, 9)]
    made.ready(texts)
    assert sorted(fed) == [(1, 8), (2, 12), (2, 32)]
    vectors = made.encode(texts)
    assert len(made.fixed.requests) == 3 and set(fed[3:]) == set(fed[:3])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1) and vectors.shape == (7, 2)


def test_a_worker_lets_a_contestant_make_ready(bench):
    servant, seen = bench.worker.Servant(), []
    servant.peer = SimpleNamespace(ready=seen.append, encode=None)
    servant.give("short", ["a", "b"], False)
    servant.warm_up("short")
    assert seen == [["a", "b"]]


# --- checkpoints of random numbers


@pytest.fixture
def small(bench):
    return bench.wide_models.Shape("small", 2, 64, 4)


def test_random_weights_are_spread_so_that_activations_stay_near_one(bench, small):
    made = bench.wide_models.weights(small)
    assert all(tensor.dtype == np.float32 and tensor.std() > 0 for tensor in made.values())
    again = bench.wide_models.weights(small)
    assert all((made[name] == again[name]).all() for name in made)
    rows = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32)
    inner = rows @ made["encoder.layer.0.intermediate.dense.weight"].T
    assert 0.9 < inner.std() < 1.1
    base = bench.wide_models.config(bench.wide_models.SHAPES[768])
    assert bench.folder.multiply_adds(base) == 84_934_656  # all of BERT-base's parameters but embeddings and norms


def test_a_random_checkpoint_loads_and_its_texts_differ(bench, small, tmp_path):
    from minembed import Embedder

    lender = write_tiny_checkpoint(tmp_path / "lender")
    folder = tmp_path / "small"
    bench.wide_models.ensure_checkpoint(small, lender, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["hidden_size"], config["num_hidden_layers"]) == (64, 2)
    vectors = Embedder.load(folder, backend="numpy").encode(["red", "blue and green", "one two three"])
    assert vectors.shape == (3, 64) and np.isfinite(vectors).all()
    assert (vectors @ vectors.T)[0, 1:].max() < 0.95


def test_cells_of_wide_encoders_have_settings_for_both_streams(bench):
    who = bench.peers.CONTESTANTS["openvino-bfloat16"]
    assert bench.bench_wide.entrant(who, 128, 16).batches == (8, 16, 4)
    assert bench.bench_wide.entrant(bench.peers.CONTESTANTS["openvino-float32"], 128, 16).batches == (8,)
    ours = bench.peers.CONTESTANTS["minembed-int8"]
    assert bench.bench_wide.entrant(ours, 128, 16) == ours


# --- the hardware's peak


def test_peaks_are_measured_on_random_numbers(bench):
    probe = pytest.importorskip("probe", reason="the kernels need Numba")
    for kind in (np.float32, np.uint16, np.uint8, np.int8):
        numbers = probe.numbers(kind, 1000)
        assert numbers.dtype == kind and len(np.unique(numbers)) > 200


def test_without_tile_units_there_is_no_peak_of_theirs(bench, monkeypatch):
    import minembed.kernels.tiles

    monkeypatch.setitem(sys.modules, "minembed.kernels.tiles.amx", None)
    monkeypatch.delattr(minembed.kernels.tiles, "amx", raising=False)
    assert bench.probe_tiles.measure() == {}
    emulated = SimpleNamespace(HARDWARE=False)
    monkeypatch.setitem(sys.modules, "minembed.kernels.tiles.amx", emulated)
    monkeypatch.setattr(minembed.kernels.tiles, "amx", emulated, raising=False)
    assert bench.probe_tiles.measure() == {}


def test_a_low_quantile_is_of_calls_that_were_warmed_up(bench):
    calls = []
    assert bench.probe_tiles.low_quantile(lambda: calls.append(1)) < 0.01
    assert len(calls) > bench.probe_tiles.CALLS


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_products_and_attention_run_outside_the_encoder(bench, dtype, monkeypatch):
    """They call the kernels' insides, which may change."""
    products = pytest.importorskip("products", reason="the kernels need Numba")
    monkeypatch.setattr(products, "WARM", 1e6)
    alone, together = products.seconds(dtype, 5, 64, 96, 2)
    assert alone > 0 and together > 0
    assert products.attention(dtype, 8, 16, 64, 2)["rate"] > 0
