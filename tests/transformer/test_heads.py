"""Masked-LM heads against transformers, in both tiers: the words' logits, filled masks, and what is refused."""

import math
import tracemalloc
import warnings

import golden_families
import golden_heads as goldens
import numpy as np
import pytest
from tiny import VOCABULARY, write_tiny_checkpoint
from tokenizers import Tokenizer, models

from minembed import Embedder
from minembed.errors import (
    BackendWarning,
    InputError,
    InputTypeError,
    MissingHeadError,
    NumericalError,
    TokenizationError,
    TruncationWarning,
    UnsupportedModelError,
    WeightsError,
)
from minembed.models.fill_mask import MaskFiller, special_id
from minembed.runtime.threads import single_threaded_blas
from minembed.transformer.heads import word_scores
from minembed.weights.families import FAMILIES
from minembed.weights.heads import MASKED

LOGITS = 5e-6  # the contract of hidden states, times the largest |logit|; torch's float32 is 1.8e-6 away
PROBABILITY = 1e-5  # e^(difference of logits of 20) - 1
FEWER_BITS = {"bfloat16": 0.05, "int8": 0.15}  # as LOGITS; of random weights
NAMES = [name for name, case in goldens.CASES.items() if "masked" in case.kinds]
MASK = VOCABULARY.index("[MASK]")


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The folder of a golden; read it, but write another before changing it."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = goldens.write_checkpoint(name, "masked", tmp_path_factory.mktemp(name))
        return made[name]

    return folder


def load(folder, **options):
    """Load a plain folder, whose pooling nothing here asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Embedder.load(folder, **options)


def logits_of(model, golden):
    filler = MaskFiller.load(model.engine)
    with single_threaded_blas():
        return word_scores(model.engine.compute(goldens.tokens_of(golden))[:: goldens.EVERY], filler.head)


def distance(got, expected):
    return np.abs(got - expected).max() / max(1, np.abs(expected).max())


def flat(answer):
    """Every word that was proposed, whatever the lists around them."""
    return [answer] if isinstance(answer, dict) else [word for part in answer for word in flat(part)]


# ---- numbers ----


def test_every_family_with_a_head_has_a_golden():
    covered = {name.partition("+")[0] for name in NAMES}
    assert set(MASKED) - covered == {"jina_bert"}  # transformers has no such code: its oracle is below
    assert set(FAMILIES) - set(MASKED) <= {"qwen3", "gemma3_text"}  # decoders


@pytest.mark.parametrize("name", NAMES)
def test_logits_of_every_word(name, tier, folder_of):
    golden = goldens.read(name)
    assert distance(logits_of(load(folder_of(name), backend=tier), golden), golden["masked"]) <= LOGITS


@pytest.mark.parametrize("dtype", sorted(FEWER_BITS))
@pytest.mark.parametrize("name", NAMES)
def test_logits_in_fewer_bits(name, tier, dtype, folder_of):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)
        model = load(folder_of(name), backend=tier, dtype=dtype)
    golden = goldens.read(name)
    assert distance(logits_of(model, golden), golden["masked"]) <= FEWER_BITS[dtype]


@pytest.mark.parametrize("name", NAMES)
def test_filled_as_the_pipeline_of_transformers(name, tier, folder_of):
    model = load(folder_of(name), backend=tier)
    expected = goldens.said(goldens.read(name), "said/filled")
    filled = model.fill_mask(goldens.MASKS, top_k=4)
    assert [type(answer[0]) for answer in filled] == [type(answer[0]) for answer in expected]
    for got, word in zip(flat(filled), flat(expected), strict=True):
        assert {**got, "score": 0} == {**word, "score": 0}
        assert abs(got["score"] - word["score"]) <= PROBABILITY
        assert list(got) == ["score", "token", "token_str", "sequence"]


def test_alone_and_together_are_the_same(folder_of, tier):
    model = load(folder_of("bert"), backend=tier, threads=2)
    together = model.fill_mask(iter(goldens.MASKS * 40), top_k=3)  # more than are computed at once
    assert together == together[: len(goldens.MASKS)] * 40
    assert [model.fill_mask(text, top_k=3) for text in goldens.MASKS] == together[: len(goldens.MASKS)]
    assert model.fill_mask([goldens.MASKS[0]], 3) == [together[0]]
    assert load(folder_of("bert"), backend=tier, threads=1).fill_mask(goldens.MASKS, 3) == together[:4]


def test_probabilities_of_all_words(folder_of):
    model = load(folder_of("roberta"))
    words = model.fill_mask("the [MASK]", top_k=model.config.vocab_size)
    assert abs(sum(word["score"] for word in words) - 1) < 1e-5
    assert [word["score"] for word in words] == sorted((word["score"] for word in words), reverse=True)
    assert len({word["token"] for word in words}) == model.config.vocab_size
    assert len(model.fill_mask("the [MASK]")) == 5


def test_equal_words_stand_by_their_ids(tmp_path):
    rows = np.zeros((157, 35), np.float32)
    tensors = {"lm_head.decoder.weight": rows, "lm_head.bias": np.repeat(np.float32([0, 1]), [100, 57])}
    model = load(goldens.write_checkpoint("roberta", "masked", tmp_path, tensors=tensors))
    assert [word["token"] for word in model.fill_mask("[MASK]", 3)] == [100, 101, 102]


def test_an_alibi_encoder_by_its_oracle(tmp_path, tier):
    golden, rng = golden_families.read("jina_bert"), np.random.default_rng(0)
    width, V = golden["hidden"].shape[-1], 157
    dense, norm, bias = "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"
    shapes = {f"{dense}.weight": (width, width), f"{dense}.bias": (width,), f"{norm}.weight": (width,)}
    shapes |= {f"{norm}.bias": (width,), bias: (V,)}
    head = {name: (rng.standard_normal(shape) / width**0.5).astype(np.float32) for name, shape in shapes.items()}
    model = load(golden_families.write_checkpoint(golden, tmp_path, tensors=head), backend=tier)
    w = {name: tensor.astype(np.float64) for name, tensor in head.items()}
    x = golden["hidden"][-1][:13] @ w[f"{dense}.weight"].T + w[f"{dense}.bias"]  # rows of the first texts
    x = x * np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))(x)
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-12)
    x = x * w[f"{norm}.weight"] + w[f"{norm}.bias"]
    words = golden["tensors/embeddings.word_embeddings.weight"].astype(np.float64)
    tokens = golden_families.tokens_of(golden).select([0, 1, 2, 3])
    with single_threaded_blas():
        got = word_scores(model.engine.compute(tokens), MaskFiller.load(model.engine).head)
    assert distance(got, x @ words.T + w[bias]) <= LOGITS


# ---- the decoder ----


def test_a_decoder_of_its_own(tmp_path, folder_of):
    golden = goldens.read("bert")
    own = goldens.tensors_of(golden, "masked")["bert.embeddings.word_embeddings.weight"]
    same = {"cls.predictions.decoder.weight": own, "cls.predictions.decoder.bias": np.zeros(157, np.float32)}
    model = load(goldens.write_checkpoint("bert", "masked", tmp_path / "a", tensors=same))
    expected = load(folder_of("bert")).fill_mask(goldens.MASKS)
    assert model.fill_mask(goldens.MASKS) == expected  # cls.predictions.bias is what counts
    other = {"cls.predictions.decoder.weight": own[::-1].copy()}
    model = load(goldens.write_checkpoint("bert", "masked", tmp_path / "b", tensors=other))
    assert model.fill_mask(goldens.MASKS) != expected


def test_a_bias_under_its_other_name(tmp_path, folder_of):
    bias = goldens.tensors_of(goldens.read("roberta"), "masked")["lm_head.bias"]
    renamed = {"lm_head.bias": None, "lm_head.decoder.bias": bias}
    model = load(goldens.write_checkpoint("roberta", "masked", tmp_path, tensors=renamed))
    assert model.fill_mask(goldens.MASKS) == load(folder_of("roberta")).fill_mask(goldens.MASKS)


def test_heads_without_biases(tmp_path):
    names = ("cls.predictions.transform.dense.bias", "cls.predictions.bias")  # as the publishers of NomicBERT have it
    none, zero = dict.fromkeys(names), {names[0]: np.zeros(42, np.float32), names[1]: np.zeros(157, np.float32)}
    a, b = (
        load(goldens.write_checkpoint("nomic_bert", "masked", tmp_path / key, tensors=tensors))
        for key, tensors in (("a", none), ("b", zero))
    )
    assert a.fill_mask(goldens.MASKS) == b.fill_mask(goldens.MASKS)


def test_the_prefix_of_transformers_for_nomicbert(tmp_path, folder_of):
    tensors = goldens.tensors_of(goldens.read("nomic_bert"), "masked")
    renamed = {name.replace("bert.", "nomic_bert.", 1): tensor for name, tensor in tensors.items()}
    folder = goldens.write_checkpoint("nomic_bert", "masked", tmp_path, tensors=dict.fromkeys(tensors) | renamed)
    assert load(folder).fill_mask(goldens.MASKS) == load(folder_of("nomic_bert")).fill_mask(goldens.MASKS)


# ---- memory ----


def test_an_embedder_keeps_no_head(folder_of):
    model = load(folder_of("bert"))
    before = str(model.info())
    model.fill_mask("[MASK]")  # what is imported late stays
    tracemalloc.start()
    model.fill_mask("[MASK]")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 157 * 35 * 4  # less than the decoder
    assert str(model.info()) == before


def test_a_filler_of_ones_own(folder_of):
    model = load(folder_of("bert"))
    filler = MaskFiller.load(model.engine)
    assert filler.mask_token == "[MASK]"
    assert filler(goldens.MASKS, top_k=2) == model.fill_mask(goldens.MASKS, top_k=2)


# ---- refusals ----


def test_a_checkpoint_without_its_head(tiny_checkpoint, tmp_path):
    with pytest.raises(
        MissingHeadError, match=r"saved without its masked-LM head \(cls\.predictions\.transform\.dense"
    ):
        load(tiny_checkpoint).fill_mask("[MASK]")
    rest = {"bert.cls.predictions.bias": None, "cls.predictions.transform.dense.weight": None}
    with pytest.raises(MissingHeadError, match="ForMaskedLM"):  # what is left of it does not do
        load(goldens.write_checkpoint("bert", "masked", tmp_path, tensors=rest)).fill_mask("[MASK]")


@pytest.mark.weights
def test_the_default_model_was_saved_without_its_head(minilm):
    with pytest.raises(MissingHeadError, match="was saved without its masked-LM head"):
        minilm.fill_mask("The cat sat on the [MASK].")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"cls.predictions.bias": None}, r"cls\.predictions\.decoder\.bias is missing"),
        ({"cls.predictions.bias": np.zeros(3, np.float32)}, r"cls\.predictions\.bias has shape \(3,\)"),
        ({"cls.predictions.transform.LayerNorm.gamma": None}, r"LayerNorm\.weight is missing"),
        ({"cls.predictions.decoder.weight": np.zeros((35, 157), np.float32)}, r"expected \(157, 35\)"),
    ],
    ids=str,
)
def test_heads_that_do_not_fit(tensors, message, tmp_path):
    model = load(goldens.write_checkpoint("bert", "masked", tmp_path, tensors=tensors))
    with pytest.raises(WeightsError, match=message):
        model.fill_mask("[MASK]")
    assert model.encode("the cat").shape == (35,)


def test_a_decoder_model_has_none(tmp_path):
    model = load(golden_families.write_checkpoint(golden_families.read("qwen3"), tmp_path))
    with pytest.raises(UnsupportedModelError, match="masked-LM head of 'qwen3'"):
        model.fill_mask("[MASK]")


def test_bad_arguments(folder_of):
    model = load(folder_of("bert"))
    with pytest.raises(InputError, match=r"texts\[0\] has no \[MASK\]"):
        model.fill_mask("the cat")
    with pytest.raises(InputError, match=r"texts\[66\] has no \[MASK\]"):
        model.fill_mask(["[MASK]"] * 66 + ["the cat"])
    for top_k in (0, -1, True, 2.5, 158, None):
        with pytest.raises(InputError, match="top_k must be a whole number from 1 to the 157 words"):
            model.fill_mask("[MASK]", top_k)
    with pytest.raises(InputTypeError, match=r"texts\[1\] is missing \(None\)"):
        model.fill_mask(["[MASK]", None])
    with pytest.raises(InputTypeError, match="texts is int"):
        model.fill_mask(7)
    assert model.fill_mask([]) == []


def test_long_texts(folder_of):
    model = load(folder_of("bert"))
    with pytest.warns(TruncationWarning, match=r"41 tokens were cut: texts\[0\]"):
        model.fill_mask("[MASK] " + "rain " * 60)
    with pytest.raises(InputError, match="among the first 41 tokens"):
        model.fill_mask("rain " * 60 + "[MASK]")


def test_weights_that_overflow(tmp_path):
    huge = {
        "cls.predictions.bias": np.full(157, np.float32(3e38)),
        "cls.predictions.decoder.weight": np.full((157, 35), np.float32(3e38)),
    }
    model = load(goldens.write_checkpoint("bert", "masked", tmp_path, tensors=huge))
    with pytest.raises(NumericalError, match=r"texts\[0\]"):
        model.fill_mask("[MASK]")


def test_an_activation_that_is_not_computed(tmp_path):
    config = {"classifier_activation": "mish"}
    model = load(goldens.write_checkpoint("modernbert", "masked", tmp_path, config))
    with pytest.raises(UnsupportedModelError, match="classifier_activation = 'mish'"):
        model.fill_mask("[MASK]")


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ({"mask_token": "[MASK]"}, MASK),
        ({"mask_token": {"content": "[MASK]", "lstrip": True}}, MASK),
        ({"mask_token": None}, MASK),
        ({"mask_token": "bread"}, VOCABULARY.index("bread")),
        ({"mask_token": "not a word"}, None),
    ],
    ids=str,
)
def test_which_token_is_the_mask(named, found, tmp_path):
    goldens.write_checkpoint("bert", "masked", tmp_path, tokenizer=named)
    assert special_id(goldens.pair_tokenizer(), tmp_path, "mask_token") == found


def test_a_tokenizer_without_a_mask(tmp_path, monkeypatch):
    model = load(goldens.write_checkpoint("bert", "masked", tmp_path, tokenizer={"mask_token": "not a word"}))
    with pytest.raises(InputError, match="has no not a word among"):  # which is added, as transformers 5 does
        model.fill_mask("[MASK]")
    monkeypatch.setattr("minembed.models.fill_mask.special_id", lambda *args: None)
    with pytest.raises(TokenizationError, match="no mask token"):
        model.fill_mask("[MASK]")
    assert special_id(Tokenizer(models.BPE({"<mask>": 0}, [])), tmp_path / "nowhere", "mask_token") == 0


def test_a_stored_int8_folder_keeps_no_head(tmp_path):
    from click.testing import CliRunner

    from minembed.cli import main

    source = write_tiny_checkpoint(tmp_path / "source")
    assert CliRunner().invoke(main, ["quantize", str(source), str(tmp_path / "small")]).exit_code == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)
        model = Embedder.load(tmp_path / "small")
    with pytest.raises(MissingHeadError, match="quantize"):
        model.fill_mask("[MASK]")
