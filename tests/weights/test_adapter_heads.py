"""Adapters of checkpoints with heads: scores of pairs and words for masks are those of weights merged by hand."""

import golden_heads
import numpy as np
import pytest
from safetensors.numpy import save_file
from tiny import write_json

from minembed import Embedder, Reranker
from minembed.errors import UnsupportedModelError, WeightsError
from minembed.sentence_transformers import CrossEncoder

SCALE = 2.0  # lora_alpha / r


def write_lora(folder, base, tensors, modules, saved=(), **settings):
    """Write a LoRA of these modules, with whole tensors beside it, and return what the base's tensors become."""
    rng = np.random.default_rng(3)
    own, merged = {}, dict(tensors)
    for module in modules:
        rows, columns = tensors[f"{module}.weight"].shape
        a, b = (rng.standard_normal(shape).astype(np.float32) * 0.2 for shape in ((2, columns), (rows, 2)))
        parts = {"lora_A.weight": a, "lora_B.weight": b}
        if module.endswith("embeddings"):
            parts = {"lora_embedding_A": np.ascontiguousarray(b.T), "lora_embedding_B": np.ascontiguousarray(a.T)}
        own |= {f"base_model.model.{module}.{part}": array for part, array in parts.items()}
        merged[f"{module}.weight"] = tensors[f"{module}.weight"] + SCALE * (b @ a)
    for name in saved:
        merged[name] = (tensors[name] + rng.standard_normal(tensors[name].shape)).astype(np.float32)
        own[f"base_model.model.{name}"] = merged[name]
    whole = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": str(base)} | settings
    write_json(folder / "adapter_config.json", whole)
    save_file(own, folder / "adapter_model.safetensors")
    return merged


QUERIES = [f"bert.encoder.layer.{i}.attention.self.query" for i in range(golden_heads.LAYERS)]
CLASSIFIER = ("classifier.weight", "classifier.bias")


@pytest.mark.parametrize("place", ["alone", "beside"])
def test_scores_of_pairs(place, tmp_path):
    tensors = golden_heads.tensors_of(golden_heads.read("bert+labels"), "classifier")
    base = golden_heads.write_checkpoint("bert+labels", "classifier", tmp_path / "base")
    folder = base if place == "beside" else tmp_path / "adapter"
    settings = {"task_type": "SEQ_CLS", "target_modules": ["query", "pooler.dense"], "modules_to_save": ["classifier"]}
    merged = write_lora(folder, base, tensors, [*QUERIES, "bert.pooler.dense"], CLASSIFIER, **settings)
    by_hand = golden_heads.write_checkpoint("bert+labels", "classifier", tmp_path / "merged", tensors=merged)
    model, expected = Reranker.load(folder, backend="numpy"), Reranker.load(by_hand, backend="numpy")
    assert model.info()["adapter"]["base"] == str(base)
    np.testing.assert_allclose(
        model.predict(golden_heads.PAIRS, truncation="silent"),
        expected.predict(golden_heads.PAIRS, truncation="silent"),
        rtol=0,
        atol=1e-5,  # of scores of a few units: the sums of the merge are rounded once, or twice
    )
    saved = CrossEncoder(str(folder))
    saved.save_pretrained(str(tmp_path / "saved"))
    assert not list((tmp_path / "saved").glob("adapter*"))
    again = Reranker.load(tmp_path / "saved", backend="numpy").predict(golden_heads.PAIRS, truncation="silent")
    np.testing.assert_array_equal(again, model.predict(golden_heads.PAIRS, truncation="silent"))
    plain = golden_heads.write_checkpoint("bert+labels", "classifier", tmp_path / "plain")
    before = Reranker.load(plain, backend="numpy").predict(golden_heads.PAIRS, truncation="silent")
    assert np.abs(before - model.predict(golden_heads.PAIRS, truncation="silent")).max() > 0.1


def test_a_classifier_of_another_number_of_labels(tmp_path):
    tensors = golden_heads.tensors_of(golden_heads.read("bert+labels"), "classifier")
    base = golden_heads.write_checkpoint("bert+labels", "classifier", tmp_path / "base")
    fewer = tensors | {
        "classifier.weight": tensors["classifier.weight"][:1],
        "classifier.bias": np.zeros(1, np.float32),
    }
    settings = {"target_modules": ["query"], "modules_to_save": ["classifier"]}
    write_lora(tmp_path / "adapter", base, fewer, QUERIES, CLASSIFIER, **settings)
    with pytest.raises(WeightsError, match=r"classifier\.weight has shape \(1, 35\), expected \(3, 35\)"):
        Reranker.load(tmp_path / "adapter", backend="numpy")


@pytest.mark.filterwarnings("ignore:.*has no modules.json")
def test_words_for_masks(tmp_path):
    tensors = golden_heads.tensors_of(golden_heads.read("bert"), "masked")
    base = golden_heads.write_checkpoint("bert", "masked", tmp_path / "base")
    merged = write_lora(tmp_path / "adapter", base, tensors, QUERIES, target_modules=["query"])
    by_hand = golden_heads.write_checkpoint("bert", "masked", tmp_path / "merged", tensors=merged)
    found, expected = (
        Embedder.load(folder, backend="numpy").fill_mask("the cat [MASK] the tree.")
        for folder in (tmp_path / "adapter", by_hand)
    )
    assert [word["token"] for word in found] == [word["token"] for word in expected]
    np.testing.assert_allclose([w["score"] for w in found], [w["score"] for w in expected], rtol=1e-4)
    write_lora(
        tmp_path / "words", base, tensors, ["bert.embeddings.word_embeddings"], target_modules=["word_embeddings"]
    )
    with pytest.raises(UnsupportedModelError, match="changes the word embeddings, but not the decoder"):
        Embedder.load(tmp_path / "words", backend="numpy").fill_mask("[MASK]")
