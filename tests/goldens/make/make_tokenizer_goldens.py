"""Write the goldens of tokenizers: small ones of every kind, and what transformers' AutoTokenizer makes of texts.

    python tests/goldens/make/make_tokenizer_goldens.py tests/goldens/tokenizers

Vocabularies are trained on corpus.py; the files around them are those that the family's checkpoints have. The
trainers break ties by chance, so the files of a golden that exists are kept, and a second run writes the same bytes;
remove a golden to have its files made anew.
"""

import json
import lzma
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = "1"

import corpus
import tokenizer_kinds as kinds
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

TRAINING = [*corpus.SENTENCES, *corpus.ENGLISH * 3]
PLACEHOLDER = "QUJDRA=="  # what stands for the character map until the layout is written
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def token(content, index, **flags):
    """One entry of added_tokens."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": index, "content": content, **plain, **flags}


def trained(model, trainer, normalizer=None, pre_tokenizer=None):
    """The layout of a tokenizer trained on the corpus."""
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(TRAINING, trainer)
    return json.loads(tokenizer.to_str())["model"]


def layout(model, **parts):
    """A whole tokenizer.json."""
    empty = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"))
    return {"version": "1.0", **empty, "added_tokens": [], **parts, "model": model}


def state(component):
    """How a component is written in tokenizer.json."""
    return json.loads(component.__getstate__())


def template(single, pair, ids):
    """A TemplateProcessing."""
    return state(processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(ids.items())))


def word_piece(specials, size=420, lowercase=True):
    """A WordPiece model; the special tokens come first."""
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=specials, show_progress=False)
    model = trained(models.WordPiece(unk_token="[UNK]"), trainer, normalizer, pre_tokenizers.BertPreTokenizer())
    return model | {"unk_token": "[UNK]", "max_input_chars_per_word": 100, "continuing_subword_prefix": "##"}


def byte_bpe(specials, size=520, pre_tokenizer=None):
    """A byte-level BPE model."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    return trained(models.BPE(), trainer, None, pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False))


def unigram(first, last=(), size=1000, lowercase=False):
    """A Unigram model whose first and last pieces are given."""
    steps = [normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])]
    pre = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    model = trained(models.Unigram(), trainer, normalizers.Sequence(steps), pre)
    pieces = [[piece, round(score, 4)] for piece, score in model["vocab"] if piece not in first]
    pieces = [[piece, 0.0] for piece in first] + pieces + [[piece, 0.0] for piece in last]
    return {"type": "Unigram", "unk_id": first.index("<unk>"), "vocab": pieces, "byte_fallback": False}


PRECOMPILED = {"type": "Precompiled", "precompiled_charsmap": kinds.CHARSMAP}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MPNET_SPECIAL = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bert_layout(lowercase=True, **changes):
    """A tokenizer.json of BERT."""
    ends = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", {"[CLS]": 2, "[SEP]": 3})
    own = {
        "normalizer": state(normalizers.BertNormalizer(lowercase=lowercase)),
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": ends,
        "added_tokens": [token(t, i) for i, t in enumerate(BERT_SPECIAL)],
    }
    return layout(word_piece(BERT_SPECIAL, lowercase=lowercase), **(own | changes))


def bert(layout, settings=None, model_type="bert", types=2):
    """The files of a BERT with a tokenizer.json."""
    settings = {"do_lower_case": True, "tokenizer_class": "BertTokenizer"} if settings is None else settings
    return {
        "tokenizer.json": layout,
        "tokenizer_config.json": settings,
        "config.json": {"model_type": model_type},
    }, types


def vocab_txt(model):
    """The lines of vocab.txt."""
    return "".join(f"{piece}\n" for piece in sorted(model["vocab"], key=model["vocab"].get))


def merges_txt(model):
    """The lines of merges.txt."""
    return "#version: 0.2\n" + "".join(" ".join(merge) + "\n" for merge in model["merges"])


def mpnet():
    added = [token(t, i, lstrip=t == "<mask>") for i, t in enumerate(MPNET_SPECIAL)]
    ends = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True}
    parts = bert_layout() | {"model": word_piece(MPNET_SPECIAL), "added_tokens": added}
    parts["post_processor"] = ends | {"add_prefix_space": False}
    return bert(parts, {"do_lower_case": True, "tokenizer_class": "MPNetTokenizer"}, "mpnet", 0)


def roberta(prefix=False):
    added = [token(t, i, lstrip=t == "<mask>", normalized=t != "<mask>") for i, t in enumerate(ROBERTA_SPECIAL)]
    ends = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True}
    parts = layout(
        byte_bpe(ROBERTA_SPECIAL),
        added_tokens=added,
        pre_tokenizer=state(pre_tokenizers.ByteLevel(add_prefix_space=prefix)),
        post_processor=ends | {"add_prefix_space": prefix},
        decoder=state(decoders.ByteLevel()),
    )
    settings = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": prefix, "trim_offsets": True}
    return bert(parts, settings, "roberta", 1)


def modernbert():
    """As in ModernBERT: the special tokens stand last, runs of spaces are tokens of their own, text is put in NFC."""
    model = byte_bpe([])
    first = len(model["vocab"])
    runs = [token(" " * n, first + n - 2, normalized=True, special=False) for n in range(2, 9)]
    names = ["<|endoftext|>", "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    at = first + len(runs)
    special = [token(t, at + i, lstrip=t == "[MASK]") for i, t in enumerate(names)]
    ends = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", {"[CLS]": at + 2, "[SEP]": at + 3})
    parts = layout(
        model,
        added_tokens=[*runs, *special],
        normalizer={"type": "NFC"},
        pre_tokenizer=state(pre_tokenizers.ByteLevel(add_prefix_space=False)),
        post_processor=ends,
    )
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    settings |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    return bert(parts, settings, "modernbert", 0)


def qwen():
    steps = [pre_tokenizers.Split(Regex(QWEN), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    pre = pre_tokenizers.Sequence(steps)
    model = byte_bpe([], pre_tokenizer=pre)
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    added = [token(t, len(model["vocab"]) + i) for i, t in enumerate(names)]
    end = template("$A <|endoftext|>", "$A $B:1 <|endoftext|>:1", {"<|endoftext|>": len(model["vocab"])})
    parts = layout(
        model,
        added_tokens=added,
        normalizer={"type": "NFC"},
        pre_tokenizer=state(pre),
        post_processor={"type": "Sequence", "processors": [state(processors.ByteLevel(trim_offsets=False)), end]},
    )
    settings = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return bert(parts, settings | {"add_bos_token": False, "add_prefix_space": False}, "qwen3", 0)


def xlm_roberta(newer=False):
    """The older layout (multilingual-e5) or the newer one (bge-m3)."""
    model = unigram(["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    added = [token(t, i) for i, t in enumerate(names)] + [token("<mask>", len(model["vocab"]) - 1, lstrip=True)]
    strip = {"type": "Strip", "strip_left": False, "strip_right": True}
    spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}
    sequence = {"type": "Sequence", "normalizers": [PRECOMPILED, strip, spaces]}
    split = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}
    parts = layout(
        model,
        added_tokens=added,
        normalizer=sequence if newer else PRECOMPILED,
        pre_tokenizer=METASPACE if newer else split,
        post_processor=template("<s> $A </s>", "<s> $A </s> </s> $B </s>", {"<s>": 0, "</s>": 2}),
    )
    return bert(parts, {"tokenizer_class": "XLMRobertaTokenizer"}, "xlm-roberta", 1)


def camembert():
    first = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"]
    model = unigram(first, ["<mask>"])
    added = [token(t, i) for i, t in enumerate(first) if t != "<unk>NOTUSED"]
    split = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}
    parts = layout(
        model,
        added_tokens=[*added, token("<mask>", len(model["vocab"]) - 1, lstrip=True)],
        normalizer=PRECOMPILED,
        pre_tokenizer=split,
        post_processor=template("<s> $A </s>", "<s> $A </s> </s> $B </s>", {"<s>": 5, "</s>": 6}),
    )
    return bert(parts, {"tokenizer_class": "CamembertTokenizer"}, "camembert", 1)


def albert():
    first = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    quotes = [{"type": "Replace", "pattern": {"String": q}, "content": '"'} for q in ("``", "''")]
    steps = [*quotes, {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, PRECOMPILED]
    parts = layout(
        unigram(first, lowercase=True),
        added_tokens=[token(t, i, lstrip=t == "[MASK]") for i, t in enumerate(first)],
        normalizer={"type": "Sequence", "normalizers": steps},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]},
        post_processor=template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", {"[CLS]": 2, "[SEP]": 3}),
    )
    return bert(parts, {"tokenizer_class": "AlbertTokenizer", "do_lower_case": True}, "albert", 2)


def gemma():
    """As in Gemma: SentencePiece's BPE with bytes to fall back on, spaces replaced before any splitting."""
    names = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    normalizer, pre = normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous")
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=names, max_token_length=8, show_progress=False)
    model = trained(models.BPE(unk_token="<unk>"), trainer, normalizer, pre)
    for byte in range(256):
        model["vocab"][f"<0x{byte:02X}>"] = len(model["vocab"])
    parts = layout(
        model | {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"},
        added_tokens=[token(t, i) for i, t in enumerate(names)],
        normalizer=state(normalizer),
        pre_tokenizer=state(pre),
        post_processor=template("<bos> $A <eos>", "<bos> $A <eos> <bos>:1 $B:1 <eos>:1", {"<bos>": 2, "<eos>": 1}),
    )
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    return bert(parts, settings, "gemma3_text", 0)


def word_level():
    trainer = trainers.WordLevelTrainer(vocab_size=300, special_tokens=BERT_SPECIAL, show_progress=False)
    model = trained(models.WordLevel(unk_token="[UNK]"), trainer, None, pre_tokenizers.Whitespace())
    parts = bert_layout(normalizer={"type": "Lowercase"}, pre_tokenizer={"type": "Whitespace"})
    parts["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    return bert(parts | {"model": model}, {"tokenizer_class": "PreTrainedTokenizerFast"})


def without_json(family, settings, model_type, types):
    """Only vocab.txt, or vocab.json and merges.txt."""
    files = {"config.json": {"model_type": model_type}}
    if settings is not None:
        files["tokenizer_config.json"] = settings
    if family == "roberta":
        model = byte_bpe(ROBERTA_SPECIAL)
        files |= {"vocab.json": model["vocab"], "merges.txt": merges_txt(model)}
    else:
        specials = MPNET_SPECIAL if family == "mpnet" else BERT_SPECIAL
        files["vocab.txt"] = vocab_txt(word_piece(specials, lowercase=bool((settings or {}).get("do_lower_case", 1))))
    return files, types


def legacy():
    """As transformers 2 and 3 saved it: special and added tokens in files of their own."""
    files, types = without_json("bert", {"do_lower_case": True, "mask_token": "[unused1]"}, "bert", 2)
    n = files["vocab.txt"].count("\n")
    files["special_tokens_map.json"] = {"mask_token": {"content": "<mask>", "lstrip": True}}
    return files | {"added_tokens.json": {"THE": n + 1, "<s>": n, "<mask>": n + 2}}, types


CASED = {"do_lower_case": False, "tokenizer_class": "BertTokenizer", "never_split": ["don't"]}
ODD = {"do_lower_case": True, "strip_accents": False, "tokenize_chinese_chars": False, "unk_token": "[UNK]"}
MASK = {"__type": "AddedToken", "content": "[mask me]", "lstrip": True, "normalized": True}
OWN = {"do_lower_case": False, "cls_token": "[SEP]", "sep_token": "[CLS]", "mask_token": MASK}
LEFT = {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
PAD = {"strategy": {"Fixed": 12}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 1}
MAKERS = {
    "bert": lambda: bert(bert_layout()),
    "bert-cased": lambda: bert(bert_layout(False), CASED),
    "bert-contradicted": lambda: bert(bert_layout(False), {"tokenizer_class": "BertTokenizerFast"}),
    "bert-fast": lambda: bert(bert_layout(False), {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "bert-left": lambda: bert(bert_layout(truncation=LEFT, padding=PAD | {"pad_token": "[PAD]"})),
    "bert-no-config": lambda: bert(bert_layout(False), {}),
    "mpnet": mpnet,
    "roberta": roberta,
    "roberta-prefix-space": lambda: roberta(True),
    "modernbert": modernbert,
    "qwen": qwen,
    "xlm-roberta": xlm_roberta,
    "xlm-roberta-newer": lambda: xlm_roberta(True),
    "camembert": camembert,
    "albert": albert,
    "gemma": gemma,
    "word-level": word_level,
    "vocab-bert": lambda: without_json("bert", None, "bert", 2),
    "vocab-bert-cased": lambda: without_json("bert", CASED, "bert", 2),
    "vocab-bert-odd": lambda: without_json("bert", ODD, "bert", 2),
    "vocab-bert-own-tokens": lambda: without_json("bert", OWN, "bert", 2),
    "vocab-bert-legacy": legacy,
    "vocab-distilbert": lambda: without_json("bert", {"do_lower_case": True}, "distilbert", 0),
    "vocab-electra": lambda: without_json("bert", {"tokenizer_class": "ElectraTokenizer"}, "electra", 2),
    "vocab-mpnet": lambda: without_json("mpnet", {"tokenizer_class": "MPNetTokenizer"}, "mpnet", 0),
    "vocab-roberta": lambda: without_json("roberta", None, "roberta", 1),
    "vocab-roberta-prefix-space": lambda: without_json("roberta", {"add_prefix_space": True}, "roberta", 1),
}


def text(content):
    """A file's text."""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)


def expected(tokenizer, *sides, **options):
    """The ids, and the types where the tokenizer gives them."""
    found = tokenizer(*sides, **options)
    return {"ids": found["input_ids"], "types": found.get("token_type_ids")}


def make(kind):
    """The golden of one kind."""
    if kind in kinds.KINDS:
        files, types = (kinds.golden(kind)[key] for key in ("files", "type_vocab_size"))
    else:
        files, types = MAKERS[kind]()
        files = {name: text(content) for name, content in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        kinds.write_files(files, Path(folder))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    texts, sides = kinds.texts(), list(map(list, zip(*kinds.pairs(), strict=True)))
    room = tokenizer.num_special_tokens_to_add(pair=True) + 2
    return {
        "about": {p: version(p) for p in ("transformers", "tokenizers")},
        "class": type(tokenizer).__name__,
        "corpus": corpus.digest(texts + [side for pair in kinds.pairs() for side in pair]),
        "files": files,
        "vocab_size": max(tokenizer.get_vocab().values()) + 1,
        "type_vocab_size": types,
        "whole": expected(tokenizer, texts),
        "cut": {n: expected(tokenizer, texts, truncation=True, max_length=n)["ids"] for n in kinds.LIMITS},
        "pairs": {
            n: expected(tokenizer, *sides, truncation="longest_first", max_length=n)
            for n in (*kinds.LIMITS, 10_000)
            if n >= room
        },
    }


def main():
    """Write every file."""
    out = Path(sys.argv[1])
    for kind in sys.argv[2:] or MAKERS:
        found = make(kind)
        data = lzma.compress(json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode())
        (out / f"{kind}.json.xz").write_bytes(data)
        print(f"{kind}: {found['class']}, {found['vocab_size']} ids, {len(data):,} bytes")


if __name__ == "__main__":
    main()
