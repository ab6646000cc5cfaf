"""The tokens that the files of a folder add to its vocabulary, collected as transformers 5 does.

They are matched in a text before anything else is done to it, so a missing one changes ids.  They come from, in the
order in which they are added:

    added_tokens_decoder          of tokenizer_config.json; if it is given, the next three are ignored
    special_tokens_map.json       replaces the same keys of tokenizer_config.json
    added_tokens.json             older: maps tokens to ids
    added_tokens                  of tokenizer.json
    cls_token, mask_token, ...    the named tokens, and every other key that ends in _token and holds a text
    extra_special_tokens          a list, or a map of names; additional_special_tokens is its older name

Ids are never taken from these files: a token has its id of the vocabulary, or else the next free one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from minembed.errors import TokenizationError, UnsupportedModelError
from minembed.text.settings import CLASS_TOKENS, Settings, ask, read_settings

NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
KEYS = tuple(f"{part}_token" for part in NAMES)
EXTRA_KEYS = ("extra_special_tokens", "additional_special_tokens")
EXTRA = {"CamembertTokenizer": ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]}  # if no file names any
STRIPPING = ("MPNetTokenizer", "CamembertTokenizer")  # classes whose mask token includes the white space before it


class Added(NamedTuple):
    """A token that is matched in the text itself, with the flags for matching it."""

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = True


@dataclass(frozen=True, slots=True)
class AddedTokens:
    """The tokens that a folder adds to its vocabulary."""

    tokens: tuple[Added, ...]  # in the order in which they are added
    named: Mapping[str, str]  # "cls" -> "[CLS]": from the files, or else from the class
    given: frozenset[str]  # the names that come from the files


def read_added_tokens(settings: Settings, name: str | None, path: Path, layout: Mapping[str, Any]) -> AddedTokens:
    """Collect the tokens that `layout` (the tokenizer.json at `path`) and the files beside it add to the vocabulary.

    `name` is the class of transformers; its own special tokens are used unless a file names others.  Raises
    TokenizationError for an entry that is not a token.

    >>> settings = {"extra_special_tokens": ["<query>"], "cls_token": "<s>"}
    >>> found = read_added_tokens(settings, None, Path("none/tokenizer.json"), {})
    >>> [token.content for token in found.tokens], found.given
    (['<s>', '<query>'], frozenset({'cls'}))
    """
    place = path.with_name("tokenizer_config.json")
    settings, stated = _stated(settings, path, layout)
    padding = layout.get("padding") if name not in CLASS_TOKENS else None
    if padding and "pad_token" not in settings:
        settings = {**settings, "pad_token": padding["pad_token"]}
    known = {token.content: token for token in stated}
    named = _named(settings, name, place)
    parts = {part: named[f"{part}_token"].content for part in NAMES if f"{part}_token" in named}
    contents = dict.fromkeys(token.content for token in named.values())
    found = [t._replace(special=t.special or t.content in contents) for t in stated]
    extra = _extra(settings, name)
    more = extra.values() if isinstance(extra, dict) else extra
    kept = set() if name in CLASS_TOKENS else {token["content"] for token in layout.get("added_tokens") or []}
    for token in (*named.values(), *(_token(value, "extra_special_tokens", place) for value in more)):
        if token.content not in kept and token.content not in known and token not in found:
            found.append(token)  # a token that occurs twice has the flags of the last
    if name == "Qwen2Tokenizer":  # which adds its special tokens again, matched in the text itself
        found += [plain for plain in map(Added, [*contents, *map(_content, more)]) if plain not in found]
    given = frozenset(part for part in parts if settings.get(f"{part}_token") is not None)
    return AddedTokens(tuple(found), parts, given)


def _stated(settings: Settings, path: Path, layout: Mapping[str, Any]) -> tuple[Settings, list[Added]]:
    """The settings, merged with those of special_tokens_map.json, and the tokens that are given with an id."""
    decoder, place = settings.get("added_tokens_decoder"), path.with_name("tokenizer_config.json")
    by_id: dict[int, Added] = {}
    if "added_tokens_decoder" in settings:
        if not isinstance(decoder, dict) or not all(index.isdecimal() for index in decoder):
            raise TokenizationError(f"{place}: added_tokens_decoder must map ids to tokens")
        by_id = {int(index): _token(token, "added_tokens_decoder", place) for index, token in decoder.items()}
    else:
        special = {value for value in (*map(settings.get, KEYS), *_extra(settings, None)) if isinstance(value, str)}
        mapped = _read_map(path.with_name("special_tokens_map.json"))
        special |= {_content(value) for value in map(mapped.get, KEYS)}
        settings = _with_map(settings, mapped, path.with_name("special_tokens_map.json"))
        source = path.with_name("added_tokens.json")
        for content, index in read_settings(source).items():
            if type(index) is not int or not content:
                raise TokenizationError(f"{source} must map tokens to whole numbers")
            by_id[index] = Added(content, normalized=content not in special, special=content in special)
        for token in layout.get("added_tokens") or []:
            by_id[token["id"]] = _token(token, "added_tokens", path)
    return settings, [by_id[index] for index in sorted(by_id)]


def _read_map(source: Path) -> Settings:
    """The content of special_tokens_map.json; a token with flags there is special, whatever its flags say."""
    found = read_settings(source)
    for key, value in found.items():
        if key not in KEYS + EXTRA_KEYS:
            raise UnsupportedModelError(f"{source}: {key} = {value!r} is not supported; remove it")
    return {key: {**v, "special": True} if isinstance(v, dict) and key in KEYS else v for key, v in found.items()}


def _with_map(settings: Settings, mapped: Settings, source: Path) -> Settings:
    """The settings, merged with those of special_tokens_map.json: its lists of extra tokens do not replace others."""
    extra, more = _extra(settings, None), mapped.get("extra_special_tokens")
    if set(EXTRA_KEYS) & set(settings):
        mapped = {key: value for key, value in mapped.items() if key != "additional_special_tokens"}
    if isinstance(extra, dict) and extra and more:
        raise UnsupportedModelError(f"{source}: extra_special_tokens beside those with names is not supported")
    if isinstance(more, list) and isinstance(extra, list):
        mapped = {**mapped, "extra_special_tokens": [*extra, *(token for token in more if token not in extra)]}
    return {**settings, **mapped}


def _named(settings: Settings, name: str | None, place: Path) -> dict[str, Added]:
    """The named special tokens, by their key in tokenizer_config.json; null leaves one out."""
    values: dict[str, Any] = {f"{part}_token": token for part, token in CLASS_TOKENS.get(name or "", {}).items()}
    needed = {"cls_token", "sep_token", "unk_token", "bos_token", "eos_token"} & set(values)
    values |= {key: settings[key] for key in KEYS if key in settings and not (settings[key] is None and key in needed)}
    others = {key: value for key, value in settings.items() if key.endswith("_token") and key not in KEYS}
    values |= {key: value for key, value in others.items() if isinstance(value, str) or _is_token(value)}
    extra = _extra(settings, name)
    values |= extra if isinstance(extra, dict) else {}
    found = {key: _token(value, key, place, True) for key, value in values.items() if value is not None}
    ordered = {key: found[key]._replace(special=True) for key in (*KEYS, *found) if key in found}
    if name in STRIPPING and isinstance(values.get("mask_token"), str):
        ordered["mask_token"] = ordered["mask_token"]._replace(lstrip=True)
    return ordered


def _extra(settings: Settings, name: str | None) -> Any:
    key, found = next(((key, settings[key]) for key in EXTRA_KEYS if settings.get(key)), ("", None))
    if found is None:
        return [] if set(EXTRA_KEYS) & set(settings) else EXTRA.get(name or "", [])
    if not isinstance(found, list | dict):
        raise TokenizationError(
            f"tokenizer_config.json: {key} must be a list of tokens, or map names to them: {found!r}"
        )
    return found


def _is_token(value: object) -> bool:
    return isinstance(value, dict) and value.get("__type") == "AddedToken"


def _content(value: object) -> str:
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else ""


def _token(value: Any, key: str, place: Path, is_named: bool = False) -> Added:
    """Read a token: a text (then it is special), or its content and flags; a named token is always special."""
    entry = {"content": value, "special": True} if isinstance(value, str) else value
    content = entry.get("content") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(content, str) or not content:
        raise TokenizationError(f"{place}: {key} must be text, or a token with its content, not {value!r}")
    special = is_named or entry.get("special") is True
    flags = {flag: entry.get(flag) is True for flag in ("single_word", "lstrip", "rstrip")}
    # by default a special token is matched in the text itself, another one in the normalised text
    return Added(content, **flags, normalized=entry.get("normalized", not special) is True, special=special)


def with_added_tokens(reference: Any, layout: dict[str, Any], added: AddedTokens) -> tuple[Any, dict[str, Any]]:
    """The reference and its layout with these added tokens; the same objects if they are already there.

    >>> from tokenizers import Tokenizer, models
    >>> plain = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    >>> added = AddedTokens((Added("<b>"),), {}, frozenset())
    >>> with_added_tokens(plain, {}, added)[0].encode("a<b>").ids
    [0, 1]
    """
    own = set(added_to(reference))
    if own.issuperset(added.tokens):
        return reference, layout
    add(reference, added)
    return reference, layout | {"added_tokens": [token._asdict() for token in added_to(reference)]}


def added_to(reference: Any) -> list[Added]:
    """The tokens that a reference has added to its vocabulary.

    >>> from tokenizers import Tokenizer, models
    >>> reference = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    >>> _ = reference.add_tokens(["<b>"])
    >>> [token.content for token in added_to(reference)]
    ['<b>']
    """
    found = reference.get_added_tokens_decoder().values()
    return [Added(**{key: getattr(token, key) for key in Added._fields}) for token in found]


def add(reference: Any, added: AddedTokens) -> None:
    """Add the tokens to a reference; tokens that it already has get the flags that are given here.

    >>> from tokenizers import Tokenizer, models
    >>> reference = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    >>> add(reference, AddedTokens((Added("<b>"),), {}, frozenset()))
    >>> reference.token_to_id("<b>")
    1
    """
    from tokenizers import AddedToken

    ask(reference.add_tokens, [ask(lambda t: AddedToken(**t._asdict()), token) for token in added.tokens])
