"""The most used checkpoints, for `minembed models`: a table to choose from, not a limit.

Every checkpoint of a supported family loads by its name, whether it is listed here or not.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownModel:
    """The publisher's facts about a checkpoint, and its support here.

    >>> [model.name for model in KNOWN if model.tested]
    ['all-MiniLM-L6-v2', 'all-mpnet-base-v2']
    """

    name: str  # for `Embedder.load`
    family: str  # the model_type of its config.json, as in minembed.weights.families; or "static"
    width: int | None  # numbers per vector; None: it scores pairs of texts
    max_tokens: int | None  # None: no limit
    megabytes: int  # size of the download of the weights, rounded
    licence: str  # "not stated" if the publisher gives none
    pooling: str
    use: str
    query_prefix: str = ""  # the text in front of queries in its training
    passage_prefix: str = ""
    note: str = ""  # what to do before it can be loaded
    refused: str = ""  # why this version does not support it
    tested: bool = False  # here with its real weights; otherwise only its family, with generated weights

    @property
    def computed(self) -> bool:
        """Whether this version supports it."""
        return not self.refused


ENGLISH = "sentences and short paragraphs, English"
PARAPHRASE = "finding paraphrases, English"
SEARCH = "search, English"
LONG = "search in long texts, English"
LANGUAGES = "sentences, 50 languages and more"
WORLD = "search, 50 languages and more"
STATIC = "highest speed: the mean of word vectors, English"
PAIRS = "reranking: a score for a query and a document (Reranker)"

APACHE, MIT, UNSTATED = "Apache-2.0", "MIT", "not stated"
REPRESENT = "Represent this sentence for searching relevant passages: "
E5 = ("query: ", "passage: ")
GEMMA = ("task: search result | query: ", "title: none | text: ")
NOMIC = ("search_query: ", "search_document: ")
INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
PICKLE = "published as a pickle: convert it to safetensors first"

KNOWN = (
    KnownModel("all-MiniLM-L6-v2", "bert", 384, 256, 91, APACHE, "mean", ENGLISH, tested=True),
    KnownModel("all-MiniLM-L12-v2", "bert", 384, 128, 133, APACHE, "mean", ENGLISH),
    KnownModel("all-mpnet-base-v2", "mpnet", 768, 384, 438, APACHE, "mean", ENGLISH, tested=True),
    KnownModel("all-distilroberta-v1", "roberta", 768, 512, 328, APACHE, "mean", ENGLISH),
    KnownModel("paraphrase-MiniLM-L3-v2", "bert", 384, 128, 70, APACHE, "mean", PARAPHRASE),
    KnownModel("paraphrase-MiniLM-L6-v2", "bert", 384, 128, 91, APACHE, "mean", PARAPHRASE),
    KnownModel("multi-qa-MiniLM-L6-cos-v1", "bert", 384, 512, 91, UNSTATED, "mean", SEARCH),
    KnownModel("multi-qa-mpnet-base-dot-v1", "mpnet", 768, 512, 438, UNSTATED, "cls", SEARCH),
    KnownModel("multi-qa-mpnet-base-cos-v1", "mpnet", 768, 512, 438, UNSTATED, "mean", SEARCH),
    KnownModel("msmarco-distilbert-base-v4", "distilbert", 768, 512, 265, APACHE, "mean", SEARCH),
    KnownModel("BAAI/bge-small-en-v1.5", "bert", 384, 512, 133, MIT, "cls", SEARCH, REPRESENT),
    KnownModel("BAAI/bge-base-en-v1.5", "bert", 768, 512, 438, MIT, "cls", SEARCH, REPRESENT),
    KnownModel("BAAI/bge-large-en-v1.5", "bert", 1024, 512, 1341, MIT, "cls", SEARCH, REPRESENT),
    KnownModel("intfloat/e5-small-v2", "bert", 384, 512, 133, MIT, "mean", SEARCH, *E5),
    KnownModel("intfloat/e5-base-v2", "bert", 768, 512, 438, MIT, "mean", SEARCH, *E5),
    KnownModel("intfloat/e5-large-v2", "bert", 1024, 512, 1341, MIT, "mean", SEARCH, *E5),
    KnownModel("thenlper/gte-small", "bert", 384, 512, 67, MIT, "mean", SEARCH),
    KnownModel("thenlper/gte-base", "bert", 768, 512, 219, MIT, "mean", SEARCH),
    KnownModel("thenlper/gte-large", "bert", 1024, 512, 670, MIT, "mean", SEARCH),
    KnownModel("mixedbread-ai/mxbai-embed-large-v1", "bert", 1024, 512, 670, APACHE, "cls", SEARCH, REPRESENT),
    KnownModel("Snowflake/snowflake-arctic-embed-xs", "bert", 384, 512, 90, APACHE, "cls", SEARCH, REPRESENT),
    KnownModel("Snowflake/snowflake-arctic-embed-s", "bert", 384, 512, 133, APACHE, "cls", SEARCH, REPRESENT),
    KnownModel("Snowflake/snowflake-arctic-embed-m", "bert", 768, 512, 436, APACHE, "cls", SEARCH, REPRESENT),
    KnownModel("Snowflake/snowflake-arctic-embed-m-v1.5", "bert", 768, 512, 436, APACHE, "cls", SEARCH, REPRESENT),
    KnownModel("Snowflake/snowflake-arctic-embed-l", "bert", 1024, 512, 1337, APACHE, "cls", SEARCH, REPRESENT),
    KnownModel("Alibaba-NLP/gte-base-en-v1.5", "new", 768, 8192, 547, APACHE, "cls", LONG),
    KnownModel("Alibaba-NLP/gte-large-en-v1.5", "new", 1024, 8192, 1736, APACHE, "cls", LONG),
    KnownModel("Alibaba-NLP/gte-modernbert-base", "modernbert", 768, 8192, 298, APACHE, "cls", LONG),
    KnownModel("nomic-ai/modernbert-embed-base", "modernbert", 768, 8192, 596, APACHE, "mean", LONG, *NOMIC),
    KnownModel("nomic-ai/nomic-embed-text-v1", "nomic_bert", 768, 8192, 547, APACHE, "mean", LONG, *NOMIC),
    KnownModel("nomic-ai/nomic-embed-text-v1.5", "nomic_bert", 768, 8192, 547, APACHE, "mean", LONG, *NOMIC),
    KnownModel("jinaai/jina-embeddings-v2-small-en", "jina_bert", 512, 8192, 65, APACHE, "mean", LONG),
    KnownModel("jinaai/jina-embeddings-v2-base-en", "jina_bert", 768, 8192, 275, APACHE, "mean", LONG),
    KnownModel("paraphrase-multilingual-MiniLM-L12-v2", "bert", 384, 128, 471, APACHE, "mean", LANGUAGES),
    KnownModel("paraphrase-multilingual-mpnet-base-v2", "xlm-roberta", 768, 128, 1112, APACHE, "mean", LANGUAGES),
    KnownModel("distiluse-base-multilingual-cased-v2", "distilbert", 512, 128, 541, APACHE, "mean", LANGUAGES),
    KnownModel("LaBSE", "bert", 768, 256, 1886, APACHE, "cls", LANGUAGES),
    KnownModel("intfloat/multilingual-e5-small", "bert", 384, 512, 471, MIT, "mean", WORLD, *E5),
    KnownModel("intfloat/multilingual-e5-base", "xlm-roberta", 768, 512, 1112, MIT, "mean", WORLD, *E5),
    KnownModel("intfloat/multilingual-e5-large", "xlm-roberta", 1024, 512, 2240, MIT, "mean", WORLD, *E5),
    KnownModel(
        "intfloat/multilingual-e5-large-instruct",
        *("xlm-roberta", 1024, 512, 1120, MIT, "mean", WORLD, f"{INSTRUCT} "),
    ),
    KnownModel("BAAI/bge-m3", "xlm-roberta", 1024, 8192, 2271, MIT, "cls", WORLD, note=PICKLE),
    KnownModel("Alibaba-NLP/gte-multilingual-base", "new", 768, 8192, 611, APACHE, "cls", WORLD),
    KnownModel("Snowflake/snowflake-arctic-embed-m-v2.0", "gte", 768, 8192, 1221, APACHE, "cls", WORLD, "query: "),
    KnownModel(
        "Snowflake/snowflake-arctic-embed-l-v2.0",
        *("xlm-roberta", 1024, 8192, 2271, APACHE, "cls", WORLD, "query: "),
    ),
    KnownModel("Qwen/Qwen3-Embedding-0.6B", "qwen3", 1024, 32768, 1192, APACHE, "lasttoken", WORLD, INSTRUCT),
    KnownModel("google/embeddinggemma-300m", "gemma3_text", 768, 2048, 1211, "Gemma", "mean", WORLD, *GEMMA),
    KnownModel("static-retrieval-mrl-en-v1", "static", 1024, None, 125, APACHE, "mean", STATIC),
    KnownModel("minishlab/potion-base-8M", "static", 256, None, 30, MIT, "mean", STATIC),
    KnownModel("cross-encoder/ms-marco-MiniLM-L6-v2", "bert", None, 512, 91, APACHE, "cls", PAIRS),
    KnownModel("BAAI/bge-reranker-base", "xlm-roberta", None, 512, 1112, MIT, "cls", PAIRS),
    KnownModel("BAAI/bge-reranker-v2-m3", "xlm-roberta", None, 8192, 2271, APACHE, "cls", PAIRS),
    KnownModel(
        "jinaai/jina-embeddings-v3",
        *("xlm-roberta", 1024, 8192, 1145, "CC-BY-NC-4.0", "mean", WORLD),
        refused="its own code, an adapter for each task",
    ),
    KnownModel(
        "nomic-ai/nomic-embed-text-v2-moe",
        *("nomic_bert", 768, 512, 1901, APACHE, "mean", WORLD),
        refused="a mixture of experts",
    ),
    KnownModel("sentence-t5-base", "t5", 768, 256, 219, APACHE, "mean", ENGLISH, refused="T5's encoder"),
    KnownModel("gtr-t5-base", "t5", 768, 512, 219, APACHE, "mean", SEARCH, refused="T5's encoder"),
    KnownModel(
        "mixedbread-ai/mxbai-rerank-base-v1",
        *("deberta-v2", None, 512, 369, APACHE, "cls", PAIRS),
        refused="DeBERTa: another kind of attention",
    ),
)
