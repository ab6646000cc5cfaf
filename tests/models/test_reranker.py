"""Cross-encoders against transformers and sentence-transformers, in both tiers, and what is refused."""

import json
import warnings

import golden_heads as goldens
import numpy as np
import pytest
from examples import thinned

from minembed import Reranker
from minembed.errors import (
    BackendWarning,
    InputError,
    InputTypeError,
    NumericalError,
    TruncationWarning,
)
from minembed.runtime.threads import single_threaded_blas
from minembed.transformer.heads import through
from minembed.transformer.ops import softmax
from minembed.transformer.params import tree_map
from minembed.weights.families import FAMILIES
from minembed.weights.heads import CLASSIFIERS

LOGITS = 5e-6  # the contract of hidden states, times max(1, the largest |logit|); torch's float32 is 2.2e-6 away
FEWER_BITS = {"bfloat16": 0.05, "int8": 0.1}  # likewise; of random weights, found: 0.033 and 0.075
NAMES = sorted(goldens.CASES)
SINGLE = [name for name in NAMES if goldens.CASES[name].labels == 1]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The folder of a golden; read it, but write another before changing it."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = goldens.write_checkpoint(name, "classifier", tmp_path_factory.mktemp(name))
        return made[name]

    return folder


def load(folder, **options):
    """Load without the warning that numbers of fewer bits are emulated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)
        return Reranker.load(folder, **options)


def quietly(f, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        return f(*arguments, **options)


def logits_of(model, tokens):
    with single_threaded_blas():
        return through(model.compute.pooled(tokens, model.model.checkpoint.pooling), model.head)


def distance(got, expected):
    """The largest difference, in units of the largest logit."""
    return np.abs(got - expected).max() / max(1, np.abs(expected).max())


def test_it_is_shown_in_one_line(folder_of):
    folder = folder_of(NAMES[0])
    told = repr(Reranker.load(folder, backend="numpy"))
    assert told.startswith(f"Reranker('{folder}', ") and told.endswith(", float32, numpy)") and len(told) < 200


# ---- numbers ----


def test_every_family_with_a_head_has_a_golden():
    covered = {name.partition("+")[0] for name in NAMES}
    assert set(CLASSIFIERS) - covered == {"jina_bert"}  # transformers has no such code: its oracle is below
    assert set(FAMILIES) - set(CLASSIFIERS) <= {"qwen3", "gemma3_text"}  # decoders


@pytest.mark.parametrize("name", NAMES)
def test_logits(name, tier, folder_of):
    golden, model = goldens.read(name), Reranker.load(folder_of(name), backend=tier)
    assert model.backend == tier
    assert distance(logits_of(model, goldens.tokens_of(golden)), golden["classifier"]) <= LOGITS


@pytest.mark.parametrize("name", NAMES)
def test_the_head_in_float64(name, folder_of):
    golden, model = goldens.read(name), Reranker.load(folder_of(name), backend="numpy")
    head = tree_map_head(model.head)
    rows = model.compute.pooled(goldens.tokens_of(golden), model.model.checkpoint.pooling).astype(np.float64)
    assert distance(through(rows, head), golden["classifier"]) <= LOGITS  # the encoder's own float32


def tree_map_head(head):
    from dataclasses import replace

    wide = []
    for block in head:
        linear, norm = (tree_map(lambda a: a.astype(np.float64), part) for part in (block.linear, block.norm))
        wide.append(replace(block, linear=linear, norm=norm))
    return wide


@pytest.mark.parametrize("dtype", sorted(FEWER_BITS))
@pytest.mark.parametrize("name", NAMES)
def test_logits_in_fewer_bits(name, tier, dtype, folder_of):
    golden, model = goldens.read(name), load(folder_of(name), backend=tier, dtype=dtype)
    assert model.dtype == dtype
    assert distance(logits_of(model, goldens.tokens_of(golden)), golden["classifier"]) <= FEWER_BITS[dtype]


@pytest.mark.parametrize("name", NAMES)
def test_predict_as_sentence_transformers(name, tier, folder_of):
    golden, model = goldens.read(name), Reranker.load(folder_of(name), backend=tier)
    expected = np.array(goldens.said(golden, "said/scores"))
    scores = quietly(model.predict, goldens.PAIRS)
    assert scores.dtype == np.float32
    assert scores.shape == expected.shape == (len(goldens.PAIRS), goldens.CASES[name].labels)[: expected.ndim]
    assert distance(scores, expected) <= LOGITS
    logits = quietly(model.predict, goldens.PAIRS, activation="Identity")
    assert distance(logits, np.array(goldens.said(golden, "said/logits"))) <= LOGITS
    if goldens.CASES[name].labels > 1:
        shares = quietly(model.predict, goldens.PAIRS, activation="Softmax")
        assert distance(shares, np.array(goldens.said(golden, "said/softmax"))) <= LOGITS
        np.testing.assert_array_equal(shares, softmax(logits))


@pytest.mark.parametrize("name", SINGLE)
def test_rank_as_sentence_transformers(name, tier, folder_of):
    golden, model = goldens.read(name), Reranker.load(folder_of(name), backend=tier)
    expected = goldens.said(golden, "said/ranked")
    ranked = quietly(model.rank, goldens.QUERY, goldens.DOCUMENTS, return_documents=True)
    assert [(r["corpus_id"], r["text"]) for r in ranked] == [(r["corpus_id"], r["text"]) for r in expected]
    np.testing.assert_allclose([r["score"] for r in ranked], [r["score"] for r in expected], rtol=0, atol=1e-5)
    assert all(list(r) == ["corpus_id", "score", "text"] and type(r["score"]) is float for r in ranked)
    assert quietly(model.rank, goldens.QUERY, goldens.DOCUMENTS, top_k=3) == [
        {"corpus_id": r["corpus_id"], "score": r["score"]} for r in ranked[:3]
    ]


def test_an_alibi_encoder_by_its_oracle(tmp_path, tier):
    import golden_families
    import oracle

    golden, rng = golden_families.read("jina_bert"), np.random.default_rng(0)
    width = golden["hidden"].shape[-1]
    head = {"bert.pooler.dense.weight": (width, width), "bert.pooler.dense.bias": (width,)}
    head |= {"classifier.weight": (1, width), "classifier.bias": (1,)}
    head = {name: rng.standard_normal(shape).astype(np.float32) / width**0.5 for name, shape in head.items()}
    spare = dict.fromkeys(["pooler.dense.weight", "pooler.dense.bias"])
    config = {"architectures": ["JinaBertForSequenceClassification"], "num_labels": 1}
    golden_families.write_checkpoint(golden, tmp_path, config=config, tensors=head | spare)
    (tmp_path / "modules.json").unlink()
    goldens.pair_tokenizer().save(str(tmp_path / "tokenizer.json"))
    model = Reranker.load(tmp_path, backend=tier)
    tokens = golden_families.tokens_of(golden)
    first = oracle.pool(golden["hidden"][-1], np.append(tokens.cu_seqlens[:4], 13), "cls")[:3]  # rows that are kept
    w = {name.rpartition(".")[2] + name[0]: tensor.astype(np.float64) for name, tensor in head.items()}
    pooled = np.tanh(first @ w["weightb"].T + w["biasb"])
    expected = pooled @ w["weightc"].T + w["biasc"]
    assert distance(logits_of(model, tokens.select([0, 1, 2])), expected) <= LOGITS


# ---- the same bits ----


FEWER = [(name, dtype) for name in NAMES for dtype in FEWER_BITS]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*thinned([(name, "float32") for name in NAMES], 2), *thinned(FEWER, 7)],
)
def test_any_batch_gives_the_same_bits(name, tier, dtype, folder_of):
    model = load(folder_of(name), backend=tier, dtype=dtype, threads=2)
    pairs = goldens.PAIRS
    together = quietly(model.predict, pairs)
    for size in (1, 3):
        np.testing.assert_array_equal(quietly(model.predict, pairs, batch_size=size), together)
    backwards = quietly(model.predict, iter(pairs[::-1] * 3))
    np.testing.assert_array_equal(backwards, np.concatenate([together[::-1]] * 3))
    for pair, score in zip(pairs, together, strict=True):
        np.testing.assert_array_equal(quietly(model.predict, pair), score)
    alone = load(folder_of(name), backend=tier, dtype=dtype, threads=1)
    np.testing.assert_array_equal(quietly(alone.predict, pairs), together)


def test_many_pairs_cross_windows(folder_of, monkeypatch):
    from minembed.models import batching as chunks

    model = Reranker.load(folder_of("bert"))
    expected = quietly(model.predict, goldens.PAIRS * 3)
    monkeypatch.setattr(chunks, "WINDOW", 5)
    np.testing.assert_array_equal(quietly(model.predict, goldens.PAIRS * 3), expected)
    with pytest.raises(InputTypeError, match=r"pairs\[22\]"):
        quietly(model.predict, [*goldens.PAIRS * 3, ("a", "b"), ("a", None)])


# ---- order ----


def test_equal_scores_keep_the_order_given(folder_of):
    model = Reranker.load(folder_of("roberta"))
    documents = ["bread", "the cat", "bread", "rain", "the cat", "bread"]
    ranked = model.rank("a dog", documents)
    for text in ("bread", "the cat"):
        assert [r["corpus_id"] for r in ranked if documents[r["corpus_id"]] == text] == [
            i for i, other in enumerate(documents) if other == text
        ]
    scores = [r["score"] for r in ranked]
    assert scores == sorted(scores, reverse=True)


def test_nothing_to_rank(folder_of):
    model = Reranker.load(folder_of("bert"))
    assert model.rank("a dog", []) == []
    assert model.predict([]).shape == (0,)
    assert Reranker.load(folder_of("bert+labels")).predict([]).shape == (0, 3)
    assert len(model.rank("", [""])) == 1


def test_kinds_of_input(folder_of):
    model = Reranker.load(folder_of("bert"))
    pairs = [("the cat", "bread"), ("a dog", "rain")]
    expected = model.predict(pairs)
    assert expected.shape == (2,)
    for same in ([list(pair) for pair in pairs], np.array(pairs), (pair for pair in pairs), tuple(pairs)):
        np.testing.assert_array_equal(model.predict(same), expected)
    for one in (pairs[0], list(pairs[0]), np.array(pairs[0])):
        assert model.predict(one) == expected[0]
        assert np.ndim(model.predict(one)) == 0
    assert model.rank("the cat", iter(["bread"]), top_k=9)[0]["score"] == float(expected[0])


def test_what_is_cut_is_said(folder_of):
    model = Reranker.load(folder_of("bert"))
    pairs = [("a", "b"), ("the cat", "rain " * 200)]
    with pytest.warns(TruncationWarning, match=r"1 pair\(s\) longer than 41 tokens were cut: 1"):
        scores = model.predict(pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(model.predict(pairs, truncation="silent"), scores)
    with pytest.raises(InputError, match=r"pairs\[1\] has more than 41 tokens"):
        model.predict(pairs, truncation="error")


def test_a_shorter_limit(folder_of):
    model = Reranker.load(folder_of("bert"), max_seq_length=9)
    assert model.max_seq_length == 9
    with pytest.warns(TruncationWarning, match="9 tokens"):
        cut = model.predict([("the cat", "rain " * 200)])
    np.testing.assert_array_equal(cut, model.predict([("the cat", "rain " * 4)]))
    for bad in (0, 42, True, "9"):
        with pytest.raises(InputError, match="max_seq_length"):
            Reranker.load(folder_of("bert"), max_seq_length=bad)


# ---- arguments ----


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("the cat", "give a list of"),
        (b"the cat", "give a list of"),
        (7, "give a list of"),
        ([("a", "b"), "ab"], r"pairs\[1\] is str"),
        ([("a", "b", "c")], r"pairs\[0\] is tuple"),
        ([("a", 7)], r"pairs\[0\] holds int"),
        ([(None, "b")], r"pairs\[0\] has a text that is missing \(None\)"),
    ],
    ids=str,
)
def test_what_is_no_pair(pairs, message, folder_of):
    with pytest.raises(InputTypeError, match=message):
        Reranker.load(folder_of("bert")).predict(pairs)


def test_bad_arguments(folder_of):
    model = Reranker.load(folder_of("bert"))
    with pytest.raises(InputTypeError, match="query is list"):
        model.rank(["a"], ["b"])
    with pytest.raises(InputTypeError, match="documents is str"):
        model.rank("a", "b")
    with pytest.raises(InputTypeError, match="documents is int"):
        model.rank("a", 7)
    with pytest.raises(InputTypeError, match=r"documents\[1\] is missing \(None\)"):
        model.rank("a", ["b", None])
    for name, value in (("top_k", 0), ("top_k", True), ("batch_size", 0), ("activation", "tanh"), ("truncation", "no")):
        with pytest.raises(InputError, match=name):
            model.rank("a", ["b"], **{name: value})
    with pytest.raises(InputError, match="Softmax"):
        model.predict([("a", "b")], activation="Softmax")
    with pytest.raises(InputError, match="3 labels"):
        Reranker.load(folder_of("bert+labels")).rank("a", ["b"])
    with pytest.raises(InputError, match="dtype"):
        Reranker.load(folder_of("bert"), dtype="float16")


def test_weights_that_overflow(tmp_path):
    huge = {"classifier.weight": np.full((1, 35), 3e38, np.float32)}
    model = Reranker.load(goldens.write_checkpoint("bert", "classifier", tmp_path, tensors=huge))
    with pytest.raises(NumericalError, match=r"pairs\[0\]"):
        model.predict([("a", "b")])


# ---- the command ----


def invoke(*arguments, **options):
    from click.testing import CliRunner

    from minembed.cli import main

    return CliRunner().invoke(main, ["rerank", *map(str, arguments)], **options)


def test_the_command(folder_of, tmp_path):
    folder, documents = folder_of("bert"), ["bread", "the cat", "rain"]
    expected = Reranker.load(folder).rank("a dog", documents, return_documents=True)
    result = invoke("a dog", *documents, "-m", folder, "--json")
    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in result.stdout.splitlines()] == expected
    (tmp_path / "documents.txt").write_text("\n".join(documents))
    result = invoke("a dog", "-m", folder, "-i", tmp_path / "documents.txt", "-k", 2)
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    assert lines == [[f"{r['score']:.4f}", str(r["corpus_id"] + 1), r["text"]] for r in expected[:2]]
    assert invoke("a dog", "-m", folder, input="bread\nrain\n").stdout.count("\n") == 2
    assert invoke("a dog", "bread", "-i", tmp_path / "documents.txt").exit_code == 2


def test_the_command_names_what_is_wrong(tiny_checkpoint):
    result = invoke("a dog", "bread", "-m", tiny_checkpoint)
    assert result.exit_code == 1
    assert "Embedder.load" in result.stderr
