"""The tokenizers that the classes of transformers 5 build: from tokenizer.json they take little but the vocabulary.

    BERT, DistilBERT, ELECTRA, MPNet    their normalizer, by the settings; words and punctuation; WordPiece
    RoBERTa                             no normalizer; bytes; BPE
    XLM-R, CamemBERT                    the character map of tokenizer.json; words that begin with "▁"; Unigram
    ALBERT                              quotes, accents, case, then the character map; as XLM-R
    Gemma                               spaces become "▁"; BPE with bytes to fall back on
    Qwen                                NFC; its own expression and bytes; BPE

They also choose the special tokens around a text, except ALBERT, Gemma and Qwen, which take them from tokenizer.json.
Any other class uses tokenizer.json as it is.  Older releases did so for every class; if they differ, the newer counts.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from minembed.errors import ConfigError, TokenizationError, UnsupportedModelError
from minembed.text.added_tokens import AddedTokens, add, added_to
from minembed.text.config_keys import flag
from minembed.text.prefix import QWEN
from minembed.text.settings import BYTE_BPE, CLASS_MODELS, WORD_PIECE, Settings, ask

BERT_SPLIT = {"type": "BertPreTokenizer"}
QUOTES = [{"type": "Replace", "pattern": {"String": quote}, "content": '"'} for quote in ("``", "''")]
GEMMA_SPLIT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
QWEN_SPLIT = {"type": "Split", "pattern": {"Regex": QWEN}, "behavior": "Isolated", "invert": False}
PLAIN_BPE: dict[str, Any] = {
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
}
PLAIN_BPE |= {"fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
PLAIN_PIECES: dict[str, Any] = {
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}
DEFAULTS: dict[str, dict[str, Any]] = {  # of the models in tokenizer.json
    "BPE": PLAIN_BPE,
    "WordPiece": PLAIN_PIECES,
    "Unigram": {"unk_id": None, "byte_fallback": False},
}
Parts = dict[str, Any]  # the normalizer, pre-tokenizer and model of a tokenizer.json; the model without its vocabulary


def rebuild(
    reference: Any, layout: Mapping[str, Any], name: str, settings: Settings, added: AddedTokens, place: Path
) -> tuple[Any, Parts]:
    """The reference and its layout as a class of CLASS_TOKENS builds them over this vocabulary.

    `place` is the tokenizer_config.json that errors name.  Raises UnsupportedModelError if the class builds a model
    of another kind, ConfigError or TokenizationError for invalid settings.

    >>> from tokenizers import Tokenizer, models
    >>> plain = Tokenizer(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3}, unk_token="[UNK]"))
    >>> from minembed.text.added_tokens import Added
    >>> named = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
    >>> added = AddedTokens(tuple(map(Added, named.values())), named, frozenset())
    >>> layout, place = json.loads(plain.to_str()), Path("tokenizer_config.json")
    >>> rebuild(plain, layout, "BertTokenizer", {}, added, place)[0].encode("A").ids
    [1, 3, 2]
    """
    kind = type(reference.model).__name__
    if kind != CLASS_MODELS[name]:
        raise UnsupportedModelError(
            f"{place}: {name} builds a {CLASS_MODELS[name]}, but tokenizer.json holds a {kind}; if tokenizer.json is "
            'right, write "tokenizer_class": "PreTrainedTokenizerFast" there'
        )
    parts = class_parts(name, layout, settings, added.named, place)
    model, unknown = layout["model"], added.named.get("unk")
    if kind == "WordPiece" and unknown not in model["vocab"]:
        raise TokenizationError(f"{place}: unk_token {unknown!r} is not in the vocabulary of tokenizer.json")
    same = all(
        (model.get(key, DEFAULTS[kind][key]) or None) == (value or None) for key, value in parts["model"].items()
    )
    parts["model"] = model if same else {"type": kind, **model, **parts["model"]}
    whole = {**layout, **parts}
    tokens = added_to(reference)
    stale = parts["normalizer"] != layout.get("normalizer") and any(token.normalized for token in tokens)
    if not same or stale or tokens != list(dict.fromkeys(added.tokens)):
        from tokenizers import Tokenizer as Reference

        bare: dict[str, Any] = {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
        ends = reference.post_processor
        reference = ask(Reference.from_str, json.dumps(whole | bare))
        reference.post_processor = ends
        add(reference, added)
        whole["added_tokens"] = [t._asdict() for t in added_to(reference)]
    else:
        _put_parts(reference, layout, parts)
    set_ends(reference, name, added.named)
    return reference, whole


def class_parts(
    name: str, layout: Mapping[str, Any], settings: Settings, named: Mapping[str, str], place: Path
) -> Parts:
    """The parts that a class uses instead of those in tokenizer.json, for the settings beside it.

    >>> parts = class_parts("RobertaTokenizer", {}, {}, {}, Path("tokenizer_config.json"))
    >>> parts["normalizer"], parts["pre_tokenizer"]["add_prefix_space"]
    (None, False)
    """
    if name in WORD_PIECE:
        return _parts(bert_normalizer(settings, place), BERT_SPLIT, PLAIN_PIECES | {"unk_token": named["unk"]})
    if name in BYTE_BPE:
        return _parts(None, _bytes(flag(settings, "add_prefix_space", False, place), True), PLAIN_BPE)
    if name == "GemmaTokenizer":
        spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        model = PLAIN_BPE | {"fuse_unk": True, "byte_fallback": True, "unk_token": named["unk"]}
        return _parts(spaces, GEMMA_SPLIT, model)
    if name == "Qwen2Tokenizer":
        splits = [QWEN_SPLIT, _bytes(flag(settings, "add_prefix_space", False, place), False)]
        return _parts({"type": "NFC"}, {"type": "Sequence", "pretokenizers": splits}, PLAIN_BPE)
    charsmap = next((step for step in _first_steps(layout) if "precompiled_charsmap" in step), None)
    at, normalizer = 3, charsmap
    if name == "AlbertTokenizer":
        at, normalizer = 1, {"type": "Sequence", "normalizers": _albert_steps(settings, place, charsmap)}
    elif name == "CamembertTokenizer":
        pieces = [piece for piece, _ in (layout.get("model") or {}).get("vocab", [])]
        at = pieces.index(named["unk"]) if named["unk"] in pieces else 0
    scheme = "always" if _stated_flag(settings, "add_prefix_space", True, place) else "never"
    split = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}
    sequence = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, split]}
    return _parts(normalizer, sequence, {"unk_id": at, "byte_fallback": False})


def bert_normalizer(settings: Settings, place: Path) -> dict[str, Any]:
    """The normalizer of BERT that tokenizer_config.json asks for.

    >>> bert_normalizer({"do_lower_case": False}, Path("tokenizer_config.json"))["lowercase"]
    False
    """
    found = {"type": "BertNormalizer", "clean_text": True}
    for name, key, default in (
        ("handle_chinese_chars", "tokenize_chinese_chars", True),
        ("strip_accents", "strip_accents", None),
        ("lowercase", "do_lower_case", True),
    ):
        found[name] = settings.get(key, default)
        if not isinstance(found[name], bool) and (found[name], default) != (None, None):
            raise ConfigError(f"{place}: {key} must be true or false, not {found[name]!r}")
    return found


def set_ends(reference: Any, name: str, named: Mapping[str, str]) -> None:
    """Put the special tokens of a class around texts, unless it takes them from tokenizer.json.

    >>> from tokenizers import Tokenizer, models
    >>> reference = Tokenizer(models.WordLevel({"a": 0, "[CLS]": 1, "[SEP]": 2}, unk_token="a"))
    >>> set_ends(reference, "BertTokenizer", {"cls": "[CLS]", "sep": "[SEP]"})
    >>> reference.encode("a").ids
    [1, 0, 2]
    """
    from tokenizers import processors

    if name in ("GemmaTokenizer", "Qwen2Tokenizer") or (name == "AlbertTokenizer" and reference.post_processor):
        return
    first, last = ("bos", "eos") if name in ("XLMRobertaTokenizer", "CamembertTokenizer") else ("cls", "sep")
    start, end = ((token, reference.token_to_id(token)) for token in (named[first], named[last]))
    if name in ("MPNetTokenizer", *BYTE_BPE):
        reference.post_processor = processors.RobertaProcessing(end, start, True, False)
        return
    single, pair = [start[0], "$A", end[0]], [start[0], "$A", end[0], "$B:1", f"{end[0]}:1"]
    if first == "bos":
        pair = [start[0], "$A", end[0], end[0], "$B", end[0]]
    reference.post_processor = ask(processors.TemplateProcessing, single, pair, [start, end])


def _parts(normalizer: Any, pre_tokenizer: Any, model: dict[str, Any]) -> Parts:
    return {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": model}


def _bytes(spaced: bool, by_words: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": spaced, "trim_offsets": True, "use_regex": by_words}


def _stated_flag(settings: Settings, key: str, default: bool, place: Path) -> bool:
    """As `flag`, but null means false."""
    return flag(settings, key, False, place) if key in settings else default


def _albert_steps(settings: Settings, place: Path, charsmap: Any) -> list[Any]:
    steps: list[Any] = [*QUOTES]
    if not _stated_flag(settings, "keep_accents", False, place):
        steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
    if _stated_flag(settings, "do_lower_case", True, place):
        steps.append({"type": "Lowercase"})
    return steps if charsmap is None else [*steps, charsmap]


def _first_steps(layout: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The steps of the normalizer of a tokenizer.json, without those of nested sequences."""
    own = layout.get("normalizer") or {}
    return own.get("normalizers", []) if own.get("type") == "Sequence" else [own]


def _put_parts(reference: Any, layout: Mapping[str, Any], parts: Parts) -> None:
    """Replace the normalizer and the pre-tokenizer of the reference if they differ."""
    from tokenizers import Tokenizer as Reference

    changed = [key for key in ("normalizer", "pre_tokenizer") if parts[key] != layout.get(key)]
    if not changed:
        return
    some = ask(Reference.from_str, _without_pieces(parts))
    if "normalizer" in changed:
        reference.normalizer = some.normalizer
    if "pre_tokenizer" in changed:
        reference.pre_tokenizer = some.pre_tokenizer


def _without_pieces(parts: Parts) -> str:
    model = {"type": "BPE", "vocab": {}, "merges": []}
    return json.dumps({key: parts[key] for key in ("normalizer", "pre_tokenizer")} | {"model": model})
