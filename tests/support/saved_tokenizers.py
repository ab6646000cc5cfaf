"""Folders with more information on tokens than tokenizer.json, as small changes of the goldens' tokenizers.

The results of transformers for each are in tests/goldens/saved_tokenizers.json.xz, written by
make_saved_tokenizer_goldens.py; REFUSED are those that are refused here by name.
"""

import json
import lzma
from functools import cache

import tokenizer_kinds as kinds
from places import GOLDENS_FOLDER

GOLDEN = GOLDENS_FOLDER / "saved_tokenizers.json.xz"
NEW = {"content": "[NEW1]", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
NEW |= {"special": False}
SHY = NEW | {"content": "<new2>", "lstrip": True, "rstrip": True, "normalized": False}
WORD = NEW | {"content": "oven", "single_word": True, "normalized": False}
TYPED = {"__type": "AddedToken", **NEW}
PLAIN = {"content": "[MASK]", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False}
BERT = [NEW | {"content": t, "normalized": False, "special": True} for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")]
SPECIAL = {str(i): token for i, token in enumerate(BERT)}
CONFIG, ADDED, MAP = "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"
Edits = dict[str, dict[str, object]]


def config(**settings: object) -> Edits:
    """Settings in tokenizer_config.json."""
    return {CONFIG: settings}


def decoder(*tokens: dict[str, object], first: int = 1000, **more: object) -> Edits:
    """Tokens in added_tokens_decoder, with ids from `first`."""
    return config(added_tokens_decoder={**more, **{str(first + i): token for i, token in enumerate(tokens)}})


CASES: dict[str, tuple[str, Edits]] = {  # the golden that is changed, and the keys that are set
    "decoder": ("bert", decoder(NEW, SHY)),
    "decoder of all": ("bert", decoder(NEW, SHY, first=420, **SPECIAL)),
    "decoder that is empty": ("bert", config(added_tokens_decoder={})),
    "decoder of a word": ("bert", decoder(WORD)),
    "decoder for any class": ("bert-fast", decoder(NEW, SHY)),
    "decoder with other flags": ("bert-fast", decoder({**PLAIN, "special": True}, first=4)),
    "decoder with other flags for bert": ("bert", decoder({**PLAIN, "special": True}, first=4)),
    "decoder of roberta": ("roberta", decoder(NEW, SHY)),
    "decoder of mpnet": ("mpnet", decoder(NEW, SHY)),
    "decoder of xlm-roberta": ("xlm-roberta", decoder(NEW, SHY, WORD)),
    "decoder of albert": ("albert", decoder(NEW, SHY)),
    "decoder of camembert": ("camembert", decoder(NEW, SHY)),
    "decoder of modernbert": ("modernbert", decoder(NEW, SHY)),
    "decoder of qwen": ("qwen", decoder(NEW, SHY)),
    "decoder of gemma": ("gemma", decoder(NEW, SHY)),
    "decoder without tokenizer.json": ("vocab-bert", decoder(NEW, SHY)),
    "decoder before added_tokens.json": ("bert", {**decoder(NEW), ADDED: {"<new2>": 1001}}),
    "added_tokens.json": ("bert", {ADDED: {"[NEW1]": 1000, "<new2>": 1001}}),
    "added_tokens.json out of order": ("bert", {ADDED: {"<new2>": 1001, "[NEW1]": 1000}}),
    "added_tokens.json for any class": ("bert-fast", {ADDED: {"[NEW1]": 1000, "<new2>": 1001}}),
    "added_tokens.json with a special one": ("roberta", {**config(cls_token="[NEW1]"), ADDED: {"[NEW1]": 1000}}),
    "special_tokens_map.json": ("bert", {MAP: {"mask_token": {**PLAIN, "content": "<mask>"}}}),
    "special_tokens_map.json with more": ("bert-fast", {MAP: {"additional_special_tokens": ["<new2>", "[NEW1]"]}}),
    "extra tokens": ("bert", config(extra_special_tokens=["[NEW1]", TYPED | {"content": "<new2>"}])),
    "extra tokens with names": ("bert-fast", config(extra_special_tokens={"image_token": "[NEW1]"})),
    "additional tokens": ("xlm-roberta", config(additional_special_tokens=["[NEW1]", "<new2>"])),
    "a token with a name of its own": ("modernbert", config(image_token="[NEW1]")),
    "another mask": ("bert", config(mask_token="[NEW1]")),
    "another mask with flags": ("bert-fast", config(mask_token={**TYPED, "content": "<new2>", "lstrip": True})),
    "another padding": ("gemma", config(pad_token="<new2>")),
    "no mask": ("bert", config(mask_token=None, added_tokens_decoder=SPECIAL)),
    "other ends": ("bert", config(cls_token="[SEP]", sep_token="[MASK]")),
    "other ends that are new": ("bert", config(cls_token="[NEW1]")),
    "other ends of mpnet": ("mpnet", config(cls_token="<mask>")),
    "other ends of roberta": ("roberta", config(sep_token="<mask>")),
    "other ends for any class": ("bert-fast", config(cls_token="[SEP]", sep_token="[MASK]")),
    "other ends of xlm-roberta": ("xlm-roberta", config(bos_token="<mask>")),
    "other ends of xlm-roberta that are not used": ("xlm-roberta", config(cls_token="<mask>")),
    "other ends of albert": ("albert", config(cls_token="[MASK]")),
    "another unknown token": ("bert", config(unk_token="[MASK]")),
    "special tokens are split": ("bert", config(split_special_tokens=True)),
    "special tokens are split in any class": ("modernbert", config(split_special_tokens=True)),
    "special tokens are split in roberta": ("roberta", config(split_special_tokens=True)),
    "a space before": ("roberta", config(add_prefix_space=True)),
    "no space before": ("roberta-prefix-space", config(add_prefix_space=False)),
    "a space before any class": ("modernbert", config(add_prefix_space=True)),
    "no space before xlm-roberta": ("xlm-roberta", config(add_prefix_space=False)),
    "a space before xlm-roberta": ("xlm-roberta", config(add_prefix_space=True)),
    "a space before qwen": ("qwen", config(add_prefix_space=True)),
    "ends by flags": ("bert", config(add_bos_token=True, add_eos_token=True)),
    "ends by flags in any class": ("modernbert", config(add_bos_token=True, add_eos_token=True, eos_token="[SEP]")),
    "case": ("bert", config(do_lower_case=False)),
    "case and accents": ("bert", config(do_lower_case=False, strip_accents=True, tokenize_chinese_chars=False)),
    "case of mpnet": ("mpnet", config(do_lower_case=False)),
    "case for any class": ("bert-fast", config(do_lower_case=True)),
    "case of albert": ("albert", config(do_lower_case=False)),
    "accents of albert": ("albert", config(keep_accents=True)),
    "modernbert by another class": ("modernbert", config(tokenizer_class="BertTokenizer", cls_token="[MASK]")),
    "sides and limits": ("bert", config(padding_side="left", model_max_length=4, max_length=3, stride=1, legacy=True)),
    "of no effect": ("bert", config(never_split=["oven"], do_basic_tokenize=False, use_fast=False, errors="strict")),
    "arguments by place": ("bert", config(init_inputs=["a"])),
    "roberta over word pieces": ("bert", config(tokenizer_class="RobertaTokenizerFast")),
    "roberta by another name": ("roberta", config(tokenizer_class="LongformerTokenizerFast", sep_token="<mask>")),
    "bert by another name": ("bert", config(tokenizer_class="MobileBertTokenizer", do_lower_case=False)),
    "a class that is not built here": ("bert", config(tokenizer_class="FunnelTokenizerFast")),
    "roberta over qwen": ("qwen", config(tokenizer_class="RobertaTokenizer")),
}
REFUSED = {  # and the words that the error has
    "arguments by place": "init_inputs = ",
    "a class that is not built here": "tokenizer_class 'FunnelTokenizer'",
    "roberta over word pieces": "RobertaTokenizer builds a BPE, but tokenizer.json holds a WordPiece",
}
TEXTS = [
    "",
    "The baker opened the oven before sunrise.",
    "a[NEW1]b [new1] c [New1]",
    "x <new2> y<new2>",
    "OVEN oven ovens",
]
TEXTS += ["a [MASK] b <mask>c", "[CLS] a [SEP] b [UNK] [PAD] <s> </s> <pad>", "Größe É e\u0301 東京 don't", " a  b "]
TEXTS += ["<|endoftext|> <|im_end|> <bos> <unk>NOTUSED", "\u2603 x[MASK]", "oven[NEW1]oven <NEW2> [mask]"]


def files(name: str) -> dict[str, str]:
    """The files of a case."""
    kind, edits = CASES[name]
    found = dict(kinds.golden(kind)["files"])
    for file, keys in edits.items():
        found[file] = json.dumps(json.loads(found.get(file, "{}")) | keys)
    return found


@cache
def goldens() -> dict[str, dict[str, list[list[int]]]]:
    """The results of transformers for the texts, and for pairs of them, by the names of the cases."""
    return json.loads(lzma.decompress(GOLDEN.read_bytes()))["cases"]
