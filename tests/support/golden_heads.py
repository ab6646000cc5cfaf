"""The goldens of heads: small cross-encoders and masked-LM checkpoints.  Nothing here needs torch."""

import json
from dataclasses import dataclass, field
from functools import cache

import family_others
import family_rotary
import family_table
import numpy as np
from golden_families import tensor
from places import GOLDENS_FOLDER
from safetensors.numpy import save_file
from tiny import VOCABULARY, tiny_tokenizer, write_json
from tokenizers import decoders
from tokenizers.processors import TemplateProcessing

from minembed.transformer.tokens import Tokens

FOLDER = GOLDENS_FOLDER / "heads"
FAMILIES = family_table.GOLDENS | family_rotary.GOLDENS | family_others.GOLDENS
KINDS = ("classifier", "masked")
SPECIAL = {
    name: f"[{name[:-6].upper()}]" for name in ("cls_token", "sep_token", "mask_token", "pad_token", "unk_token")
}


@dataclass(frozen=True)
class Case:
    """How one golden is made: from which golden of a family, and with which head."""

    family: str  # a row of FAMILIES
    prefix: str  # of the encoder's tensors in the hub's files
    labels: int = 1
    kinds: tuple[str, ...] = KINDS
    config: dict = field(default_factory=dict)  # entries of config.json besides
    renamed: tuple[tuple[str, str], ...] = ()  # in names of the heads: what the reference says, and what the hub


IDENTITY = "torch.nn.modules.linear.Identity"
CASES = {
    "bert": Case(
        "bert",
        "bert.",
        config={"sentence_transformers": {"activation_fn": IDENTITY}},
        renamed=(("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")),
    ),
    "bert+labels": Case("bert", "bert.", 3, ("classifier",), {"hidden_act": "gelu_new"}),
    "roberta": Case("roberta", "roberta."),
    "xlm-roberta": Case("xlm-roberta", "roberta.", config={"sbert_ce_default_activation_function": IDENTITY}),
    "camembert": Case("camembert", "roberta."),
    "distilbert": Case("distilbert+relu", "distilbert."),
    "mpnet": Case("mpnet", "mpnet.", 2, config={"max_position_embeddings": 43}),
    "electra": Case("electra", "electra."),
    "albert": Case("albert", "albert."),
    "modernbert": Case("modernbert", "model.", config={"classifier_pooling": "mean"}),
    "modernbert+cls": Case(
        "modernbert", "model.", 2, config={"classifier_pooling": "cls", "classifier_activation": "silu"}
    ),
    "nomic_bert": Case("nomic_bert", "bert."),
    "new": Case("new", "new.", renamed=(("lm_head.layer_norm", "lm_head.norm"),)),
    "gte": Case("gte", "new.", renamed=(("lm_head.layer_norm", "lm_head.norm"),)),
}
LAYERS, LONGEST = 2, 41
EVERY = 4  # of how many tokens the words of one are kept
PAIRS = [
    ("the cat", "a dog in the tree, with bread"),
    ("un believ able", "rain " * 60),
    ("query cache index", ""),
    ("", "the sun and the rain"),
    ("the cat", "the cat"),
    ("river " * 40, "house " * 50),
    ("x", "code test code, re-indexed"),
]
QUERY, DOCUMENTS = "the cat on the train", [document for _, document in PAIRS] + ["the cat", "bread"]
MASKS = [
    "the cat [MASK] the tree.",
    "[MASK]",
    "a [MASK] with the [MASK], un believ able",
    "in the sun [MASK] [MASK] test [MASK]!",
]


def pair_tokenizer():
    """The tokenizer of tests/support/tiny.py, for pairs as well, that puts words together when it decodes."""
    tokenizer = tiny_tokenizer()
    ends = [(token, VOCABULARY.index(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def config_of(case, kind, native=False):
    """config.json of a case: the hub's, or the one that transformers reads."""
    golden = FAMILIES[case.family]
    config = dict((golden.native if native else None) or golden.hub) | case.config
    layers = next(key for key in ("num_hidden_layers", "n_layers", "n_layer") if key in config)
    config[layers] = LAYERS
    if kind == "classifier":
        config["id2label"] = {str(i): f"LABEL_{i}" for i in range(case.labels)}
    ending = "ForSequenceClassification" if kind == "classifier" else "ForMaskedLM"
    return config | {"architectures": [f"Any{ending}"]}


@cache
def read(name):
    """The arrays of one golden file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def tensors_of(golden, kind):
    """The tensors of a checkpoint of this kind by their hub names, float16 numbers in float32."""
    found = {}
    for key in golden:
        group, _, name = key.partition("/")
        if group in ("encoder", kind) and name:
            found[name] = tensor(golden[key], name, np.float32)
    return found


def write_checkpoint(name, kind, folder, config=None, tensors=None, tokenizer=None):
    """Write the plain Hugging Face folder of a golden and return it; None removes an entry or a tensor."""
    whole = config_of(CASES[name], kind) | (config or {})
    stored = tensors_of(read(name), kind) | (tensors or {})
    return write_folder(folder, whole, stored, tokenizer)


def write_folder(folder, config, tensors, tokenizer=None):
    """Write config.json, model.safetensors and a tokenizer."""
    write_json(folder / "config.json", {key: value for key, value in config.items() if value is not None})
    kept = {name: array for name, array in tensors.items() if array is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    pair_tokenizer().save(str(folder / "tokenizer.json"))
    own = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LONGEST, **SPECIAL}
    types = ["token_type_ids"] if config.get("type_vocab_size", 0) > 1 else []
    own["model_input_names"] = ["input_ids", *types, "attention_mask"]
    write_json(folder / "tokenizer_config.json", own | (tokenizer or {}))
    return folder


def tokens_of(golden):
    """The packed texts of a golden."""
    ids, types = golden["ids"].astype(np.int32), golden["types"].astype(np.int32)
    return Tokens(ids=ids, types=types, cu_seqlens=golden["cu_seqlens"])


def said(golden, key):
    """The results of a reference, as JSON; None if there are none."""
    return json.loads(str(golden[key])) if key in golden else None
