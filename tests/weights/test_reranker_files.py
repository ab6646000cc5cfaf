"""What the folder of a cross-encoder says, old and new, and what is refused; mutated files end in named errors."""

import json
import pickle
import random
import warnings
from functools import reduce

import golden_families
import golden_heads as goldens
import numpy as np
import pytest
from click.testing import CliRunner
from tiny import write_json, write_tiny_checkpoint

from minembed import Embedder, MinembedError, Reranker
from minembed.cli import main
from minembed.errors import (
    ConfigError,
    MissingHeadError,
    SourceError,
    TruncationWarning,
    UnsupportedModelError,
    WeightsError,
)

NEW_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
]
NEW_TRANSFORMER = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """The folder of a golden; read it, but write another before changing it."""
    return goldens.write_checkpoint("bert", "classifier", tmp_path_factory.mktemp("bert"))


def scores_of(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        return Reranker.load(folder, backend="numpy").predict(goldens.PAIRS)


# ---- what the files say ----


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"sentence_transformers": None}, "Sigmoid"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}}, "Sigmoid"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, "Identity"),
        ({"sentence_transformers": None, "sbert_ce_default_activation_function": goldens.IDENTITY}, "Identity"),
        ({"sentence_transformers": {}, "sbert_ce_default_activation_function": None}, "Sigmoid"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Tanh"}}, "Tanh"),
    ],
    ids=str,
)
def test_which_activation(config, activation, tmp_path):
    model = Reranker.load(goldens.write_checkpoint("bert", "classifier", tmp_path, config))
    assert model.info()["activation"] == activation


@pytest.mark.parametrize("named", ["my_package.Secret", "torch.nn.PReLU", 7, "torch.os.system"])
def test_an_activation_that_is_not_computed(named, tmp_path):
    config = {"sentence_transformers": {"activation_fn": named}}
    with pytest.raises(UnsupportedModelError, match="nothing is imported by name"):
        Reranker.load(goldens.write_checkpoint("bert", "classifier", tmp_path, config))


def new_layout(folder, overall=None, transformer=None, modules=None):
    """Add the files that sentence-transformers writes since release 5.4."""
    goldens.write_checkpoint("bert", "classifier", folder, {"sentence_transformers": None})
    write_json(folder / "modules.json", NEW_MODULES if modules is None else modules)
    write_json(folder / "sentence_bert_config.json", NEW_TRANSFORMER | (transformer or {}))
    own = {"model_type": "CrossEncoder", "activation_fn": goldens.IDENTITY, "prompts": {}, "default_prompt_name": None}
    write_json(folder / "config_sentence_transformers.json", own | (overall or {}))
    return folder


def test_the_new_layout(tmp_path, bert):
    model = Reranker.load(new_layout(tmp_path))
    assert model.info()["activation"] == "Identity"
    expected = scores_of(bert)
    np.testing.assert_array_equal(scores_of(tmp_path), expected)
    assert Reranker.load(new_layout(tmp_path, transformer={"max_seq_length": 12})).max_seq_length == 12
    assert Reranker.load(new_layout(tmp_path, {"activation_fn": None})).info()["activation"] == "Sigmoid"


def test_a_model_that_scores_by_its_words_is_refused(tmp_path):
    kind = "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"
    modules = [*NEW_MODULES, {"idx": 1, "name": "1", "path": "1_LogitScore", "type": kind}]
    with pytest.raises(UnsupportedModelError, match="Transformer -> LogitScore"):
        Reranker.load(new_layout(tmp_path, modules=modules))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"overall": {"model_type": "SparseEncoder"}}, UnsupportedModelError, "SparseEncoder"),
        ({"overall": {"model_type": "SentenceTransformer"}}, MissingHeadError, "Embedder.load"),
        ({"transformer": {"transformer_task": "fill-mask"}}, UnsupportedModelError, "fill-mask"),
        (
            {"overall": {"prompts": {"q": "query: "}, "default_prompt_name": "q"}},
            UnsupportedModelError,
            "default_prompt_name",
        ),
        ({"overall": {"activation_fn": "custom.Scores"}}, UnsupportedModelError, "custom.Scores"),
        ({"modules": [{**NEW_MODULES[0], "type": "custom_st.Transformer"}]}, UnsupportedModelError, "custom_st"),
        ({"modules": [{**NEW_MODULES[0], "path": "../other"}]}, ConfigError, "plain path"),
        ({"modules": []}, ConfigError, "modules.json"),
        ({"transformer": {"query_length": 8}}, UnsupportedModelError, "'query_length' is not known here"),
        ({"transformer": {"module_output_name": "logits"}}, UnsupportedModelError, "module_output_name"),
        ({"transformer": {"model_args": {"num_labels": 2}}}, UnsupportedModelError, "model_args"),
        ({"transformer": {"max_seq_length": 0}}, ConfigError, "max_seq_length 0 must be from 1 to"),
        ({"transformer": {"max_seq_length": "9"}}, ConfigError, "max_seq_length must be of type int"),
        ({"overall": {"default_prompt_name": "q"}}, UnsupportedModelError, "default_prompt_name"),
        ({"overall": {"default_prompt_name": ["q"]}}, ConfigError, "default_prompt_name"),
    ],
    ids=str,
)
def test_refusals_of_the_new_layout(changes, error, message, tmp_path):
    with pytest.raises(error, match=message):
        Reranker.load(new_layout(tmp_path, **changes))


def test_a_prompt_that_is_only_there_to_be_named(tmp_path):
    assert Reranker.load(new_layout(tmp_path, {"prompts": {"q": "query: "}})).labels == ("LABEL_0",)


# ---- what is no cross-encoder ----


def test_an_embedder_is_no_reranker(tiny_checkpoint, tmp_path):
    with pytest.raises(MissingHeadError, match=r"Transformer -> Pooling -> Normalize.*Embedder\.load") as caught:
        Reranker.load(tiny_checkpoint)
    assert isinstance(caught.value, LookupError | MinembedError)
    plain = write_tiny_checkpoint(tmp_path / "a", modules=[], config={"architectures": ["BertModel"]})
    with pytest.raises(MissingHeadError, match="architecture BertModel"):
        Reranker.load(plain)
    unsaid = write_tiny_checkpoint(tmp_path / "b", modules=[], config={"architectures": None})
    with pytest.raises(MissingHeadError, match=r"without its classification head \(classifier\.weight"):
        Reranker.load(unsaid)


def test_classes_of_tokens_are_no_scores(tmp_path):
    config = {"architectures": ["ModernBertForTokenClassification"]}  # has the same tensors
    with pytest.raises(MissingHeadError, match="ForTokenClassification"):
        Reranker.load(goldens.write_checkpoint("modernbert", "classifier", tmp_path, config))


def test_a_cross_encoder_is_no_embedder(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"Reranker\.load"):
        Embedder.load(new_layout(tmp_path))


def test_a_decoder_is_refused(tmp_path):
    config = {"architectures": ["Qwen3ForSequenceClassification"]}
    golden_families.write_checkpoint(golden_families.read("qwen3"), tmp_path, config=config)
    (tmp_path / "modules.json").unlink()
    with pytest.raises(UnsupportedModelError, match="qwen3"):
        Reranker.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "tensors", "error", "message"),
    [
        ({"id2label": {"0": "a", "1": "b"}}, {}, WeightsError, r"classifier\.weight has shape \(1, 35\)"),
        ({"id2label": None, "num_labels": 2}, {}, WeightsError, r"expected \(2, 35\)"),
        ({"id2label": None}, {}, WeightsError, r"expected \(2, 35\)"),
        ({"id2label": {"1": "a"}}, {}, ConfigError, "id2label"),
        ({"id2label": ["a"]}, {}, ConfigError, "id2label"),
        ({"id2label": None, "num_labels": 0}, {}, ConfigError, "num_labels"),
        ({"id2label": None, "num_labels": "1"}, {}, ConfigError, "num_labels"),
        ({}, {"bert.pooler.dense.weight": None}, WeightsError, r"pooler\.dense\.weight is missing"),
        ({}, {"classifier.bias": None}, WeightsError, r"classifier\.bias is missing"),
        ({}, {"classifier.weight": None}, MissingHeadError, "without its classification head"),
    ],
    ids=str,
)
def test_heads_that_do_not_fit(config, tensors, error, message, tmp_path):
    with pytest.raises(error, match=message):
        Reranker.load(goldens.write_checkpoint("bert", "classifier", tmp_path, config, tensors))


def test_num_labels_alone(tmp_path):
    config = {"id2label": None, "num_labels": 1}
    assert Reranker.load(goldens.write_checkpoint("bert", "classifier", tmp_path, config)).labels == ("LABEL_0",)
    config = {"id2label": {"0": "relevant"}, "num_labels": 7}  # id2label counts, as in transformers
    assert Reranker.load(goldens.write_checkpoint("bert", "classifier", tmp_path, config)).labels == ("relevant",)


def test_refusals_of_a_modernbert(tmp_path):
    for key, value in (("classifier_pooling", "max"), ("classifier_activation", "mish")):
        with pytest.raises(UnsupportedModelError, match=key):
            Reranker.load(goldens.write_checkpoint("modernbert", "classifier", tmp_path, {key: value}))


def test_names_and_folders(tmp_path):
    with pytest.raises(SourceError, match="cross-encoder/some-reranker"):
        Reranker.load("some-reranker", local_files_only=True)
    with pytest.raises(SourceError, match="no folder"):
        Reranker.load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no room for a pair"):
        Reranker.load(goldens.write_checkpoint("bert", "classifier", tmp_path / "c"), max_seq_length=4)
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        Reranker.load(tmp_path)


def test_a_stored_int8_folder_has_no_head(tmp_path):
    source = write_tiny_checkpoint(tmp_path / "source")
    assert CliRunner().invoke(main, ["quantize", str(source), str(tmp_path / "small")]).exit_code == 0
    (tmp_path / "small" / "modules.json").unlink()
    raw = json.loads((tmp_path / "small" / "config.json").read_text())
    write_json(tmp_path / "small" / "config.json", raw | {"architectures": ["BertForSequenceClassification"]})
    with pytest.raises(MissingHeadError, match="quantize"):
        Reranker.load(tmp_path / "small")


def test_it_survives_pickling(bert):
    model = Reranker.load(bert, threads=2)
    again = pickle.loads(pickle.dumps(model))  # our own bytes
    np.testing.assert_array_equal(again.predict([("a", "b")]), model.predict([("a", "b")]))


# ---- mutated files ----

JUNK = [None, True, 0, 1, -1, 3.5, 1e30, float("inf"), "", "x", "cls", "\ud800", [], ["x"], {}, {"a": []}, 10**30, [[]]]
MUTATIONS = 40  # a file
FILES = ["config.json", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"]
FILES += ["tokenizer_config.json"]
# what else would change the scores is caught by the shapes of the tensors
MEANT = {
    "activation_fn",
    "model_input_names",
    "num_attention_heads",
    "max_seq_length",
    *(f"{part}_token" for part in ("cls", "sep", "unk", "pad", "mask")),  # which are matched in texts
    "added_tokens_decoder",
    "model_max_length",
    "hidden_act",
}
MEANT |= {"layer_norm_eps", "truncation_side", "do_lower_case"}


def places(value, path=()):
    """Every place in a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inside:
        yield (*path, key)
        yield from places(child, (*path, key))


@pytest.mark.parametrize("name", FILES)
def test_mutated_files(name, tmp_path):
    rng, path = random.Random(name), new_layout(tmp_path) / name
    expected, original = scores_of(tmp_path), path.read_text()
    for _ in range(MUTATIONS):
        mutated = json.loads(original)
        *above, last = place = rng.choice(list(places(mutated)))
        parent = reduce(lambda value, key: value[key], above, mutated)
        if rng.random() < 0.2:
            del parent[last]
        else:
            parent[last] = rng.choice(JUNK)
        path.write_text(json.dumps(mutated))
        try:
            scores = scores_of(tmp_path)
        except MinembedError:
            continue
        assert MEANT & set(map(str, place)) or np.array_equal(scores, expected), mutated
