"""Where tokenizer_config.json and tokenizer.json contradict each other: what the class of transformers makes of it.

Every key that transformers 5 saves in tokenizer_config.json, and what it does to ids here:

    do_lower_case, strip_accents,       heeded by the classes in the manner of BERT; refused where they contradict a
    tokenize_chinese_chars              normalizer of another type, and for ALBERT (with keep_accents)
    add_prefix_space                    heeded by RoBERTa, which has false where nothing is said; refused where it
                                        contradicts the tokenizer.json of XLM-R, CamemBERT, ALBERT or Qwen
    cls_token, sep_token, unk_token     heeded by BERT, MPNet and RoBERTa (unk_token: the first two); refused where they
    bos_token, eos_token                (bos_token, eos_token) contradict the ends of ALBERT (of XLM-R or CamemBERT)
    the same, mask_token, pad_token,    become added tokens (minembed.text.added_tokens), as do added_tokens_decoder,
    any other ..._token                 extra_special_tokens and additional_special_tokens
    split_special_tokens                heeded: special tokens in a text are then split like any other word
    truncation_side                     heeded, and before it that of tokenizer.json
    model_max_length                    a limit of length (minembed.weights.directory)
    model_input_names                   heeded: without token_type_ids both sides of a pair have the type 0
    tokenizer_class                     says which of the rules above hold; null, or another class: tokenizer.json's own
    init_inputs, fix_mistral_regex      refused unless empty
    add_bos_token, add_eos_token        without effect: tokenizer.json, or the class, says what is put around a text
    padding_side, pad_token_type_id,    without effect: nothing is padded
    pad_to_multiple_of, max_length
    stride, truncation_strategy         without effect: sentence-transformers gives its own in every call
    never_split, do_basic_tokenize,     without effect on ids: of tokenizers in Python, of the way back from ids to
    legacy, use_fast, errors, backend,  text, or of where the files came from
    trim_offsets, chat_template, clean_up_tokenization_spaces, auto_map, is_local, name_or_path, processor_class
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from minembed.errors import ConfigError, TokenizationError, UnsupportedModelError
from minembed.text.added_tokens import AddedTokens
from minembed.text.settings import BYTE_BPE, WORD_PIECE, Settings, ask

ENDS = {  # the parts of the special tokens around a text, for the classes that set them themselves
    **dict.fromkeys((*WORD_PIECE, *BYTE_BPE, "AlbertTokenizer"), ("cls", "sep")),
    **dict.fromkeys(("XLMRobertaTokenizer", "CamembertTokenizer"), ("bos", "eos")),
}
SPACED = ("XLMRobertaTokenizer", "CamembertTokenizer", "AlbertTokenizer", "Qwen2Tokenizer")
CASE = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
PROBE = "Ä \u00c9b 中文 ß I\u0307"


def follow_settings(
    reference: Any, layout: dict[str, Any], settings: Settings, name: str | None, added: AddedTokens, path: Path
) -> dict[str, Any]:
    """Change a reference that was read from tokenizer.json to what the settings beside it say: the layout of it then.

    Raises ConfigError for settings that cannot be, UnsupportedModelError for contradictions that are not resolved.

    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> reference = Tokenizer(models.BPE({"a": 0}, []))
    >>> reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    >>> layout = {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}}
    >>> path, added = Path("tokenizer.json"), AddedTokens((), {}, frozenset())
    >>> settings = {"add_prefix_space": True}
    >>> follow_settings(reference, layout, settings, "RobertaTokenizer", added, path)["pre_tokenizer"]
    {'type': 'ByteLevel', 'add_prefix_space': True}
    """
    place = path.with_name("tokenizer_config.json")
    layout = _follow_case(reference, layout, settings, name, place)
    layout = _follow_unknown(reference, layout, name, added, place)
    layout = _follow_space(reference, layout, settings, name, place)
    _follow_ends(reference, name, added, place)
    return layout


def check_rest(layout: Mapping[str, Any], name: str | None, place: Path) -> None:
    """Raise UnsupportedModelError where tokens are added to a tokenizer.json that its class would not build.

    >>> check_rest({}, "BertTokenizer", Path("tokenizer_config.json"))
    """
    kind = (layout.get("normalizer") or {}).get("type")
    if name == "XLMRobertaTokenizer" and kind not in (None, "Precompiled"):
        raise _contradiction(place, "an added token that tokenizer.json does not know", "normalizer")


def refuse_settings(settings: Settings, place: Path) -> None:
    """Raise UnsupportedModelError for settings that are not heeded here and might change ids.

    >>> refuse_settings({"init_inputs": []}, Path("tokenizer_config.json"))
    """
    for key in ("init_inputs", "fix_mistral_regex"):
        if settings.get(key):
            raise UnsupportedModelError(f"{place}: {key} = {settings[key]!r} is not computed here; remove it")


def flag(settings: Settings, key: str, default: bool | None, place: Path) -> bool | None:
    """Take true, false, or the default where nothing is said; raises ConfigError for anything else.

    >>> flag({"add_prefix_space": None}, "add_prefix_space", False, Path("tokenizer_config.json"))
    False
    """
    value = settings.get(key)
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{place}: {key} must be true or false, not {value!r}")
    return default if value is None else value


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


def set_ends(reference: Any, name: str, named: Mapping[str, str], spaced: bool = False) -> None:
    """Put the special tokens of a class around texts: in the manner of BERT, or of RoBERTa.

    >>> from tokenizers import Tokenizer, models
    >>> reference = Tokenizer(models.WordLevel({"a": 0, "[CLS]": 1, "[SEP]": 2}, unk_token="a"))
    >>> set_ends(reference, "BertTokenizer", {"cls": "[CLS]", "sep": "[SEP]"})
    >>> reference.encode("a").ids
    [1, 0, 2]
    """
    from tokenizers import processors

    cls, sep = ((token, reference.token_to_id(token)) for token in (named["cls"], named["sep"]))
    if name in ("MPNetTokenizer", *BYTE_BPE):
        reference.post_processor = processors.RobertaProcessing(sep, cls, True, spaced)
        return
    single, pair = [cls[0], "$A", sep[0]], [cls[0], "$A", sep[0], "$B:1", f"{sep[0]}:1"]
    reference.post_processor = ask(processors.TemplateProcessing, single, pair, [cls, sep])


def _follow_case(
    reference: Any, layout: dict[str, Any], settings: Settings, name: str | None, place: Path
) -> dict[str, Any]:
    """Put the normalizer of the class in place of another one of the same type."""
    own = layout.get("normalizer") or {}
    if name == "AlbertTokenizer":
        _check_albert(own, settings, place)
    if name not in WORD_PIECE:
        return layout
    wanted = bert_normalizer(settings, place)
    if own == wanted:
        return layout
    from tokenizers import normalizers

    normalizer = normalizers.BertNormalizer(**{k: v for k, v in wanted.items() if k != "type"})
    if own.get("type") != "BertNormalizer":
        made = ask(reference.normalizer.normalize_str, PROBE) if own else PROBE
        said = [key for key in CASE if settings.get(key) is not None]
        is_pieces = (layout.get("model") or {}).get("type") == "WordPiece"
        if said and is_pieces and made != normalizer.normalize_str(PROBE):
            raise _contradiction(place, f"{said[0]} = {settings[said[0]]!r}", "normalizer")
        return layout
    reference.normalizer = normalizer
    return layout | {"normalizer": wanted}


def _check_albert(own: Mapping[str, Any], settings: Settings, place: Path) -> None:
    kinds = {step.get("type") for step in _steps(own, "normalizers")}
    for key, default, has in (
        ("do_lower_case", True, "Lowercase" in kinds),
        ("keep_accents", False, "StripAccents" not in kinds),
    ):
        if settings.get(key) is not None and flag(settings, key, default, place) != has:
            raise _contradiction(place, f"{key} = {settings[key]!r}", "normalizer")


def _follow_unknown(
    reference: Any, layout: dict[str, Any], name: str | None, added: AddedTokens, place: Path
) -> dict[str, Any]:
    """Take what stands for an unknown word from the settings."""
    model, token = layout.get("model") or {}, added.named.get("unk")
    if name in BYTE_BPE and model.get("type") != "BPE":
        raise _contradiction(place, f"tokenizer_class = {name!r}", "model")
    if name in ("CamembertTokenizer", "GemmaTokenizer") and "unk" in added.given and _unknown(model) != token:
        raise _contradiction(place, f"unk_token = {token!r}", "model")
    if name not in WORD_PIECE or "unk" not in added.given or model.get("type") != "WordPiece":
        return layout
    if model.get("unk_token") == token:
        return layout
    if token not in model.get("vocab", {}):
        raise TokenizationError(f"{place}: unk_token {token!r} is not in the vocabulary of tokenizer.json")
    reference.model.unk_token = token
    return layout | {"model": model | {"unk_token": token}}


def _unknown(model: Mapping[str, Any]) -> object:
    """What stands for an unknown word in the model of a tokenizer.json."""
    at = model.get("unk_id")
    return model.get("unk_token") if at is None else model["vocab"][at][0]


def _follow_space(
    reference: Any, layout: dict[str, Any], settings: Settings, name: str | None, place: Path
) -> dict[str, Any]:
    """Let RoBERTa put a space before a text, or not, and refuse what the others would do differently."""
    said, own = flag(settings, "add_prefix_space", None, place), layout.get("pre_tokenizer") or {}
    if name in BYTE_BPE and own.get("type") != "ByteLevel":
        raise _contradiction(place, f"tokenizer_class = {name!r}", "pre_tokenizer")
    if name in BYTE_BPE:
        wanted = bool(said)
        if own.get("add_prefix_space") == wanted:
            return layout
        from tokenizers import pre_tokenizers

        reference.pre_tokenizer = pre_tokenizers.ByteLevel(wanted, use_regex=own.get("use_regex", True))
        return layout | {"pre_tokenizer": own | {"add_prefix_space": wanted}}
    if name in SPACED and said is not None:
        for step in _steps(own, "pretokenizers"):
            has = step.get("add_prefix_space", step.get("prepend_scheme") != "never")
            if step.get("type") in ("Metaspace", "ByteLevel") and has != said:
                raise _contradiction(place, f"add_prefix_space = {said!r}", "pre_tokenizer")
    return layout


def _follow_ends(reference: Any, name: str | None, added: AddedTokens, place: Path) -> None:
    """Take the special tokens around a text from the settings, where these name them."""
    parts = ENDS.get(name or "", ())
    said = [part for part in parts if part in added.given]
    if not said:
        return
    ids, wanted = ask(reference.encode, "").ids, [reference.token_to_id(added.named[part]) for part in parts]
    if ids[:1] + ids[-1:] == wanted:
        return
    if name not in WORD_PIECE and name not in BYTE_BPE:
        raise _contradiction(place, f"{said[0]}_token = {added.named[said[0]]!r}", "post_processor")
    set_ends(reference, str(name), added.named)


def _steps(part: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, those of sequences in sequences too."""
    steps = part.get(key)
    if isinstance(steps, list):
        for step in steps:
            yield from _steps(step, key)
    elif part:
        yield part


def _contradiction(place: Path, said: str, part: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{place}: {said} contradicts the {part} of tokenizer.json, and releases of transformers differ about which "
        "counts; make them agree: AutoTokenizer.from_pretrained(folder).save_pretrained(folder) where transformers is "
        "installed, or remove the line"
    )
