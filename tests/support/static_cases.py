"""Small folders of static embeddings, for the maker of goldens and for the tests; the numbers come from seeds."""

import json

import numpy as np
import tiny
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Metaspace, Whitespace

WIDTH = 24
ROWS = len(tiny.VOCABULARY)
TEXTS = ["", " ", "a", "a cat", "the dog on the river and the bread in the oven", "Sun, rain & snow!"]
TEXTS += ["中 文 and 🙂 ß²", " ".join(tiny.WORDS), "unbelievable tests", "x" * 200, "\x00", "query: [CLS] tree [PAD]"]
TEXTS += ["日本 a 日本", "本"]
TEXTS += [" ".join(f"{a} of {b}" for a in tiny.WORDS[:20] for b in tiny.WORDS[5:20])]  # 900 tokens
TEXTS += ["a cat and a dog " * 2000, "supercalifragilistic " * 150 + "end"]  # beyond a block; many letters a token


def word_piece(limit=None, left=False):
    """The tokenizer of tests/support/tiny.py, without padding."""
    tokenizer = tiny.tiny_tokenizer()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if limit:
        tokenizer.enable_truncation(limit, direction="left" if left else "right")
    return tokenizer


def word_level():
    """A tokenizer of whole words: most are unknown."""
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(tiny.VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    return tokenizer


def unigram():
    """A tokenizer in the manner of SentencePiece, of a multilingual checkpoint."""
    words = [f"▁{word}" if word.isascii() else word for word in WORDS]
    pieces = [("<pad>", 0.0), ("<unk>", 0.0), *((word, -float(i)) for i, word in enumerate(words))]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=1))
    tokenizer.pre_tokenizer = Metaspace()
    return tokenizer


WORDS = [word for word in tiny.VOCABULARY if word not in tiny.SPECIAL]
PIECES = len(WORDS) + 2


def rows(count=ROWS, seed=0, width=WIDTH, dtype=np.float32):
    """A table."""
    return np.random.default_rng(seed).standard_normal((count, width)).astype(dtype)


def scales(count=ROWS, dtype=np.float32):
    """The weights of tokens."""
    return np.random.default_rng(7).uniform(0.1, 2, count).astype(dtype)


def mapping(count=ROWS, clusters=30):
    """Which row of a smaller table each token has."""
    return np.random.default_rng(8).integers(0, clusters, count)


def table(**tensors):
    """The tensors of a StaticEmbedding."""
    return {"embedding.weight": rows()} | tensors


NORMALIZE = ("Normalize", {}, {})
DENSE_SETTINGS = {"in_features": WIDTH, "out_features": 10, "bias": True}
DENSE_SETTINGS["activation_function"] = "torch.nn.modules.activation.Tanh"
DENSE = ("Dense", DENSE_SETTINGS, {"linear.weight": rows(10, 3) / 4, "linear.bias": rows(1, 4, 10)[0]})
QUANTIZED = {"embeddings": rows(30, 1), "weights": scales(), "mapping": mapping()}
# of folders with modules.json: tokenizer, tensors, modules behind, and whether the files lie in 0_StaticEmbedding
STATIC = {
    "plain": (word_piece, table(), (), True),
    "normalized": (word_piece, table(), (NORMALIZE,), True),
    "in the root": (word_piece, table(), (NORMALIZE,), False),
    "dense": (word_piece, table(), (DENSE, NORMALIZE), True),
    "cut": (lambda: word_piece(8), table(), (NORMALIZE,), True),
    "cut on the left": (lambda: word_piece(8, True), table(), (NORMALIZE,), True),
    "words": (word_level, table(), (NORMALIZE,), True),
    "unigram": (unigram, {"embedding.weight": rows(PIECES)}, (NORMALIZE,), True),
    "of model2vec": (word_piece, {"embeddings": rows()}, (NORMALIZE,), False),
    "weighted": (word_piece, {"embeddings": rows(), "weights": scales()}, (NORMALIZE,), False),
    "mapped": (word_piece, {"embeddings": rows(30, 1), "mapping": mapping()}, (NORMALIZE,), False),
    "mapped and weighted": (word_piece, QUANTIZED, (), False),
}
# of folders of model2vec without modules.json: tokenizer, tensors, config.json
MODEL2VEC = {
    "plain": (word_piece, {"embeddings": rows()}, {}),
    "normalized": (word_piece, {"embeddings": rows()}, {"normalize": True}),
    "words": (word_level, {"embeddings": rows()}, {"normalize": True}),
    "unigram": (unigram, {"embeddings": rows(PIECES)}, {"normalize": True}),
    "short": (word_piece, {"embeddings": rows()}, {"normalize": True, "max_length": 20}),
    "endless": (word_piece, {"embeddings": rows()}, {"normalize": True, "max_length": None}),
    "quantized": (word_piece, QUANTIZED, {"normalize": True, "vocabulary_quantization": 30}),
    "in double": (
        word_piece,
        {"embeddings": rows(30, 1, dtype=np.float64), "weights": scales(dtype=np.float64), "mapping": mapping()},
        {"normalize": True},
    ),
    "int8": (word_piece, {"embeddings": np.rint(40 * rows()).astype(np.int8)}, {"normalize": True}),
}


def write_static(folder, name, kind="sentence_transformers.models"):
    """Write the folder of a case of STATIC."""
    make, tensors, behind, below = STATIC[name]
    inside = folder / "0_StaticEmbedding" if below else folder
    entries = [("0_StaticEmbedding" if below else ".", f"{kind}.StaticEmbedding")]
    _write(inside, make(), tensors)
    for i, (module, settings, weights) in enumerate(behind, 1):
        entries.append((f"{i}_{module}", f"sentence_transformers.models.{module}"))
        if settings:
            tiny.write_json(folder / f"{i}_{module}" / "config.json", settings)
            save_file(weights, folder / f"{i}_{module}" / "model.safetensors", metadata={"format": "pt"})
    modules = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(entries)]
    tiny.write_json(folder / "modules.json", modules)
    tiny.write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "the river "}})
    return folder


def write_model2vec(folder, name):
    """Write the folder of a case of MODEL2VEC."""
    make, tensors, config = MODEL2VEC[name]
    _write(folder, make(), tensors)
    usual = {"model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": WIDTH, "seq_length": 1000000}
    tiny.write_json(folder / "config.json", usual | config)
    return folder


def _write(folder, tokenizer, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    layout = json.loads(tokenizer.to_str())
    tiny.write_json(folder / "tokenizer.json", layout)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
