"""MTEB's own evaluation, on small tasks from memory, with no network: run by `make test-integrations`."""

import warnings

import mteb
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models import CrossEncoderProtocol, EncoderProtocol
from mteb.types import PromptType
from scipy.stats import spearmanr

from minembed.errors import InputError
from minembed.integrations.mteb import MinembedCrossEncoder, MinembedEncoder

PAIRS = [
    ("the cat and the dog", "the dog and the cat", 5.0),
    ("bread in the oven", "the oven is for bread", 4.0),
    ("rain on the river", "the sun in the tree", 1.0),
    ("a test for the code", "a book in the house", 0.0),
]
CORPUS = {"a": "bread in the oven", "b": "a test for the code", "c": "rain on the river", "d": "the cat and the dog"}
QUERIES = {"1": "is the bread in it?", "2": "the river and the rain"}
RELEVANT = {"1": {"a": 1}, "2": {"c": 1}}
ABOUT = {"description": "a test", "eval_langs": ["eng-Latn"], "dataset": {"path": "none", "revision": "none"}}


class Alike(AbsTaskSTS):
    metadata = TaskMetadata(name="Alike", type="STS", main_score="cosine_spearman", **ABOUT)

    def load_data(self, **_):
        columns = zip(*PAIRS, strict=True)
        data = dict(zip(("sentence1", "sentence2", "score"), map(list, columns), strict=True))
        self.dataset, self.data_loaded = DatasetDict({"test": Dataset.from_dict(data)}), True


class Found(AbsTaskRetrieval):
    metadata = TaskMetadata(name="Found", type="Retrieval", main_score="ndcg_at_10", **ABOUT)

    def load_data(self, **_):
        as_rows = lambda texts: Dataset.from_list([{"id": i, "text": t} for i, t in texts.items()])  # noqa: E731
        split = {"corpus": as_rows(CORPUS), "queries": as_rows(QUERIES), "relevant_docs": RELEVANT, "top_ranked": None}
        self.dataset, self.data_loaded = {"default": {"test": split}}, True


def evaluate(model, task, **how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what MTEB brings
        result = mteb.evaluate(model, task, cache=None, show_progress_bar=False, co2_tracker=False, **how)
    return result.task_results[0].scores["test"][0]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_similar_texts(model):
    scores = evaluate(MinembedEncoder(model), Alike())
    first, second, gold = zip(*PAIRS, strict=True)
    similarity = model.similarity_pairwise(model.encode(first), model.encode(second))
    assert scores["cosine_spearman"] == pytest.approx(spearmanr(similarity, gold).statistic)
    assert scores["cosine_pearson"] == pytest.approx(np.corrcoef(similarity, gold)[0, 1], abs=1e-6)  # of float32


def test_retrieval_and_its_prompts(model):
    """By the order of vectors that encode_query and encode_document give."""
    prompts = {"query": "query: ", "document": "passage: "}
    encoder = MinembedEncoder("all-MiniLM-L6-v2", prompts=prompts, truncate_dim=64)
    assert evaluate(encoder, Found())["ndcg_at_10"] == 1
    how = {"task_metadata": Found.metadata, "hf_split": "test", "hf_subset": "default"}
    batches = [{"text": list(CORPUS.values())[:3]}, {"text": list(CORPUS.values())[3:]}]
    texts = list(CORPUS.values())
    for role, prompt in ((PromptType.query, "query: "), (PromptType.document, "passage: "), (None, "")):
        vectors = encoder.encode(batches, **how, prompt_type=role, batch_size=2)
        assert np.array_equal(vectors, model.encode(texts, prompt=prompt, truncate_dim=64))
    by_task = MinembedEncoder(prompts={"Found-query": "find: ", "Retrieval": "any: ", "query": "query: "})
    for role, prompt in ((PromptType.query, "find: "), (PromptType.document, "any: "), (None, "any: ")):
        assert np.array_equal(by_task.encode(batches, **how, prompt_type=role), model.encode(texts, prompt=prompt))


def test_a_cross_encoder(reranker):
    encoder = MinembedCrossEncoder(reranker)
    how = {"task_metadata": Found.metadata, "hf_split": "test", "hf_subset": "default"}
    pairs = [(query, text) for query in QUERIES.values() for text in CORPUS.values()]
    queries, texts = ([{"text": [pair[i] for pair in pairs]}] for i in (0, 1))
    assert np.array_equal(encoder.predict(queries, texts, **how, batch_size=3), reranker.predict(pairs))
    assert isinstance(encoder, CrossEncoderProtocol) and encoder.mteb_model_meta.model_type == ["cross-encoder"]


def test_what_results_are_filed_under(model, tmp_path):
    encoder = MinembedEncoder(truncate_dim=64)
    assert isinstance(encoder, EncoderProtocol)
    meta = encoder.mteb_model_meta
    assert (meta.name, meta.embed_dim, meta.max_tokens) == ("sentence-transformers/all-MiniLM-L6-v2", 64, 256)
    assert (
        meta.experiment_kwargs == {"truncate_dim": 64} and MinembedEncoder().mteb_model_meta.experiment_kwargs is None
    )
    assert meta.similarity_fn_name == "cosine"
    again = meta.loader(meta.name, revision=meta.revision, device=None, **meta.experiment_kwargs)
    assert again.mteb_model_meta == meta
    model.save(tmp_path / "own")
    assert MinembedEncoder(tmp_path / "own").mteb_model_meta.name == "folder/own"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: MinembedEncoder(m, device="cuda"), "device 'cuda'"),
        (lambda m: MinembedEncoder(m, trunc_dim=3), "did you mean 'truncate_dim'"),
        (lambda m: encode(MinembedEncoder(m), [{"image": [1]}]), "image and no text"),
        (lambda m: encode(MinembedEncoder(m), [{"text": [1]}]), r"texts\[0\] is int"),
        (lambda m: encode(MinembedEncoder(m), [{"text": ["a"]}], precison="int8"), "did you mean 'precision'"),
    ],
)
def test_errors_are_ours(model, call, message):
    with pytest.raises(InputError, match=message):
        call(model)


def encode(encoder, batches, **options):
    return encoder.encode(batches, task_metadata=Alike.metadata, hf_split="test", hf_subset="default", **options)
