"""The sentence-transformers folder: every spelling that is in use is understood, everything else is refused by name."""

import json
import math
import shutil
import warnings

import numpy as np
import pytest
import tiny
from tiny import write_json

from minembed import Embedder
from minembed.errors import ConfigError, MinembedError, ModelWarning, SourceError, UnsupportedModelError
from minembed.transformer.pooling import POOLING, pool
from minembed.weights.directory import read_checkpoint

OLD, NEW = "sentence_transformers.models.", "sentence_transformers."
TRANSFORMER = "base.modules.transformer.Transformer"
POOLING_CLASS, NORMALIZE = "sentence_transformer.modules.pooling.Pooling", "base.modules.normalize.Normalize"
TEXTS = ["a cat", "", "the dog on the river and the bread in the oven", "x"]
LENGTHS = "sentence_bert_config.json"


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    """A copy of the tiny checkpoint (32 wide, 64 positions, at most 32 tokens)."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def modules(*entries):
    return [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(entries)]


def edit(path, **changes):
    """Change entries of a JSON object in a file; None takes an entry out."""
    raw = json.loads(path.read_text()) | changes
    write_json(path, {key: value for key, value in raw.items() if value is not None})


def refused(folder, error, *words):
    """Assert that a folder is refused, by a message with these words, and before anything is computed."""
    with pytest.raises(error) as caught:
        read_checkpoint(folder)
    assert all(word in str(caught.value) for word in words), caught.value


# ---- modules.json ----


@pytest.mark.parametrize(
    "kinds",
    [
        (OLD + "Transformer", OLD + "Pooling", OLD + "Normalize"),
        (NEW + TRANSFORMER, NEW + POOLING_CLASS, NEW + NORMALIZE),
        (OLD + "Transformer", NEW + POOLING_CLASS, OLD + "Normalize"),
    ],
)
def test_old_and_new_spellings(folder, tiny_model, kinds):
    write_json(folder / "modules.json", modules(*zip(["", "1_Pooling", "2_Normalize"], kinds, strict=True)))
    np.testing.assert_array_equal(Embedder.load(folder).encode(TEXTS), tiny_model.encode(TEXTS))


def test_the_folder_of_normalize_need_not_exist(folder, tiny_model):
    (folder / "2_Normalize").rmdir()
    np.testing.assert_array_equal(Embedder.load(folder).encode(TEXTS), tiny_model.encode(TEXTS))


def test_without_normalize(folder, tiny_model):
    write_json(folder / "modules.json", tiny.MODULES[:2])
    vectors = Embedder.load(folder).encode(TEXTS)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (abs(lengths - 1) > 0.1).any()
    # two roundings of float32 for the quotient and the length
    np.testing.assert_allclose(vectors / lengths, tiny_model.encode(TEXTS), atol=3e-7)


def test_a_transformer_in_a_folder_of_its_own(folder, tiny_model):
    (folder / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", LENGTHS):
        (folder / name).rename(folder / "0_Transformer" / name)
    moved = [tiny.MODULES[0] | {"path": "0_Transformer"}, *tiny.MODULES[1:]]
    write_json(folder / "modules.json", moved)
    model = Embedder.load(folder)
    assert model.max_seq_length == 32
    np.testing.assert_array_equal(model.encode(TEXTS), tiny_model.encode(TEXTS))


OTHERS = [OLD + name for name in ("Asym", "BoW", "CLIPModel", "CNN", "LSTM", "WeightedLayerPooling", "WordEmbeddings")]
OTHERS += [OLD + "WordWeights", NEW + "sentence_transformer.modules.word_weights.WordWeights", NEW + "models"]
OTHERS += [NEW + "base.modules.router.Router", NEW + "sparse_encoder.modules.splade_pooling.SpladePooling"]
OTHERS += [NEW + "util.Dense", NEW + "models.evil.Dense", OLD + "dense", OLD + "x.Pooling", OLD, NEW + ".Dense", NEW]
OTHERS += ["custom_st.Transformer", "modeling_x.Pooling", "os.system", "Transformer", "", f"x{OLD}Pooling"]


@pytest.mark.parametrize("kind", OTHERS)
def test_other_modules_and_remote_code(folder, kind):
    write_json(folder / "modules.json", [*tiny.MODULES[:2], tiny.MODULES[2] | {"type": kind}])
    refused(folder, UnsupportedModelError, "modules.json", repr(kind))


@pytest.mark.parametrize(
    "order", [(), (0,), (1,), (2,), (1, 0), (0, 2), (0, 2, 1), (1, 0, 2), (0, 1, 1), (0, 0, 1), (0, 1, 2, 1)]
)
def test_other_orders(folder, order):
    write_json(folder / "modules.json", [tiny.MODULES[i] for i in order])
    refused(folder, UnsupportedModelError, "modules.json")


@pytest.mark.parametrize("content", [{}, "x", 3, None, [1], [[]], [{"path": ""}], [{"type": 3, "path": ""}]])
def test_modules_of_another_shape(folder, content):
    write_json(folder / "modules.json", content)
    refused(folder, (ConfigError, UnsupportedModelError), "modules.json")


@pytest.mark.parametrize("path", [3, ["1_Pooling"], {}, True])
def test_paths_that_are_no_text(folder, path):
    write_json(folder / "modules.json", [tiny.MODULES[0], tiny.MODULES[1] | {"path": path}])
    refused(folder, ConfigError, "modules.json", "path")


@pytest.mark.parametrize("link", ["1_Pooling", "0_Transformer"])
def test_links_that_lead_out(folder, link):
    outside = shutil.copytree(folder, folder.parent / "outside")
    shutil.rmtree(folder / "1_Pooling")
    (folder / link).symlink_to(outside / ("1_Pooling" if link == "1_Pooling" else "."))
    paths = ["0_Transformer" if link == "0_Transformer" else "", "1_Pooling"]
    write_json(folder / "modules.json", [m | {"path": p} for m, p in zip(tiny.MODULES, paths, strict=False)])
    refused(folder, ConfigError, "leads out of the folder")


def test_links_into_the_blobs_of_the_hub_cache(folder, tmp_path, tiny_model):
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "0123", tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    for i, file in enumerate(path for path in folder.rglob("*") if path.is_file()):
        place = snapshot / file.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(blobs / str(i))
        place.symlink_to(blobs / str(i))
    np.testing.assert_array_equal(Embedder.load(snapshot).encode(TEXTS), tiny_model.encode(TEXTS))


# ---- pooling ----

WIDTH = {"word_embedding_dimension": 32}
NEW_WIDTH = {"embedding_dimension": 32}
FLAGS = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens"}
FLAGS |= {"weightedmean_tokens": "weightedmean", "lasttoken": "lasttoken"}  # in the order of their concatenation
FORMS = [({f"pooling_mode_{flag}": True}, [mode]) for flag, mode in FLAGS.items()]
FORMS += [({"pooling_mode": mode}, [mode]) for mode in POOLING]
FORMS += [({}, ["mean"]), ({f"pooling_mode_{flag}": False for flag in FLAGS}, ["mean"])]
FORMS += [({f"pooling_mode_{flag}": True for flag in reversed(FLAGS)}, list(POOLING))]
FORMS += [({"pooling_mode": ["mean", "cls"]}, ["mean", "cls"]), ({"pooling_mode": ["lasttoken"]}, ["lasttoken"])]
FORMS += [({"pooling_mode": "cls", "pooling_mode_mean_tokens": True}, ["cls"])]


@pytest.mark.parametrize("width", [WIDTH, NEW_WIDTH, {}], ids=["old", "new", "none"])
@pytest.mark.parametrize(("form", "modes"), FORMS)
def test_pooling(folder, width, form, modes):
    write_json(folder / "1_Pooling" / "config.json", width | form)
    write_json(folder / "modules.json", tiny.MODULES[:2])
    model = Embedder.load(folder, threads=1)
    tokens = model.tokenize(TEXTS)
    expected = pool(model.forward(tokens), tokens.cu_seqlens, modes)
    assert model.dimension == 32 * len(modes) and model.info()["pooling"] == tuple(modes)
    np.testing.assert_array_equal(model.encode(TEXTS), expected)


NOT_COMPUTED = [{"pooling_mode": mode} for mode in ("median", 3, {}, [], [3], ["mean", "median"], [["mean"]])]
NOT_COMPUTED += [{"pooling_mode": ["mean", "mean"] * 50_000}, {"pooling_mode_median": True}, {"include_prompt": "no"}]
NOT_COMPUTED += [{"pooling_mode_cls_token": "yes"}, {"pooling_mode_cls_token": 1}]


@pytest.mark.parametrize("content", NOT_COMPUTED, ids=lambda content: str(content)[:40])
def test_pooling_that_is_not_computed(folder, content):
    write_json(folder / "1_Pooling" / "config.json", WIDTH | content)
    refused(folder, (ConfigError, UnsupportedModelError), "1_Pooling")


@pytest.mark.parametrize("key", ["word_embedding_dimension", "embedding_dimension"])
@pytest.mark.parametrize("width", [31, 64, "32", 32.5, -32, [32]])
def test_pooling_of_another_width(folder, key, width):
    write_json(folder / "1_Pooling" / "config.json", {key: width, "pooling_mode_mean_tokens": True})
    refused(folder, ConfigError, "1_Pooling", "hidden_size 32")


# ---- length, prompts, similarity ----


@pytest.mark.parametrize("explicit", [3, 17, 32, 64])
def test_an_explicit_length_is_taken_as_it_is(folder, explicit):
    edit(folder / LENGTHS, max_seq_length=explicit)
    edit(folder / "tokenizer_config.json", model_max_length=20)
    assert Embedder.load(folder).max_seq_length == explicit


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(20, 20), (64, 64), (65, 64), (512, 64), (1e30, 64), (10**30, 64), (20.0, 20), (math.inf, 64), (None, 64)],
)
@pytest.mark.parametrize("new", [False, True])
def test_the_tokenizer_and_the_positions_decide_else(folder, limit, expected, new):
    edit(folder / "tokenizer_config.json", model_max_length=limit)
    if new:  # the format of sentence-transformers 6, without a length
        write_json(folder / LENGTHS, {"transformer_task": "feature-extraction", "modality_config": {}})
    else:
        (folder / LENGTHS).unlink()
    assert Embedder.load(folder).max_seq_length == expected


def test_the_positions_decide_where_nothing_is_said(folder):
    (folder / LENGTHS).unlink()
    (folder / "tokenizer_config.json").unlink()
    assert Embedder.load(folder).max_seq_length == 64


@pytest.mark.parametrize("length", [65, 66, 512, 10**30])
def test_a_length_beyond_the_positions_is_capped_and_said(folder, length):
    """As RoBERTa's 514 places of which 512 hold tokens: sentence-transformers computes up to these."""
    edit(folder / LENGTHS, max_seq_length=length)
    message = rf"{LENGTHS}: max_seq_length {length} is beyond the positions of the model, so 64 tokens are read"
    with pytest.warns(ModelWarning, match=message):
        assert Embedder.load(folder).max_seq_length == 64
    with pytest.warns(ModelWarning, match=message):
        assert Embedder.load(folder, max_seq_length=20).max_seq_length == 20


def test_the_older_name_of_the_tokenizers_limit(folder):
    (folder / LENGTHS).unlink()
    write_json(folder / "tokenizer_config.json", {"max_len": 21})
    assert read_checkpoint(folder).max_seq_length == 21


@pytest.mark.parametrize("length", [0, -1, 32.0, 1e30, "32", True, [], {}])
def test_lengths_that_cannot_be(folder, length):
    edit(folder / LENGTHS, max_seq_length=length)
    refused(folder, ConfigError, LENGTHS, "max_seq_length")


@pytest.mark.parametrize("name", ["roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_lengths_under_older_names(folder, name):
    (folder / LENGTHS).unlink()
    write_json(folder / f"sentence_{name}_config.json", {"max_seq_length": 11})
    assert read_checkpoint(folder).max_seq_length == 11


OTHER_TRANSFORMERS = [{"transformer_task": task} for task in ("fill-mask", "text-generation", "retrieval", "", 3)]
OTHER_TRANSFORMERS += [{"module_output_name": name} for name in ("sentence_embedding", "scores", 3)]
OTHER_TRANSFORMERS += [{"query_length": 32}, {"document_length": 180}, {"query_expansion": {"length": 32}}]
OTHER_TRANSFORMERS += [
    {"processing_kwargs": {"text": {"max_length": 3}}},
    {"modality_config": {"text": {"method": "x"}}},
]
OTHER_TRANSFORMERS += [{"modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}}}]
OTHER_TRANSFORMERS += [{f"{kind}_{args}": {"x": 1}} for kind in ("model", "config") for args in ("args", "kwargs")]
OTHER_TRANSFORMERS += [{"tokenizer_args": {"model_max_length": 9}}, {"processor_kwargs": {"truncation_side": "left"}}]


@pytest.mark.parametrize("settings", OTHER_TRANSFORMERS, ids=str)
def test_other_uses_of_the_transformer(folder, settings):
    edit(folder / LENGTHS, **settings)
    refused(folder, UnsupportedModelError, LENGTHS, next(iter(settings)))


HARMLESS = [{"model_args": {"attn_implementation": "sdpa", "torch_dtype": "float16", "trust_remote_code": True}}]
HARMLESS += [{"tokenizer_args": {"padding_side": "left"}}, {"config_args": {"trust_remote_code": True}}]
HARMLESS += [{"unpad_inputs": True}, {"config_args": {}}, {"model_args": None}, {"processing_kwargs": {}}]
HARMLESS += [{"modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}}]


@pytest.mark.parametrize("settings", HARMLESS, ids=str)
def test_settings_of_the_transformer_that_change_no_number(folder, settings, tiny_model):
    edit(folder / LENGTHS, **settings)
    np.testing.assert_array_equal(Embedder.load(folder).encode(TEXTS), tiny_model.encode(TEXTS))


@pytest.mark.parametrize("settings", [{"model_args": []}, {"config_kwargs": "x"}, {"modality_config": 3}], ids=str)
def test_settings_of_the_transformer_of_another_type(folder, settings):
    edit(folder / LENGTHS, **settings)
    refused(folder, ConfigError, LENGTHS, next(iter(settings)))


OVERALL = "config_sentence_transformers.json"


def test_prompts_and_their_default(folder):
    prompts = {"query": "the ", "document": "", "other": None}
    write_json(folder / OVERALL, {"prompts": prompts, "default_prompt_name": "query"})
    model = Embedder.load(folder)
    assert model.checkpoint.prompts == {"query": "the ", "document": "", "other": ""}
    np.testing.assert_array_equal(model.encode("cat"), model.encode("the cat", prompt=""))
    np.testing.assert_array_equal(model.encode("cat", prompt_name="document"), model.encode("cat", prompt=""))


IMPOSSIBLE = [{"prompts": {"a": "b"}, "default_prompt_name": "c"}, {"default_prompt_name": "query"}, {"model_type": 3}]
IMPOSSIBLE += [{"prompts": prompts} for prompts in (["a"], "a", {"a": 1}, {"a": ["b"]})]
IMPOSSIBLE += [{"default_prompt_name": 3}, {"truncate_dim": "8"}, {"truncate_dim": 8.5}, {"similarity_fn_name": 3}]


@pytest.mark.parametrize("content", IMPOSSIBLE)
def test_overall_settings_that_cannot_be(folder, content):
    write_json(folder / OVERALL, content)
    refused(folder, ConfigError, OVERALL)


@pytest.mark.parametrize("dim", [-1, 33, 10**9])
def test_a_truncate_dim_that_cannot_be(folder, dim):
    write_json(folder / OVERALL, {"truncate_dim": dim})
    refused(folder, ConfigError, OVERALL, "truncate_dim")


@pytest.mark.parametrize(
    "content", [{"similarity_fn_name": "jaccard"}, {"model_type": "CrossEncoder"}, {"model_type": "SparseEncoder"}]
)
def test_overall_settings_that_are_not_computed(folder, content):
    write_json(folder / OVERALL, content)
    refused(folder, UnsupportedModelError, OVERALL, *content.values())


@pytest.mark.parametrize("name", [None, "cosine", "dot", "euclidean", "manhattan"])
def test_similarity_by_name(folder, name):
    write_json(folder / OVERALL, {"similarity_fn_name": name, "model_type": "SentenceTransformer", "__version__": {}})
    model = Embedder.load(folder)
    a, b = np.float32([[3, 4]]), np.float32([[0, 1], [3, 4]])
    expected = {"dot": [4, 25], "euclidean": [-math.sqrt(18), 0], "manhattan": [-6, 0]}.get(name, [0.8, 1])
    np.testing.assert_allclose(model.similarity(a, b), [expected], rtol=1e-6)  # float32 has 7 digits
    np.testing.assert_allclose(model.similarity_pairwise(a, b[1:]), expected[1:], rtol=1e-6)


# ---- other folders ----


def test_a_plain_folder_is_pooled_by_the_mean_and_says_so_once(folder, tiny_model):
    (folder / "modules.json").unlink()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = Embedder.load(folder)
        vectors = model.encode(TEXTS)
    assert [w.category for w in caught] == [ModelWarning] and "mean pooling" in str(caught[0].message)
    assert caught[0].filename == __file__  # it points at the caller's line
    tokens = tiny_model.tokenize(TEXTS)
    np.testing.assert_array_equal(vectors, pool(tiny_model.forward(tokens), tokens.cu_seqlens, ["mean"]))


def test_folders_that_are_no_checkpoint(folder, tmp_path):
    refused(tmp_path / "nothing", SourceError, "does not exist")
    refused(folder / "config.json", SourceError, "is not a folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", ConfigError, "no config.json")
    (folder / "config.json").unlink()
    refused(folder, ConfigError, "no config.json")


@pytest.mark.parametrize("name", ["1_Pooling/config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_is_missing(folder, name):
    (folder / name).unlink()
    with pytest.raises(MinembedError, match=name.rpartition("/")[2]):
        Embedder.load(folder)


# ---- config.json ----

CHANGES = [("model_type", v) for v in ("t5", "longformer", "", "BERT")]
CHANGES += [("hidden_act", v) for v in ("gelu_10", "quick_gelu", "tanh", "GELU", "builtins.exec", "")]
CHANGES += [("position_embedding_type", v) for v in ("relative_key", "relative_key_query", "rotary", 3)]
CHANGES += [("is_decoder", True), ("is_decoder", "yes"), ("add_cross_attention", True), ("is_encoder_decoder", True)]
CHANGES += [("embedding_size", 16), ("rope_scaling", {"type": "linear"}), ("quantization_config", {"bits": 8})]


@pytest.mark.parametrize(("key", "value"), CHANGES)
def test_other_mathematics_is_refused_by_name(folder, key, value):
    edit(folder / "config.json", **{key: value})
    refused(folder, UnsupportedModelError, "config.json", key, repr(value))


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"])
def test_activations(folder, name):
    edit(folder / "config.json", hidden_act=name)
    assert read_checkpoint(folder).config.hidden_act == name


SIZES = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"]
SIZES += ["max_position_embeddings", "type_vocab_size"]


@pytest.mark.parametrize("key", SIZES)
def test_sizes_that_cannot_be(folder, key):
    for value in (0, -1, 10**9, 2**63, 10**400, 32.0, 1.5, True, "32", [32], {}, math.inf):
        edit(folder / "config.json", **{key: value})
        with pytest.raises(ConfigError, match=rf"config\.json.*{key}|{key}.*config\.json"):
            Embedder.load(folder)
    edit(folder / "config.json", **{key: None})
    refused(folder, ConfigError, "config.json", f"{key} is missing")


@pytest.mark.parametrize("heads", [3, 5, 31, 33, 64])
def test_heads_that_do_not_divide_the_width(folder, heads):
    edit(folder / "config.json", num_attention_heads=heads)
    refused(folder, ConfigError, "hidden_size 32", f"num_attention_heads {heads}")


@pytest.mark.parametrize(
    "eps", [0, 0.0, -1e-12, 1.0, 5, math.nan, math.inf, "1e-12", True, [], 10**400], ids=lambda eps: str(eps)[:9]
)
def test_an_epsilon_that_cannot_be(folder, eps):
    edit(folder / "config.json", layer_norm_eps=eps)
    refused(folder, ConfigError, "config.json", "layer_norm_eps")


@pytest.mark.parametrize("key", ["model_type", "hidden_act", "layer_norm_eps"])
def test_settings_that_are_missing_or_of_another_type(folder, key):
    edit(folder / "config.json", **{key: None})
    refused(folder, (ConfigError, UnsupportedModelError), "config.json", key)
    edit(folder / "config.json", **{key: ["gelu"]})
    refused(folder, ConfigError, "config.json", key)


def test_a_model_larger_than_its_tensors_is_refused_before_anything_is_allocated(folder):
    edit(folder / "config.json", vocab_size=1 << 24, hidden_size=1 << 20, num_attention_heads=4)
    edit(folder / "1_Pooling" / "config.json", word_embedding_dimension=1 << 20)
    with pytest.raises(MinembedError, match="expected"):
        Embedder.load(folder)
