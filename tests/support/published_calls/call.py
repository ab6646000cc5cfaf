"""One call of sentence-transformers' published pages: where it stands, and how a program makes it."""

from dataclasses import dataclass

PAGES = {  # in the order of the table: a page's key, its name, and its place in the repository of sentence-transformers
    "readme": ("README", "README.md"),
    "quickstart": ("Quickstart", "docs/quickstart.rst"),
    "usage": ("Sentence Transformer: usage", "docs/sentence_transformer/usage/usage.rst"),
    "computing": ("Computing embeddings", "examples/sentence_transformer/applications/computing-embeddings/"),
    "similarity": ("Semantic textual similarity", "docs/sentence_transformer/usage/semantic_textual_similarity.rst"),
    "search": ("Semantic search", "examples/sentence_transformer/applications/semantic-search/"),
    "rerank": ("Retrieve and re-rank", "examples/sentence_transformer/applications/retrieve_rerank/"),
    "clustering": ("Clustering", "examples/sentence_transformer/applications/clustering/"),
    "paraphrases": ("Paraphrase mining", "examples/sentence_transformer/applications/paraphrase-mining/"),
    "bitext": ("Translated sentence mining", "examples/sentence_transformer/applications/parallel-sentence-mining/"),
    "summaries": ("Text summarization", "examples/sentence_transformer/applications/text-summarization/"),
    "quantization": ("Embedding quantization", "examples/sentence_transformer/applications/embedding-quantization/"),
    "prompts": ("Prompts", "examples/sentence_transformer/training/prompts/README.md"),
    "matryoshka": ("Matryoshka embeddings", "examples/sentence_transformer/training/matryoshka/"),
    "adaptive": ("Adaptive layers", "examples/sentence_transformer/training/adaptive_layer/README.md"),
    "adapters": ("Adapters (PEFT)", "examples/sentence_transformer/training/peft/README.md"),
    "efficiency": ("Speeding up inference", "docs/sentence_transformer/usage/efficiency.rst"),
    "custom": ("Creating custom models", "docs/sentence_transformer/usage/custom_models.rst"),
    "mteb": ("Evaluation with MTEB", "docs/sentence_transformer/usage/mteb_evaluation.md"),
    "pretrained": ("Pretrained models", "docs/sentence_transformer/pretrained_models.md, docs/pretrained-models/"),
    "training": ("Training pages, where they use a model", "docs/sentence_transformer/, examples/…/training/"),
    "evaluation": ("Evaluation scripts", "examples/sentence_transformer/evaluation/"),
    "cross usage": ("Cross Encoder: usage", "docs/cross_encoder/usage/usage.rst"),
    "cross applications": ("Cross-encoders: applications", "examples/cross_encoder/applications/"),
    "cross pretrained": ("Cross Encoder: pretrained models", "docs/cross_encoder/pretrained_models.md"),
    "cross efficiency": ("Cross Encoder: speeding up inference", "docs/cross_encoder/usage/efficiency.rst"),
    "cross custom": ("Cross Encoder: custom models", "docs/cross_encoder/usage/custom_models.rst"),
    "cross training": ("Cross Encoder: training pages", "docs/cross_encoder/, examples/cross_encoder/training/"),
    "model": ("Reference: SentenceTransformer", "docs/package_reference/sentence_transformer/model.md"),
    "cross model": ("Reference: CrossEncoder", "docs/package_reference/cross_encoder/model.md"),
    "evaluators": ("Reference: evaluators", "docs/package_reference/sentence_transformer/evaluation.md"),
    "cross evaluators": (
        "Reference: evaluators of cross-encoders",
        "docs/package_reference/cross_encoder/evaluation.md",
    ),
    "modules": ("Reference: modules", "docs/package_reference/sentence_transformer/modules.md, …/base/modules.rst"),
    "util": ("Reference: util", "docs/package_reference/util/"),
    "migration": ("Migration guide", "docs/migration_guide.md"),
    "images": ("Images", "examples/sentence_transformer/applications/image-search/"),
    "sparse": ("Sparse encoders", "docs/sparse_encoder/, examples/sparse_encoder/"),
    "multi-vector": ("Multi-vector encoders", "docs/multi_vector_encoder/, examples/multi_vector_encoder/"),
}
KINDS = {  # what a call is about; all but "text" is work that minembed does not do
    "text": "texts on a CPU",
    "gpu": "a GPU",
    "torch": "torch's modules and weights",
    "onnx": "ONNX and OpenVINO",
    "training": "training with torch",
    "hub": "downloads and uploads",
    "image": "images, audio, video",
    "sparse": "sparse encoders",
    "multi-vector": "multi-vector encoders",
}


@dataclass(frozen=True)
class Call:
    """A call and what is compared of it.

    `given` are the lines before it, the same for many calls; `code` is the call itself, which the table shows.  What is
    compared is `result`, an expression; without one, the last expression or the last thing assigned.
    """

    page: str
    title: str
    code: str
    given: tuple[str, ...] = ()
    result: str = ""
    needs: tuple[str, ...] = ()  # packages beside the library itself
    heavy: bool = False  # more than a second of work: left to `make fuzz`
    kind: str = "text"
    instead: str = ""  # what to write, where another library refuses
    refused: bool = False  # a call about texts that minembed refuses
    within: float = 2e-6  # of the reference's floats, in vectors of length 1: the contract
    exact: bool = True  # integers made of floats are the same; else a few are one step apart, where a float is on edge

    def __post_init__(self):
        assert self.page in PAGES and self.kind in KINDS, self

    @property
    def is_refused(self):
        return self.refused or self.kind != "text"

    @property
    def name(self):
        return f"{self.page}: {self.title}"


def of_page(page, **common):
    """A function that makes the calls of one page."""

    def make(title, code, *given, **options):
        return Call(page, title, code.strip("\n"), given, **common | options)

    return make
