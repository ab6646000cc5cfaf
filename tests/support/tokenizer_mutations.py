"""Folders of tokenizers whose files were changed at random, the same on every machine.  Nothing here needs torch."""

import hashlib
import json
import random

import tokenizer_kinds as kinds

CONFIG, ADDED, MAP, JSON = "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json", "tokenizer.json"
FAMILIES = ["bert", "bert-cased", "bert-fast", "bert-left", "mpnet", "roberta", "roberta-prefix-space", "modernbert"]
FAMILIES += ["qwen", "xlm-roberta", "xlm-roberta-newer", "camembert", "albert", "gemma", "word-level", "vocab-bert"]
FAMILIES += ["vocab-bert-odd", "vocab-bert-legacy", "vocab-distilbert", "vocab-mpnet", "vocab-roberta"]
TEXTS = [
    "The baker opened the OVEN before sunrise.",
    " a[NEW1]b [new1] c <new2> d<new2>oven",
    "a [MASK] b <mask>c [CLS] [SEP] [UNK] [PAD] <s> </s> <pad> <unk>",
    "Größe É e\u0301 東京 don't ﬁne \u2603",
    "  two  spaces <|endoftext|> <bos>x<eos>",
]
LONG = " ".join(TEXTS) * 3  # more tokens than POSITIONS
POSITIONS = 48
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
ODD = [None, 0, 1, -1, 2.5, True, "", "x", [], ["x"], {}, {"a": 1}]
SWITCH = [True, False, None, True, False, 0, 1, "true", "x", []]
WORDS = [
    "[NEW1]",
    "<new2>",
    "oven",
    "[MASK]",
    "<mask>",
    "[SEP]",
    "[CLS]",
    "</s>",
    "<s>",
    "[UNK]",
    "<unk>",
    "<pad>",
    " ",
]
CLASSES = ["Bert", "DistilBert", "Electra", "MPNet", "Roberta", "XLMRoberta", "Camembert", "Albert", "Gemma", "Qwen2"]
NAMES = [name + end for name in CLASSES for end in ("Tokenizer", "TokenizerFast")]
NAMES += ["PreTrainedTokenizerFast", "TokenizersBackend", "NobodysTokenizer", "PreTrainedTokenizer"]
SIDES = ["left", "right", "Left", "RIGHT", "up", *ODD]
LIMITS = [1, 2, 8, 9, 20, 512, 1e30, int(1e30), 20.0, 20.5, 0, -1, None, "20", True, [], 1 << 70]
SETTINGS = {
    **dict.fromkeys(("do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space"), SWITCH),
    **dict.fromkeys(("split_special_tokens", "keep_accents", "trim_offsets", "legacy", "use_fast"), SWITCH),
    **dict.fromkeys(("add_bos_token", "add_eos_token", "do_basic_tokenize", "remove_space", "from_slow"), SWITCH),
    **dict.fromkeys(("fix_mistral_regex", "clean_up_tokenization_spaces", "is_local"), SWITCH),
    **dict.fromkeys(("model_max_length", "max_len", "max_length", "stride", "pad_to_multiple_of"), LIMITS),
    **dict.fromkeys(("padding_side", "truncation_side"), SIDES),
    **dict.fromkeys(("never_split", "errors", "chat_template", "name_or_path", "auto_map", "init_inputs"), ODD),
    **dict.fromkeys(("sp_model_kwargs", "processor_class", "truncation_strategy", "a_key_of_next_year"), ODD),
    **dict.fromkeys(("padding", "truncation", "special_tokens_map_file", "tokenizer_file", "backend"), ODD),
    "tokenizer_class": [*NAMES, *NAMES, *ODD],
    "model_input_names": [["input_ids"], ["input_ids", "token_type_ids", "attention_mask"], *ODD],
    "additional_special_tokens": None,
    "extra_special_tokens": None,
    "added_tokens_decoder": None,
    **{f"{part}_token": None for part in ("bos", "eos", "unk", "sep", "pad", "cls", "mask", "image")},
}
NORMALIZERS = [
    None,
    *({"type": name} for name in ("Lowercase", "NFC", "NFKC", "NFD", "StripAccents")),
    {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "Sequence", "normalizers": []},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    {"type": "Prepend", "prepend": "▁"},
    *(
        {"type": "BertNormalizer", "clean_text": a, "handle_chinese_chars": b, "strip_accents": c, "lowercase": d}
        for a, b, c, d in ((True, True, None, True), (True, False, True, False), (False, True, False, True))
    ),
]
SPLITTERS = [
    None,
    *({"type": name} for name in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")),
    *({"type": "ByteLevel", "add_prefix_space": a, "trim_offsets": True, "use_regex": a} for a in (True, False)),
    *(
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": a, "split": True}
        for a in ("always", "never", "first")
    ),
    {"type": "Digits", "individual_digits": True},
    {"type": "Punctuation", "behavior": "Isolated"},
]
STATES = [True, False, None]
MODELS = {
    "unk_token": [*WORDS[:12], None],
    "unk_id": [0, 1, 2, 3, None, 100000],
    "continuing_subword_prefix": ["##", "", "@@", None],
    "end_of_word_suffix": ["", "</w>", None],
    "max_input_chars_per_word": [0, 3, 100, 10000],
    **dict.fromkeys(("byte_fallback", "fuse_unk", "ignore_merges"), STATES),
    "dropout": [None, 0.0, 0.1],
    "type": ["BPE", "WordPiece", "Unigram", "WordLevel"],
}


def mutation(seed):
    """The name of a folder's kind, and the texts of its files after some changes."""
    dice = random.Random(seed)
    kind = dice.choice(FAMILIES)
    files = {name: content for name, content in kinds.golden(kind)["files"].items()}
    for _ in range(dice.choice([1, 1, 1, 2, 2, 3])):
        dice.choice([_settings, _settings, _settings, _layout, _layout, _beside, _beside, _vocabulary])(dice, files)
    return kind, files


def _token(dice):
    """What may stand for a token, sound or not."""
    word = dice.choice(WORDS)
    whole = {"content": word} | {flag: dice.random() < 0.3 for flag in FLAGS}
    some = {key: whole[key] for key in ("content", *dice.sample(FLAGS, dice.randrange(5)))}
    typed = {"__type": "AddedToken", **dice.choice([whole, some])}
    return dice.choice([word, word, word, whole, some, typed, typed, dice.choice(ODD)])


def _tokens(dice):
    """A list of tokens, a map of names to them, or something else."""
    several = [_token(dice) for _ in range(dice.randrange(4))]
    named = {dice.choice(["image_token", "x", "mask_token", "boi_token"]): _token(dice) for _ in range(2)}
    return dice.choice([several, several, several, named, named, dice.choice(ODD)])


def _decoder(dice):
    """An added_tokens_decoder."""
    first = dice.choice([0, 1, 3, 400, 1000, 1000, 100000])
    numbered = {str(first + i): _token(dice) for i in range(dice.randrange(4))}
    return dice.choice([numbered, numbered, numbered, numbered, {"x": _token(dice)}, dice.choice(ODD)])


def _value(dice, key):
    if key == "added_tokens_decoder":
        return _decoder(dice)
    if key in ("extra_special_tokens", "additional_special_tokens"):
        return _tokens(dice)
    return dice.choice(SETTINGS[key]) if SETTINGS[key] else _token(dice)


def _edit(files, name, change):
    """Change the object that a JSON file holds, which may be none."""
    try:
        value = json.loads(files.get(name, "{}"))
    except ValueError:
        return  # it was spoiled before
    if isinstance(value, dict):
        change(value)
        files[name] = json.dumps(value, ensure_ascii=False)


def _settings(dice, files):
    """Change a key of tokenizer_config.json, or of config.json where it may stand as well."""
    key = dice.choice(sorted(SETTINGS))
    value, place = _value(dice, key), CONFIG
    if key == "tokenizer_class" and dice.random() < 0.2:
        place = "config.json"
    if dice.random() < 0.1:
        _edit(files, CONFIG, lambda found: found.pop(dice.choice([*sorted(found), key]), None))
    else:
        _edit(files, place, lambda found: found.update({key: value}))


def _beside(dice, files):
    """Write or change added_tokens.json or special_tokens_map.json, or tokens of tokenizer_config.json."""
    kind = dice.random()
    if kind < 0.3:
        first = dice.choice([0, 3, 400, 1000, 1000])
        found = {dice.choice(WORDS): first + i for i in range(dice.randrange(4))}
        files[ADDED] = json.dumps(dice.choice([found, found, found, {"x": "1"}, {"": 1}, {"x": None}, [], ["x"]]))
    elif kind < 0.6:
        keys = [key for key in SETTINGS if key.endswith(("_token", "special_tokens"))]
        found = {key: _value(dice, key) for key in dice.sample(keys, dice.randint(1, 3))}
        _edit(files, MAP, lambda own: own.update(found))
    elif kind < 0.9:
        key = dice.choice([key for key in SETTINGS if key.endswith(("_token", "special_tokens", "decoder"))])
        value = _value(dice, key)
        _edit(files, CONFIG, lambda own: own.update({key: value}))
    else:
        name, content = dice.choice(
            [("vocab.txt", "[PAD]\n[UNK]\na\n"), ("vocab.json", '{"a": 0}'), ("merges.txt", "#version: 0.2\na b\n")]
        )
        if JSON in files:
            files[name] = content


def _layout(dice, files):
    """Change a part of tokenizer.json."""
    if JSON not in files:
        _settings(dice, files)
        return
    kind = dice.choice(["normalizer", "pre_tokenizer", "post_processor", "added", "added", "model", "sides", "sides"])
    change = {"normalizer": _put(NORMALIZERS), "pre_tokenizer": _put(SPLITTERS), "added": _change_added}
    change |= {"post_processor": _change_ends, "model": _change_model, "sides": _change_sides}
    _edit(files, JSON, lambda layout: change[kind](dice, layout, kind))


def _put(values):
    def change(dice, layout, key):
        layout[key] = dice.choice(values)

    return change


def _change_added(dice, layout, _key):
    """Lose, add or change an added token."""
    tokens = layout.get("added_tokens") or []
    kind = dice.random()
    if kind < 0.3 and tokens:
        tokens.pop(dice.randrange(len(tokens)))
    elif kind < 0.6:
        token = {"content": dice.choice(WORDS)} | {flag: dice.random() < 0.3 for flag in FLAGS}
        tokens.append({"id": dice.choice([0, 3, 1000, _size(layout)])} | token)
    elif tokens:
        token, flag = dice.choice(tokens), dice.choice([*FLAGS, "content"])
        token[flag] = dice.choice(WORDS) if flag == "content" else not token[flag]
    layout["added_tokens"] = tokens


def _size(layout):
    own = [token["id"] + 1 for token in layout.get("added_tokens") or []]
    return max([len(layout["model"]["vocab"]), *own])


def _change_ends(dice, layout, _key):
    """Put something else around texts."""
    ids = {token["content"]: token["id"] for token in layout.get("added_tokens") or []}
    first, last = dice.choice([*ids, "x"]), dice.choice([*ids, "y"])
    special = {t: {"id": t, "ids": [ids.get(t, 5)], "tokens": [t]} for t in (first, last)}
    side = lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}  # noqa: E731
    end = lambda token, kind: {"SpecialToken": {"id": token, "type_id": kind}}  # noqa: E731
    single = dice.choice([[side("A", 0), end(last, 0)], [end(first, 0), side("A", 0), end(last, 0)], [side("A", 0)]])
    pair = [*single, side("B", 1), end(last, 1)]
    template = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}
    roberta = {"type": "RobertaProcessing", "sep": [last, ids.get(last, 5)], "cls": [first, ids.get(first, 5)]}
    roberta |= {"trim_offsets": True, "add_prefix_space": dice.random() < 0.5}
    bert = {"type": "BertProcessing", "sep": roberta["sep"], "cls": roberta["cls"]}
    layout["post_processor"] = dice.choice([None, template, template, roberta, bert])


def _change_model(dice, layout, _key):
    """Change a key of the model, or a piece of its vocabulary."""
    model = layout["model"]
    key = dice.choice([*MODELS, "vocab"])
    if key != "vocab":
        model[key] = dice.choice(MODELS[key])
    elif isinstance(model["vocab"], dict):
        piece = dice.choice(sorted(model["vocab"]))
        model["vocab"][dice.choice(WORDS)] = model["vocab"].pop(piece)
    else:
        dice.choice(model["vocab"])[0] = dice.choice(WORDS)


def _change_sides(dice, layout, _key):
    """Change what tokenizer.json says of cutting and padding, or its version, or its decoder."""
    sides = ["Left", "Right"]
    cut = {"direction": dice.choice(sides), "max_length": dice.choice([2, 9, 99]), "strategy": "LongestFirst"}
    pad = {"strategy": dice.choice(["BatchLongest", {"Fixed": 12}]), "direction": dice.choice(sides), "pad_id": 0}
    pad |= {"pad_to_multiple_of": dice.choice([None, 8]), "pad_type_id": 0, "pad_token": "[PAD]"}
    key, value = dice.choice(
        [
            ("truncation", cut | {"stride": dice.choice([0, 1])}),
            ("truncation", None),
            ("padding", pad),
            ("padding", None),
            ("decoder", None),
            ("version", dice.choice(["1.0", "2.0", None])),
        ]
    )
    layout[key] = value


def _vocabulary(dice, files):
    """Change the lines of a vocabulary that is a file of its own, or a byte at the beginning of any file."""
    names = [name for name in ("vocab.txt", "vocab.json", "merges.txt") if name in files]
    if JSON in files or not names:
        (_layout if dice.random() < 0.8 else _spoil)(dice, files)
        return
    name = dice.choice(names)
    if name == "vocab.json":
        vocabulary = json.loads(files[name])
        piece = dice.choice(sorted(vocabulary))
        change = dice.randrange(3)
        if change == 0:
            del vocabulary[piece]
        else:
            vocabulary[dice.choice(WORDS)] = vocabulary.pop(piece) if change == 1 else len(vocabulary)
        files[name] = json.dumps(vocabulary, ensure_ascii=False)
        return
    lines = files[name].split("\n")
    at = dice.randrange(len(lines))
    change = dice.randrange(6)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(at, dice.choice([*WORDS, "", "a", lines[at]]))
    elif change == 2:
        lines[at] += dice.choice([" ", "\r", "\t", "\u3000"])
    elif change == 3:
        lines[at] = dice.choice(WORDS)
    files[name] = ("\r\n" if change == 4 else "\n").join(lines)
    if change == 5:
        files[name] = files[name].rstrip("\n")


def _spoil(dice, files):
    """Put a mark before a file, or lose its end."""
    name = dice.choice(sorted(files))
    files[name] = dice.choice(["\ufeff" + files[name], files[name][: dice.randrange(len(files[name]))], "", "null"])


def digest(ids):
    """A number for a list of ids, never 0; two lists have the same number in one case of 65,536."""
    data = ",".join(map(str, ids)).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=2).digest(), "little") or 1
