"""The models that the pages name: all-MiniLM-L6-v2 is the real one, and small generated ones stand for the others."""

import json

import golden_families
import golden_heads
import module_cases
import numpy as np
import static_cases
import tiny
from safetensors.numpy import save_file

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
QUERY = {"query": "the query: ", "document": "a document: "}
LENGTH = 64  # positions of the small BERT
OWN = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LENGTH, **golden_heads.SPECIAL}


def bert(seed, prompts=None, similarity=None, modules=None, include_prompt=True):
    """A writer of a small BERT."""

    def write(folder):
        config = {
            "__version__": {"sentence_transformers": "2.0.0"},
            "prompts": prompts or {},
            "similarity_fn_name": similarity,
        }
        pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "include_prompt": include_prompt}
        tiny.write_tiny_checkpoint(
            folder, seed=seed, sentence_transformers=config, pooling=pooling, modules=modules, max_seq_length=LENGTH - 2
        )
        with_pairs(folder)
        return folder

    return write


def with_pairs(folder):
    """Give a folder a tokenizer that can join pairs, and that transformers reads as it stands."""
    golden_heads.pair_tokenizer().save(str(folder / "tokenizer.json"))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    tiny.write_json(folder / "tokenizer_config.json", OWN | {"model_input_names": inputs})


def mpnet(folder):
    """A small MPNet."""
    golden_families.write_checkpoint(golden_families.read("mpnet"), folder)
    golden_heads.pair_tokenizer().save(str(folder / "tokenizer.json"))
    tiny.write_json(folder / "tokenizer_config.json", OWN | {"model_input_names": ["input_ids", "attention_mask"]})
    tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False})
    return folder


def matryoshka(folder):
    """A small BERT whose vector is projected, then made unit length."""
    module_cases.write_case(folder, module_cases.STACKS["matryoshka"])
    with_pairs(folder)
    return folder


def adapted(folder):
    """The adapter of a small BERT (LoRA on queries and values), which lies beside it."""
    base = bert(6)(folder.with_name("base"))
    for file in ("modules.json", "config_sentence_transformers.json", "tokenizer.json", "tokenizer_config.json"):
        tiny.write_json(folder / file, json.loads((base / file).read_text(encoding="utf-8")))
    tiny.write_json(
        folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    )
    lora = {
        "peft_type": "LORA",
        "task_type": "FEATURE_EXTRACTION",
        "r": 3,
        "lora_alpha": 6,
        "lora_dropout": 0.1,
        "bias": "none",
    }
    places = {"base_model_name_or_path": str(base), "target_modules": ["query", "value"], "inference_mode": True}
    tiny.write_json(folder / "adapter_config.json", lora | places)
    rng, tensors = np.random.default_rng(6), {}
    for layer in range(2):
        for part in ("query", "value"):
            for name, shape in (("A", (3, 32)), ("B", (32, 3))):
                key = f"base_model.model.encoder.layer.{layer}.attention.self.{part}.lora_{name}.weight"
                tensors[key] = (rng.standard_normal(shape) / 4).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


def of_images(folder):
    """A model that reads images: it is known by its architecture."""
    tiny.write_json(folder / "config.json", {"model_type": "qwen3_vl", "architectures": ["Qwen3VLModel"]})
    return folder


def of_modules(kind):
    """A writer of a folder with a module that is not supported."""

    def write(folder):
        tiny.write_tiny_checkpoint(folder, modules=[{"idx": 0, "name": "0", "path": "", "type": kind}])
        return folder

    return write


def static(folder):
    """Static embeddings."""
    return static_cases.write_static(folder, "plain")


def cross(name):
    """A writer of a small cross-encoder."""
    return lambda folder: golden_heads.write_checkpoint(name, "classifier", folder)


WITHOUT_NORM = tiny.MODULES[:2]
WRITERS = {  # a folder: how it is written, and the names that it stands for
    "mpnet": (mpnet, ("sentence-transformers/all-mpnet-base-v2", "output/models/mpnet-base-finetuned-all-nli")),
    "prompted": (bert(1, QUERY), ("mixedbread-ai/mxbai-embed-large-v1", "tomaarsen/mpnet-base-nq-prompts")),
    "not pooled": (bert(1, QUERY, include_prompt=False), ("tomaarsen/bert-base-nq-prompts-exclude-pooling-prompts",)),
    "instructed": (bert(2, include_prompt=False), ("hkunlp/instructor-large",)),
    "plain": (
        bert(3),
        (
            "intfloat/multilingual-e5-large",
            "sentence-transformers/multi-qa-mpnet-base-cos-v1",
            "sentence-transformers/multi-qa-MiniLM-L6-cos-v1",
            "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
            "sentence-transformers/nq-distilbert-base-v1",
            "sentence-transformers/LaBSE",
            "sentence-transformers/allenai-specter",
        ),
    ),
    "dot": (
        bert(4, similarity="dot", modules=WITHOUT_NORM),
        (
            "sentence-transformers/multi-qa-mpnet-base-dot-v1",
            "sentence-transformers/msmarco-distilbert-dot-v5",
            "sentence-transformers/msmarco-distilbert-base-v3",
            "sentence-transformers/distilroberta-base-msmarco-v1",
            "sentence-transformers/facebook-dpr-ctx_encoder-single-nq-base",
        ),
    ),
    "dot for queries": (
        bert(5, similarity="dot", modules=WITHOUT_NORM),
        ("sentence-transformers/facebook-dpr-question_encoder-single-nq-base",),
    ),
    "matryoshka": (matryoshka, ("nomic-ai/nomic-embed-text-v1.5",)),
    "of images": (of_images, ("Qwen/Qwen3-VL-Embedding-2B", "Qwen/Qwen3-VL-Reranker-2B")),
    "clip": (of_modules("sentence_transformers.models.CLIPModel"), ("sentence-transformers/clip-ViT-B-32",)),
    "own code": (of_modules("my_modules.CustomTransformer"), ("your-username/your-model-id",)),
    "adapted": (adapted, ("tomaarsen/bert-base-uncased-gooaq-peft",)),
    "static": (static, ("sentence-transformers/static-retrieval-mrl-en-v1",)),
    "one label": (
        cross("bert"),
        (
            "cross-encoder/ms-marco-MiniLM-L6-v2",
            "cross-encoder/ms-marco-TinyBERT-L2",
            "tomaarsen/reranker-modernbert-base-msmarco-margin-mse",
        ),
    ),
    "one label, 0 to 1": (
        cross("roberta"),
        (
            "cross-encoder/stsb-roberta-base",
            "cross-encoder/stsb-distilroberta-base",
            "cross-encoder/quora-distilroberta-base",
            "tomaarsen/reranker-ModernBERT-base-gooaq-bce",
        ),
    ),
    "three labels": (cross("bert+labels"), ("cross-encoder/nli-deberta-v3-base",)),
}
NAMES = {name: key for key, (_, names) in WRITERS.items() for name in names}


class Models:
    """The folders of the small models, each written when it is first asked for; and what MiniLM is called."""

    def __init__(self, folder, minilm=MINILM):
        self.folder, self.minilm = folder, minilm

    def place(self, name):
        """Where the model lies that a page calls by this name; MiniLM by the name or folder that was given."""
        if name == MINILM:
            return self.minilm
        key = NAMES[name]
        place = self.folder / key.replace(" ", "-").replace(",", "")
        if not place.exists():
            WRITERS[key][0](place)
        return str(place)
