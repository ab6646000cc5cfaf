"""A small random BERT in the full layout of a sentence-transformers folder: for tests without the real weights."""

import json
import string
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from minembed.transformer.quantization import quantize
from minembed.weights import quantized
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params

WORDS = """the a of and to in is it on for with cat dog house tree river bread oven rain sun train book code test
index query cache un believ able ing ed er est re pre over under ##s ##ing ##ed ##er ##able ##ly 中 文 ß ² 🙂""".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIGNS = list(string.ascii_lowercase + string.digits + string.punctuation)
VOCABULARY = list(dict.fromkeys([*SPECIAL, *SIGNS, *(f"##{c}" for c in SIGNS[:36]), *WORDS]))

MODULES = [
    {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
    for i, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])
]


def bert_tensors(
    *,
    vocab_size: int,
    hidden_size: int,
    num_hidden_layers: int,
    intermediate_size: int,
    max_position_embeddings: int,
    type_vocab_size: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return random float32 tensors under Hugging Face's names; none is all zeros or ones, so none can be left out."""
    rng = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}

    def add(name: str, *shape: int, scale: float, middle: float = 0.0) -> None:
        tensors[name] = (middle + scale * rng.standard_normal(shape)).astype(np.float32)

    def linear(name: str, width_in: int, width_out: int) -> None:
        add(f"{name}.weight", width_out, width_in, scale=1.5 / width_in**0.5)
        add(f"{name}.bias", width_out, scale=0.3)

    def norm(name: str) -> None:
        add(f"{name}.weight", hidden_size, scale=0.2, middle=1.0)
        add(f"{name}.bias", hidden_size, scale=0.2)

    rows = {"word": vocab_size, "position": max_position_embeddings, "token_type": type_vocab_size}
    for table, count in rows.items():
        add(f"embeddings.{table}_embeddings.weight", count, hidden_size, scale=0.6)
    norm("embeddings.LayerNorm")
    for i in range(num_hidden_layers):
        layer = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", hidden_size, hidden_size)
        linear(f"{layer}.attention.output.dense", hidden_size, hidden_size)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", hidden_size, intermediate_size)
        linear(f"{layer}.output.dense", intermediate_size, hidden_size)
        norm(f"{layer}.output.LayerNorm")
    return tensors


def tiny_tokenizer() -> Tokenizer:
    """Return a WordPiece tokenizer over VOCABULARY; like the real file, it carries a wrong limit and fixed padding."""
    tokenizer = Tokenizer(WordPiece({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    ends = [(t, VOCABULARY.index(t)) for t in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", pair=None, special_tokens=ends)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8, pad_id=0, pad_token="[PAD]")
    return tokenizer


def write_json(path: Path, value: object) -> None:
    """Write a JSON file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False), encoding="utf-8")


def take_tokenizer_as_it_is(folder):
    """Use tokenizer.json unchanged, although BERT's class would build its own over the vocabulary."""
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})


def write_tiny_checkpoint(
    folder: Path,
    *,
    hidden_size: int = 32,
    num_hidden_layers: int = 2,
    num_attention_heads: int = 4,
    intermediate_size: int = 48,
    max_position_embeddings: int = 64,
    type_vocab_size: int = 2,
    max_seq_length: int | None = 32,
    config: dict[str, object] | None = None,
    modules: list[dict[str, object]] | None = None,
    pooling: dict[str, object] | None = None,
    sentence_transformers: dict[str, object] | None = None,
    tensors: dict[str, np.ndarray] | None = None,
    seed: int = 0,
) -> Path:
    """Write a checkpoint and return its folder.

    `config` adds to or replaces entries of config.json; `modules`, `pooling`, `sentence_transformers` and `tensors`
    replace the content of modules.json, 1_Pooling/config.json, config_sentence_transformers.json and
    model.safetensors; an empty `modules` or a `max_seq_length` of None leaves that file out.
    """
    sizes = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": hidden_size,
        "num_hidden_layers": num_hidden_layers,
        "intermediate_size": intermediate_size,
        "max_position_embeddings": max_position_embeddings,
        "type_vocab_size": type_vocab_size,
    }
    names = {"model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu", "layer_norm_eps": 1e-12}
    whole = {**sizes, **names, "num_attention_heads": num_attention_heads, "position_embedding_type": "absolute"}
    write_json(folder / "config.json", {**whole, "pad_token_id": 0, **(config or {})})
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": max_position_embeddings})
    if max_seq_length is not None:
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_seq_length, "do_lower_case": False})
    own = {"__version__": {"sentence_transformers": "2.0.0"}, "similarity_fn_name": "cosine"}
    write_json(
        folder / "config_sentence_transformers.json", own if sentence_transformers is None else sentence_transformers
    )
    if modules is None or modules:
        write_json(folder / "modules.json", MODULES if modules is None else modules)
    mean = {"word_embedding_dimension": hidden_size, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    write_json(folder / "1_Pooling" / "config.json", mean if pooling is None else pooling)
    (folder / "2_Normalize").mkdir(exist_ok=True)
    if tensors is None:
        tensors = bert_tensors(**sizes, seed=seed)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_int8(folder, target):
    """A checkpoint, stored as int8 in a folder of its own."""
    checkpoint = read_checkpoint(folder)
    quantized.save(quantize(read_params(checkpoint)), checkpoint, target)
    return target
