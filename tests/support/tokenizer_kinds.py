"""Small tokenizers of every kind, in the files of their families, and the results of transformers with them.

The goldens are written by make_tokenizer_goldens.py. The character map of SentencePiece's nmt_nfkc is kept once, in
nmt_nfkc.xz; the files contain the word below instead.
"""

import base64
import json
import lzma
from functools import cache

import corpus
from places import GOLDENS_FOLDER

from minembed.text.tokenizer import Tokenizer
from minembed.transformer.config import Config

GOLDENS = GOLDENS_FOLDER / "tokenizers"
KINDS = sorted(path.name.removesuffix(".json.xz") for path in GOLDENS.glob("*.json.xz"))
CHARSMAP = "<nmt_nfkc>"
LIMITS = (5, 6, 7, 8, 17, 64)


def texts():
    """Return 170 texts: sentences of many scripts, odd ones, naughty ones, and some longer than any limit."""
    long = [" ".join(corpus.SENTENCES[i::7]) for i in range(4)]
    specials = "<s>|</s>|<mask>|<|endoftext|>|[CLS]|[SEP]|[MASK]|<pad>|<unk>|[UNK]|<bos>|<eos>".split("|")
    found = ["", " ", *corpus.SENTENCES[::2], *corpus.ODD[::3], *corpus.NAUGHTY[::8], *long]
    found += [f"a {special} b{special}c" for special in specials] + [f"  {special}{special} " for special in specials]
    return [*dict.fromkeys([*found, "  two  spaces  ", "\n\nlines\n\n", " a", "a ", "a\tb", "A B", "don't I'LL"])]


def pairs():
    """Return pairs of texts: either side empty, short or long, and both long."""
    few, long = texts()[:40:3], texts()[29:]
    sides = [*few, "", " ".join(corpus.ENGLISH), " ".join(corpus.SENTENCES[::5]), "x" * 90, "a <mask> [MASK] b", " "]
    found = [(sides[i], sides[(i * 7 + 3) % len(sides)]) for i in range(len(sides))]
    return found + [(b, a) for a, b in found[:6]] + [(t, few[5]) for t in long[::9]] + [("", ""), ("", "a"), ("a", "")]


def fill(content):
    """Insert the character map."""
    return content.replace(CHARSMAP, charsmap()) if CHARSMAP in content else content


@cache
def charsmap():
    """The precompiled character map, as tokenizer.json holds it."""
    return base64.b64encode(lzma.decompress((GOLDENS / "nmt_nfkc.xz").read_bytes())).decode()


@cache
def golden(kind):
    """The stored files and ids of a kind."""
    return json.loads(lzma.decompress((GOLDENS / f"{kind}.json.xz").read_bytes()))


def write_files(files, folder):
    """Write the files of a tokenizer."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(fill(content), encoding="utf-8", newline="")
    return folder


def config(kind, **changes):
    """A configuration that fits a kind."""
    found = golden(kind)
    sizes = {"vocab_size": found["vocab_size"], "type_vocab_size": found["type_vocab_size"]}
    rest = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    rest |= {"max_position_embeddings": 2048, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
    return Config(**(sizes | rest | changes))


def load(kind, folder, limit=2048, lowercase_first=False, **changes):
    """Our tokenizer of a kind."""
    write_files(golden(kind)["files"], folder)
    return Tokenizer.load(folder / "tokenizer.json", limit, config(kind, **changes), lowercase_first)
