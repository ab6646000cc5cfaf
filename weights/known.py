"""Checkpoints that people use most, for `minembed models`: a table to choose from, not a limit.

Any checkpoint of a family that is computed loads by its name, whether it is listed here or not.
"""

from dataclasses import dataclass

QUERY = "Represent this sentence for searching relevant passages: "


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What the publishers say of a checkpoint.

    >>> next(model for model in KNOWN if model.tested).name
    'all-MiniLM-L6-v2'
    """

    name: str  # as `Embedder.load` takes it
    width: int  # numbers a vector
    max_tokens: int
    megabytes: int  # of model.safetensors, rounded: what a pull fetches
    licence: str
    pooling: str
    use: str
    query_prefix: str = ""  # what the model was trained to see in front of a query
    passage_prefix: str = ""
    family: str = "BERT"
    computed: bool = True  # by this version of minembed
    tested: bool = False  # against the reference implementation, on the real weights, by this repository


ENGLISH = "sentences and short paragraphs, English"
PARAPHRASE = "finding paraphrases, English"
SEARCH = "search, English"
LANGUAGES = "sentences, 50 languages and more"

KNOWN = (
    KnownModel("all-MiniLM-L6-v2", 384, 256, 91, "Apache-2.0", "mean", ENGLISH, tested=True),
    KnownModel("all-MiniLM-L12-v2", 384, 128, 133, "Apache-2.0", "mean", ENGLISH),
    KnownModel("paraphrase-MiniLM-L3-v2", 384, 128, 70, "Apache-2.0", "mean", PARAPHRASE),
    KnownModel("paraphrase-MiniLM-L6-v2", 384, 128, 91, "Apache-2.0", "mean", PARAPHRASE),
    KnownModel("multi-qa-MiniLM-L6-cos-v1", 384, 512, 91, "not stated", "mean", SEARCH),
    KnownModel("BAAI/bge-small-en-v1.5", 384, 512, 133, "MIT", "cls", SEARCH, QUERY),
    KnownModel("BAAI/bge-base-en-v1.5", 768, 512, 438, "MIT", "cls", SEARCH, QUERY),
    KnownModel("BAAI/bge-large-en-v1.5", 1024, 512, 1341, "MIT", "cls", SEARCH, QUERY),
    KnownModel("intfloat/e5-small-v2", 384, 512, 133, "MIT", "mean", SEARCH, "query: ", "passage: "),
    KnownModel("intfloat/e5-base-v2", 768, 512, 438, "MIT", "mean", SEARCH, "query: ", "passage: "),
    KnownModel("intfloat/e5-large-v2", 1024, 512, 1341, "MIT", "mean", SEARCH, "query: ", "passage: "),
    KnownModel("thenlper/gte-small", 384, 512, 67, "MIT", "mean", SEARCH),
    KnownModel("thenlper/gte-base", 768, 512, 219, "MIT", "mean", SEARCH),
    KnownModel("thenlper/gte-large", 1024, 512, 670, "MIT", "mean", SEARCH),
    KnownModel("mixedbread-ai/mxbai-embed-large-v1", 1024, 512, 670, "Apache-2.0", "cls", SEARCH, QUERY),
    KnownModel("Snowflake/snowflake-arctic-embed-xs", 384, 512, 90, "Apache-2.0", "cls", SEARCH, QUERY),
    KnownModel("Snowflake/snowflake-arctic-embed-s", 384, 512, 133, "Apache-2.0", "cls", SEARCH, QUERY),
    KnownModel("Snowflake/snowflake-arctic-embed-m", 768, 512, 436, "Apache-2.0", "cls", SEARCH, QUERY),
    KnownModel("Snowflake/snowflake-arctic-embed-l", 1024, 512, 1337, "Apache-2.0", "cls", SEARCH, QUERY),
    KnownModel("paraphrase-multilingual-MiniLM-L12-v2", 384, 128, 471, "Apache-2.0", "mean", LANGUAGES),
    KnownModel("intfloat/multilingual-e5-small", 384, 512, 471, "MIT", "mean", LANGUAGES, "query: ", "passage: "),
    KnownModel("LaBSE", 768, 256, 1884, "Apache-2.0", "cls", LANGUAGES, family="BERT with Dense", computed=False),
    KnownModel("all-mpnet-base-v2", 768, 384, 438, "Apache-2.0", "mean", ENGLISH, family="MPNet", computed=False),
    KnownModel("all-distilroberta-v1", 768, 512, 329, "Apache-2.0", "mean", ENGLISH, family="RoBERTa", computed=False),
    KnownModel(
        "nomic-ai/nomic-embed-text-v1.5",
        768,
        8192,
        547,
        "Apache-2.0",
        "mean",
        SEARCH,
        "search_query: ",
        "search_document: ",
        family="NomicBERT",
        computed=False,
    ),
)
