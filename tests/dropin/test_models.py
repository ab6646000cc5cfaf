"""SentenceTransformer and CrossEncoder over small models: settings are heeded or refused, and nothing is in silence."""

import json

import golden_adapters
import golden_families
import golden_heads
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny import write_tiny_checkpoint

from minembed import Embedder, Reranker
from minembed.errors import (
    InputError,
    InputTypeError,
    MinembedError,
    MissingExtraError,
    ModelWarning,
    TruncationWarning,
    UnsupportedCallError,
)
from minembed.sentence_transformers import CrossEncoder, SentenceTransformer, models, util
from minembed.sentence_transformers.tensors import Device, as_array, has_torch

TEXTS = ["the cat on the tree", "a dog in the rain", "bread", "the sun and the rain on the house of the dog"]


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cross")
    golden_heads.write_checkpoint("bert", "classifier", folder)
    return folder


@pytest.fixture
def model(tiny_checkpoint):
    return SentenceTransformer(str(tiny_checkpoint), device="cpu")


def same(a, b):
    return np.array_equal(as_array(a), as_array(b))


def test_vectors_are_those_of_the_embedder(model, tiny_model):
    expected = tiny_model.encode(TEXTS, normalize_embeddings=False)
    assert same(model.encode(TEXTS), expected)
    assert same(model.encode(TEXTS, None, None, 2), expected)  # batch_size by its place
    assert same(model.encode(sentences=TEXTS), expected) and same(model.encode(tuple(TEXTS)), expected)
    assert same(model.encode(np.array(TEXTS)), expected) and same(model.encode(TEXTS[0]), expected[0])
    assert same(model.encode(TEXTS, normalize_embeddings=True), tiny_model.encode(TEXTS, normalize_embeddings=True))
    assert model.encode([]).shape == (0,)


def test_a_truncated_vector_is_normalised_only_if_asked_for(model, tiny_model):
    whole = tiny_model.encode(TEXTS)
    assert same(model.encode(TEXTS, truncate_dim=5), whole[:, :5])
    assert same(model.encode(TEXTS, truncate_dim=10_000), whole)
    unit = model.encode(TEXTS, truncate_dim=5, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    model.truncate_dim = 7
    assert same(model.encode(TEXTS), whole[:, :7]) and model.get_embedding_dimension() == 7
    with model.truncate_embeddings(3):
        assert model.encode(TEXTS).shape == (4, 3)
    model.truncate_dim = None
    assert same(model.encode(TEXTS), whole) and model.get_sentence_embedding_dimension() == whole.shape[1]


def test_prompts_are_the_models_to_change(tiny_checkpoint, tiny_model):
    prompts = {"query": "the cat ", "other": "a "}
    model = SentenceTransformer(tiny_checkpoint, prompts=prompts, default_prompt_name="other")
    assert model.prompts == {"query": "the cat ", "document": "", "other": "a "}

    def with_prompt(text):
        return tiny_model.encode(TEXTS, prompt=text, normalize_embeddings=False)

    assert same(model.encode(TEXTS), with_prompt("a "))
    assert same(model.encode(TEXTS, "query"), with_prompt("the cat "))
    assert same(model.encode(TEXTS, prompt="in "), with_prompt("in "))
    assert same(model.encode_query(TEXTS), with_prompt("the cat "))
    assert same(model.encode_document(TEXTS), with_prompt(""))
    model.prompts = {"passage": "bread "}
    model.default_prompt_name = None
    assert same(model.encode_document(TEXTS), with_prompt("bread ")) and same(
        model.encode_query(TEXTS), with_prompt("")
    )
    with pytest.raises(InputError, match="'nope' is not among the prompts: passage"):
        model.encode(TEXTS, "nope")
    with pytest.raises(InputError, match="default_prompt_name 'nope'"):
        SentenceTransformer(tiny_checkpoint, default_prompt_name="nope")


def test_the_limit_can_be_set_and_is_told(model, tiny_checkpoint):
    cut = Embedder.load(tiny_checkpoint, max_seq_length=5).encode(TEXTS, truncation="silent")
    before = model.encode(TEXTS)
    model.max_seq_length = 5
    assert model.max_seq_length == model[0].max_seq_length == model.get_max_seq_length() == 5
    assert model.tokenizer.model_max_length == 5 and model.tokenize(TEXTS)["input_ids"].shape == (4, 5)
    with pytest.warns(UserWarning, match="longer than 5 tokens"):
        assert same(model.encode(TEXTS), cut)
    assert same(model.encode(TEXTS, truncation="silent"), cut)
    positions = model.embedder.config.max_tokens
    with pytest.warns(ModelWarning, match=f"{positions} are read"):
        model.max_seq_length = 100_000
    assert model.max_seq_length == positions and same(model.encode(TEXTS), before)
    for wrong in (0, "5", None, 2):
        with pytest.raises(MinembedError):
            model.max_seq_length = wrong
    with pytest.warns(UserWarning, match="longer than 5"):
        given = SentenceTransformer(tiny_checkpoint, tokenizer_kwargs={"model_max_length": 5}).encode(TEXTS)
    assert same(given, cut)


def test_tokens_are_padded_as_the_reference_pads(model, tiny_model):
    features = model.tokenize(TEXTS[:3])
    tokens = tiny_model.tokenize(TEXTS[:3])
    ids, mask = as_array(features["input_ids"]), as_array(features["attention_mask"])
    assert list(features) == ["input_ids", "token_type_ids", "attention_mask", "modality"]
    assert ids.dtype == mask.dtype == np.int64 and ids.shape == mask.shape == (3, tokens.lengths().max())
    assert mask.sum(axis=1).tolist() == tokens.lengths().tolist() and ids[mask == 1].tolist() == tokens.ids.tolist()
    assert not ids[mask == 0].any() and features.to("cpu").input_ids is features["input_ids"]
    assert model.preprocess(["bread"], prompt="the ")["prompt_length"] == 2 and model.preprocess([]) == {}


def test_forward_and_output_value_none_give_all_there_is(model):
    vectors = model.encode(TEXTS)
    out = model(model.tokenize(TEXTS))
    np.testing.assert_allclose(as_array(out["sentence_embedding"]), vectors, atol=2e-6)
    hidden = model.encode(TEXTS, output_value="token_embeddings")
    every = model.encode(TEXTS, output_value=None, batch_size=2)
    for i, one in enumerate(every):
        n = int(as_array(one["attention_mask"]).sum())
        assert (
            same(as_array(one["token_embeddings"])[:n], hidden[i]) and not as_array(one["token_embeddings"])[n:].any()
        )
        np.testing.assert_allclose(as_array(one["sentence_embedding"]), vectors[i], atol=2e-6)
    assert same(model.encode(TEXTS[0], output_value="token_embeddings"), hidden[0])


def test_a_prompt_that_is_not_pooled_is_not_pooled(model, tiny_checkpoint):
    pooled = model.encode(TEXTS, prompt="the cat ")
    model[1].include_prompt = False
    left_out = model.encode(TEXTS, prompt="the cat ")
    assert not model.include_prompt and not np.allclose(pooled, left_out)
    one = model.encode(TEXTS[:1], prompt="the cat ", output_value=None)[0]
    np.testing.assert_allclose(as_array(one["sentence_embedding"]), left_out[0], atol=2e-6)


def test_pools_give_the_same_vectors(model):
    pool = model.start_multi_process_pool(["cpu", "cpu"])
    expected = model.encode(TEXTS)
    assert same(model.encode(TEXTS, pool=pool, chunk_size=1), expected)
    assert same(model.encode_multi_process(TEXTS, pool), expected)
    assert same(model.encode(TEXTS, device=["cpu", "cpu"]), expected)
    model.stop_multi_process_pool(pool)
    with pytest.raises(InputError, match="stopped"):
        model.encode(TEXTS, pool=pool)
    with pytest.raises(InputError, match="cuda:1"):
        model.start_multi_process_pool(["cuda:1"])


def test_similarities_follow_their_name(model):
    vectors = model.encode(TEXTS)
    for name in ("cosine", "dot", "euclidean", "manhattan"):
        model.similarity_fn_name = name
        assert model.similarity_fn_name == name
        both = as_array(model.similarity(vectors, vectors))
        np.testing.assert_allclose(as_array(model.similarity_pairwise(vectors, vectors)), np.diag(both), atol=1e-6)
    with pytest.raises(InputError, match="maxsim"):
        model.similarity_fn_name = "maxsim"


def test_parts_show_what_they_are(model):
    assert [type(part).__name__ for part in model] == ["Transformer", "Pooling", "Normalize"] and len(model) == 3
    assert (
        isinstance(model[1], models.Pooling) and model[1].pooling_mode_mean_tokens and model[1].pooling_mode == "mean"
    )
    assert model[0].get_word_embedding_dimension() == model[1].get_embedding_dimension() == model.config.hidden_size
    assert [name for name, _ in model.named_children()] == ["0", "1", "2"] and "Pooling" in repr(model)
    assert not hasattr(model[0], "auto_model") and not hasattr(model, "no_such_name")
    with pytest.raises(UnsupportedCallError, match=r"Transformer\(\.\.\.\) is not supported"):
        models.Transformer("bert-base-uncased", max_seq_length=256)


def test_what_would_change_nothing_is_refused(tiny_checkpoint, cross_encoder, model):
    for name, value in (("padding_side", "left"), ("pad_token", "x"), ("model_max_length", 7)):
        with pytest.raises(MinembedError, match=f"tokenizer.{name} cannot be set here"):
            setattr(model.tokenizer, name, value)
    for part, name in ((0, "do_lower_case"), (1, "pooling_mode"), (1, "pooling_mode_cls_token")):
        with pytest.raises(MinembedError, match=f"{name} cannot be set here"):
            setattr(model[part], name, True)
    with pytest.raises(UnsupportedCallError, match="a part of a model"):
        model[2] = None
    with pytest.raises(UnsupportedCallError, match="a part of a model"):
        del model[2]
    for arguments in (
        {"processor_kwargs": {"max_length": 9}},
        {"processor_kwargs": 5},
        {"model_kwargs": 5},
        {"config_kwargs": 5},
    ):
        with pytest.raises(MinembedError, match="_kwargs"):
            SentenceTransformer(tiny_checkpoint, **arguments)
    for wrong in ({"max_length": 9}, {"text": 5}, 5):
        with pytest.raises(MinembedError, match="must map names to values"):
            model.encode(TEXTS, processing_kwargs=wrong)
    with pytest.raises(InputError, match=r"activation_fn gave shape \(\)"):
        CrossEncoder(cross_encoder).predict([("a", "b")], activation_fn=lambda scores: scores.sum())


def test_what_stays_is_said_to_stay(model):
    assert model.eval() is model and model.to("cpu") is model and model.cpu() is model and model.float() is model
    assert str(model.device) == "cpu" and model.device.type == "cpu" and Device("cpu").type == "cpu"
    assert str(model.dtype).removeprefix("torch.") == "float32" and model.train(False) is model


REFUSED = {
    "fit": lambda m: m.fit([]),
    "half": lambda m: m.half(),
    "bfloat16": lambda m: m.bfloat16(),
    "cuda": lambda m: m.cuda(),
    "to": lambda m: m.to("cuda:0"),
    "train": lambda m: m.train(),
    "parameters": lambda m: list(m.parameters()),
    "push_to_hub": lambda m: m.push_to_hub("me/mine"),
    "auto_model": lambda m: m[0].auto_model,
    "compile": lambda m: m.compile(),
    "device": lambda m: m.encode("a", device="mps"),
    "unknown option": lambda m: m.encode("a", normalise=True),
    "batch_size": lambda m: m.encode("a", batch_size=0),
    "precision": lambda m: m.encode(["a", "b"], precision="int9"),
    "one vector": lambda m: m.encode("a", precision="int8"),
    "pool": lambda m: m.encode("a", pool=[]),
    "dict": lambda m: m.encode({"text": "a"}),
    "number": lambda m: m.encode(["a", 3]),
    "tokenizer": lambda m: setattr(m, "tokenizer", None),
    "pickle": lambda m: m.save("folder", safe_serialization=False),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_had_is_refused_by_name(model, name):
    with pytest.raises(MinembedError) as caught:
        REFUSED[name](model)
    assert len(str(caught.value)) > 20


ARGUMENTS = [
    {"device": "cuda"},
    {"backend": "onnx"},
    {"modules": []},
    {"model_card_data": "a card"},
    {"model_kwargs": {"torch_dtype": "float16"}},
    {"model_kwargs": {"attn_implementation": "flash_attention_2"}},
    {"model_kwargs": {"device_map": "cuda:0"}},
    {"model_kwargs": {"file_name": "model_O3.onnx"}},
    {"processor_kwargs": {"truncation_side": "left"}},
    {"config_kwargs": {"hidden_size": 3}},
    {"similarity_fn_name": "cos"},
    {"truncate_dim": 0},
    {"token": "a", "use_auth_token": "b"},
    {"tokenizer_kwargs": {}, "processor_kwargs": {}},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_arguments_that_cannot_be_heeded_are_refused(tiny_checkpoint, arguments):
    with pytest.raises(MinembedError):
        SentenceTransformer(str(tiny_checkpoint), **arguments).encode("a")


def test_arguments_that_are_heeded(tiny_checkpoint, tiny_model):
    expected = tiny_model.encode(TEXTS)
    harmless = {"attn_implementation": "sdpa", "torch_dtype": "float32", "device_map": "auto"}
    model = SentenceTransformer(str(tiny_checkpoint), model_kwargs=harmless, trust_remote_code=True, revision="main")
    assert same(model.encode(TEXTS), expected)
    low = SentenceTransformer(str(tiny_checkpoint), model_kwargs={"torch_dtype": "bfloat16"})
    assert same(low.encode(TEXTS), Embedder.load(tiny_checkpoint, dtype="bfloat16").encode(TEXTS))
    left = SentenceTransformer(str(tiny_checkpoint), processor_kwargs={"padding_side": "left"})
    assert same(left.encode(TEXTS), expected) and as_array(left.tokenize(TEXTS)["attention_mask"])[2, 0] == 0
    assert SentenceTransformer(str(tiny_checkpoint), truncate_dim=4).encode("a").shape == (4,)
    with pytest.raises(MinembedError, match="model_name_or_path is missing"):
        SentenceTransformer()


def test_a_cache_folder_is_looked_into(tiny_checkpoint, tmp_path, tiny_model):
    snapshot = tmp_path / "models--org--tiny" / "snapshots" / "abc"
    (tmp_path / "models--org--tiny" / "refs").mkdir(parents=True)
    (tmp_path / "models--org--tiny" / "refs" / "main").write_text("abc")
    snapshot.parent.mkdir()
    snapshot.symlink_to(tiny_checkpoint)
    model = SentenceTransformer("org/tiny", cache_folder=str(tmp_path), local_files_only=True)
    assert same(model.encode(TEXTS), tiny_model.encode(TEXTS))
    with pytest.raises(MinembedError):
        SentenceTransformer("org/other", cache_folder=str(tmp_path), local_files_only=True)


def test_tensors_are_asked_for_by_name(model):
    if not has_torch():
        for options in ({"convert_to_tensor": True}, {"convert_to_numpy": False}):
            with pytest.raises(MissingExtraError, match="torch, which is not installed"):
                model.encode(TEXTS, **options)
        return
    expected = model.encode(TEXTS)
    several = model.encode(TEXTS, convert_to_tensor=True)
    listed = model.encode(TEXTS, convert_to_numpy=False)
    assert type(several).__name__ == type(listed[0]).__name__ == "Tensor" and same(several, expected)
    assert same(listed, expected) and same(model.encode(TEXTS[0], convert_to_tensor=True), expected[0])
    assert type(util.cos_sim(several, several)).__name__ == "Tensor"
    assert util.semantic_search(several, several, top_k=1)[0][0]["corpus_id"] == 0
    with pytest.raises(InputError, match="asks for a gradient"):
        util.cos_sim(several.clone().requires_grad_(), several)


def test_the_tokenizer_answers_what_scripts_ask(model, tiny_model):
    tokenizer = model.tokenizer
    ids = tiny_model.tokenize(TEXTS[:1]).ids.tolist()
    assert tokenizer(TEXTS[0])["input_ids"] == tokenizer.encode(TEXTS[0]) == ids
    assert tokenizer.convert_ids_to_tokens(ids)[0] == "[CLS]" and tokenizer.tokenize("the cat") == ["the", "cat"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == TEXTS[0]
    assert tokenizer.convert_tokens_to_ids(["cat", "nonsense"])[1] == tokenizer.unk_token_id
    assert len(tokenizer) == len(tokenizer.get_vocab()) and tokenizer.pad_token == "[PAD]"
    padded = tokenizer(TEXTS, padding=True, truncation=True, max_length=5, return_tensors="np")
    assert padded["input_ids"].shape == (4, 5)
    with pytest.raises(UnsupportedCallError, match="stride"):
        tokenizer(TEXTS, stride=3)
    assert not hasattr(tokenizer, "add_tokens")


def test_the_tokenizer_heeds_each_option_or_refuses_it(model):
    tokenizer, texts = model.tokenizer, ["the cat on the tree", "bread"]
    whole = [tokenizer.encode(text) for text in texts]
    assert tokenizer(texts, padding="do_not_pad")["input_ids"] == whole == tokenizer(texts, padding=None)["input_ids"]
    assert tokenizer(texts, truncation="do_not_truncate", max_length=4)["input_ids"] == whole
    assert tokenizer(texts, truncation=False, max_length=4)["input_ids"] == whole
    cut = tokenizer(texts, truncation=True, max_length=4)["input_ids"]
    assert cut == tokenizer(texts, max_length=4)["input_ids"] == tokenizer(texts, None, max_length=4)["input_ids"]
    assert [len(ids) for ids in cut] == [4, 3]
    pairs = list(zip(texts, texts[::-1], strict=True))
    assert tokenizer(pairs) == tokenizer(texts, texts[::-1]) == tokenizer([list(pair) for pair in pairs])
    assert tokenizer(pairs, max_length=6) == tokenizer(texts, texts[::-1], truncation=True, max_length=6)
    assert tokenizer.decode(whole, skip_special_tokens=True) == texts
    assert tokenizer.decode(np.array(whole[:1])) == [tokenizer.decode(whole[0])]
    assert tokenizer([], truncation=True, padding=True)["input_ids"] == []
    for wrong in (
        lambda: tokenizer(texts, padding="always"),
        lambda: tokenizer(texts, truncation="some"),
        lambda: tokenizer(texts, texts, truncation="only_first"),
        lambda: tokenizer(texts, truncation="only_second"),
        lambda: tokenizer(texts, texts[:1]),
        lambda: tokenizer(texts, "bread"),
        lambda: tokenizer(texts, return_tensors="np"),
        lambda: tokenizer([texts, "bread"]),
        lambda: tokenizer(None),
        lambda: tokenizer([None]),
        lambda: tokenizer.tokenize(["bread"]),
        lambda: tokenizer.decode([-1]),
        lambda: tokenizer.decode("bread"),
        lambda: tokenizer.convert_ids_to_tokens(-1),
        lambda: tokenizer.convert_tokens_to_ids(None),
    ):
        with pytest.raises(MinembedError):
            wrong()


def test_pairs_and_all_there_is_heed_the_options_of_encode(model):
    pairs = [["the cat", "on the tree"], ["bread", "the sun and the rain on the house of the dog"]]
    whole = model.encode(pairs, output_value=None)
    assert same(np.stack([as_array(each["sentence_embedding"]) for each in whole]), model.encode(pairs))
    states = model.encode(pairs, output_value="token_embeddings")
    assert [len(rows) for rows in states] == [int(as_array(each["attention_mask"]).sum()) for each in whole]
    assert same(model.preprocess(pairs)["input_ids"], np.stack([as_array(each["input_ids"]) for each in whole]))
    model.max_seq_length = 6
    for texts, row in ((pairs, 1), (TEXTS, 3)):
        for value in ("sentence_embedding", "token_embeddings", None):
            with pytest.warns(TruncationWarning, match=f"{row}"):
                model.encode(texts, output_value=value)
            model.encode(texts, output_value=value, truncation="silent")
            with pytest.raises(InputError, match="has more than 6 tokens"):
                model.encode(texts, output_value=value, truncation="error")
            broken = [["\ud800", "b"]] if texts is pairs else ["\ud800"]
            with pytest.raises(InputError, match="surrogate"):
                model.encode(broken, output_value=value, errors="strict")


@pytest.mark.parametrize("value", ["sentence_embedding", "token_embeddings", None])
@pytest.mark.parametrize("wrong", [None, 5, [None], [5], [["a"]], [["a", None]], ["a", ["b", "c"]], {"a": 1}, b"a"])
def test_what_is_no_text_is_named(model, wrong, value):
    with pytest.raises(MinembedError):
        model.encode(wrong, output_value=value)
    with pytest.raises(MinembedError):
        model.preprocess(wrong)


def test_features_that_are_none_are_named(model):
    with pytest.raises(InputError, match="have no input_ids"):
        model(model.tokenize([]))
    with pytest.raises(MinembedError, match="one str"):
        model.tokenize("bread")


def test_saved_folders_keep_what_was_set(model, tmp_path):
    model.prompts["query"], model.default_prompt_name, model.truncate_dim = "the ", "query", 6
    model.similarity_fn_name, model.max_seq_length = "dot", 20
    expected = model.encode(TEXTS)
    (tmp_path / "model").mkdir()
    model.save_pretrained(str(tmp_path / "model"))
    again = SentenceTransformer(str(tmp_path / "model"))
    assert same(again.encode(TEXTS), expected) and again.similarity_fn_name == "dot" and again.max_seq_length == 20
    with pytest.raises(InputError, match="exists already"):
        model.save(str(tmp_path / "model"))


def test_scores_of_pairs_are_the_rerankers(cross_encoder):
    model, own = CrossEncoder(str(cross_encoder)), Reranker.load(cross_encoder)
    pairs = [(TEXTS[0], text) for text in TEXTS]
    expected = own.predict(pairs)
    assert same(model.predict(pairs), expected) and same(model.predict([list(pair) for pair in pairs]), expected)
    assert model.predict(pairs[0]) == expected[0] and same(model.predict(np.array(pairs)), expected)
    assert same(model.predict(pairs, activation_fn=lambda x: x * 2), 2 * own.predict(pairs, activation="Identity"))
    assert same(model.predict(pairs, num_workers=0), expected) and model.predict([]).shape == (0,)
    assert same(model.predict(pairs, prompt="the "), own.predict([("the " + a, b) for a, b in pairs]))
    assert model.rank(TEXTS[0], TEXTS, top_k=2, return_documents=True) == own.rank(
        TEXTS[0], TEXTS, top_k=2, return_documents=True
    )
    out = model(model.tokenize(pairs))
    np.testing.assert_allclose(as_array(out["scores"])[:, 0], own.predict(pairs, activation="Identity"), atol=2e-6)


@pytest.mark.parametrize("wrong", [None, 5, "a", ["a"], [("a",)], [("a", None)], [("a", "b"), "cd"], {"a": "b"}])
def test_what_is_no_pair_is_named(cross_encoder, wrong):
    model = CrossEncoder(cross_encoder)
    for call in (model.predict, model.preprocess, lambda pairs: model.predict(pairs, prompt="to ")):
        with pytest.raises(MinembedError):
            call(wrong)


@pytest.mark.parametrize("wrong", [["query"], "query", {"query": 5}, {5: "query"}, 5])
def test_prompts_are_texts_by_name(tiny_checkpoint, model, wrong):
    with pytest.raises(InputTypeError, match="prompts must map names to texts"):
        SentenceTransformer(tiny_checkpoint, prompts=wrong)
    model.prompts = wrong
    with pytest.raises(InputTypeError, match="prompts must map names to texts"):
        model.encode(TEXTS)
    model.prompts = None
    assert same(model.encode_query(TEXTS), model.encode(TEXTS))


def test_a_cross_encoder_is_asked_what_it_is(cross_encoder, tmp_path):
    model = CrossEncoder(str(cross_encoder), 1, 12)  # num_labels and max_length by their old places
    assert (model.num_labels, model.max_length, model.max_seq_length) == (1, 12, 12)
    assert repr(model.activation_fn) == "Identity()" and model.config.num_labels == 1
    assert [type(part).__name__ for part in model] == ["Transformer"]
    model.max_length = 10
    with pytest.warns(UserWarning, match="longer than 10"):
        scores = model.predict([("the cat " * 9, "bread")])
    model.save_pretrained(str(tmp_path / "copy"))
    again = CrossEncoder(str(tmp_path / "copy"))
    assert again.max_length == 10
    with pytest.warns(UserWarning, match="longer than 10"):
        assert same(again.predict([("the cat " * 9, "bread")]), scores)
    for wrong in ({"num_labels": 3}, {"model_kwargs": {"torch_dtype": "float16"}}, {"device": "cuda"}):
        with pytest.raises(MinembedError):
            CrossEncoder(str(cross_encoder), **wrong)
    for refused in (lambda: model.fit(), lambda: model.model, lambda: model.predict(["a", "b"], activation_fn=3)):
        with pytest.raises(MinembedError):
            refused()


@pytest.mark.parametrize(("dtype", "stored"), [("bfloat16", "float32"), (None, "bfloat16"), ("float16", "float16")])
def test_a_checkpoint_in_half_precision_is_not_computed_otherwise_in_silence(tmp_path, dtype, stored):
    folder = write_tiny_checkpoint(tmp_path / "half")
    config = json.loads((folder / "config.json").read_text())
    config.pop("torch_dtype", None)
    (folder / "config.json").write_text(json.dumps(config | ({"torch_dtype": dtype} if dtype else {})))
    if stored != "float32":
        store_as(folder / "model.safetensors", stored)
    named = dtype or stored
    with pytest.warns(ModelWarning, match=f"says {named}, and the reference computes in it"):
        model = SentenceTransformer(str(folder))
    expected = Embedder.load(folder).encode(TEXTS)
    assert same(model.encode(TEXTS), expected)
    assert same(SentenceTransformer(str(folder), model_kwargs={"dtype": "float32"}).encode(TEXTS), expected)
    if named == "float16":
        with pytest.raises(UnsupportedCallError, match="is float16, which is not supported"):
            SentenceTransformer(str(folder), model_kwargs={"dtype": "auto"})
        return
    low = Embedder.load(folder, dtype="bfloat16").encode(TEXTS)
    assert same(SentenceTransformer(str(folder), model_kwargs={"dtype": "auto"}).encode(TEXTS), low)


def store_as(path, dtype):
    """Write a file's numbers in half precision: bfloat16 by hand, which NumPy does not know."""
    tensors = load_file(path)
    if dtype == "float16":
        save_file({name: array.astype(np.float16) for name, array in tensors.items()}, path)
        return
    halves = {name: (array.view(np.uint32) >> 16).astype("<u2") for name, array in tensors.items()}
    ends = np.cumsum([0, *(array.nbytes for array in halves.values())]).tolist()
    header = json.dumps(
        {
            name: {"dtype": "BF16", "shape": array.shape, "data_offsets": ends[i : i + 2]}
            for i, (name, array) in enumerate(halves.items())
        }
    ).encode()
    data = b"".join(array.tobytes() for array in halves.values())
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def test_an_adapter_is_a_models(tmp_path):
    base = golden_families.write_checkpoint(golden_families.read("bert"), tmp_path / "base")
    folder = golden_adapters.write_adapter(golden_adapters.read("bert+all"), tmp_path / "adapter", base)
    model = SentenceTransformer(str(folder))
    expected = Embedder.load(folder).encode(TEXTS)
    assert same(model.encode(TEXTS), expected) and model.config.hidden_size == model.embedder.config.hidden_size
    model.save(str(tmp_path / "saved"))
    np.testing.assert_allclose(SentenceTransformer(str(tmp_path / "saved")).encode(TEXTS), expected, atol=2e-6)
