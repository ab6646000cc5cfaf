"""From the files of a checkpoint to the reference tokenizer: tokenizer.json, or the older files where it is missing.

The reference is the `tokenizers` package, set up as `transformers` does: what tokenizer_config.json says of case and
accents goes before tokenizer.json for the classes in the manner of BERT.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from minembed.errors import ConfigError, TokenizationError, UnsupportedModelError
from minembed.runtime.files import check_regular, read_regular
from minembed.runtime.json_files import IMPOSTORS, unsound
from minembed.transformer.config import LARGEST_SIZE

T = TypeVar("T")
Settings = Mapping[str, Any]
BERT_TOKENS = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
ROBERTA_TOKENS = {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>"}
ROBERTA_TOKENS |= {"mask": "<mask>"}
MPNET_TOKENS = ROBERTA_TOKENS | {"unk": "[UNK]"}
# the classes of transformers that are set up here, and the special tokens they have unless a file says otherwise
WORD_PIECE = {
    "BertTokenizer": BERT_TOKENS,
    "DistilBertTokenizer": BERT_TOKENS,
    "ElectraTokenizer": BERT_TOKENS,
    "MPNetTokenizer": MPNET_TOKENS,
}
BYTE_BPE = {"RobertaTokenizer": ROBERTA_TOKENS}
CLASSES = {  # by model_type, for folders that name no class
    **dict.fromkeys(("bert", "distilbert", "electra", "nomic_bert"), "BertTokenizer"),
    "mpnet": "MPNetTokenizer",
    "roberta": "RobertaTokenizer",
}
# what str::trim_end of Rust, with which the reference reads the lines of vocab.txt, takes away
WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
LARGEST_FILE = 512 << 20  # bytes: ten times the largest tokenizer.json that is known
CONVERT = "convert it where transformers is installed: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A reference tokenizer and what its files say beside it."""

    reference: Any  # a tokenizers.Tokenizer without truncation and padding
    layout: Mapping[str, Any]  # its tokenizer.json
    keeps_end: bool  # whether a text that is too long loses its beginning
    has_types: bool  # whether the model is told the segments


def ask(method: Callable[..., T], *arguments: Any) -> T:
    """Call into the reference; whatever goes wrong there, panics included, becomes a TokenizationError.

    >>> ask(len, [1, 2])
    2
    """
    try:
        return method(*arguments)
    except BaseException as e:  # a Rust panic derives from BaseException
        if isinstance(e, KeyboardInterrupt | SystemExit | MemoryError | GeneratorExit):
            raise
        raise TokenizationError(f"the tokenizer failed ({e}); its tokenizer.json is damaged or incomplete") from e


def read_vocabulary(path: Path) -> Vocabulary:
    r"""Read tokenizer.json at `path`, or else the vocabulary beside it, and the settings that go with it.

    Raises TokenizationError for a missing or damaged file, ConfigError for a setting that cannot be, and
    UnsupportedModelError for a vocabulary that only other software reads.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n")
    ...     read_vocabulary(Path(folder, "tokenizer.json")).reference.encode("A ab").tokens
    ['[CLS]', 'a', 'a', '##b', '[SEP]']
    """
    settings = _settings(path.with_name("tokenizer_config.json"))
    name = _class_name(settings, path)
    if path.exists():
        reference, layout = read_tokenizer_json(path)
        layout = _follow_settings(reference, layout, settings, name, path)
    else:
        try:
            reference = _from_older_files(settings, name, path)
        except TokenizationError as e:
            if str(path.parent) in str(e):
                raise
            source = path.with_name("tokenizer_config.json")
            raise TokenizationError(f"{source} does not fit the vocabulary beside it: {e.__cause__ or e}") from e
        layout = json.loads(ask(reference.to_str))
    truncation = layout.get("truncation")
    side = settings.get("truncation_side") or (truncation or {}).get("direction", "right")
    if str(side).lower() not in ("left", "right"):
        raise ConfigError(f"{path.with_name('tokenizer_config.json')}: truncation_side must be left or right: {side!r}")
    reference.no_truncation()  # many checkpoints ship a wrong limit and fixed padding in this file
    reference.no_padding()
    inputs = settings.get("model_input_names")
    has_types = not isinstance(inputs, list) or "token_type_ids" in inputs
    return Vocabulary(reference, layout, str(side).lower() == "left", has_types)


def _settings(path: Path) -> dict[str, Any]:
    """Read a JSON object, or an empty one where the file does not exist."""
    if not path.exists():
        return {}
    content = b""
    try:
        content = read_regular(path, LARGEST_FILE)
        value = json.loads(content.decode("utf-8"))
    except OSError as e:
        raise TokenizationError(f"{path} cannot be read ({e.strerror})") from e
    except (ValueError, RecursionError) as e:
        raise TokenizationError(f"{path} {unsound(content, e)}") from e
    if not isinstance(value, dict):
        raise TokenizationError(f"{path} must hold a JSON object, not {type(value).__name__}")
    return value


def _class_name(settings: Settings, path: Path) -> str | None:
    """Which class of transformers reads the folder, without the suffix Fast; None if nothing says so."""
    config = _settings(path.with_name("config.json"))
    for named in (settings.get("tokenizer_class"), config.get("tokenizer_class")):
        if isinstance(named, str):
            return named.removesuffix("Fast")
    kind = config.get("model_type")
    return CLASSES.get(kind, f"the tokenizer of {kind}") if isinstance(kind, str) else None


def read_tokenizer_json(path: Path) -> tuple[Any, dict[str, Any]]:
    """Read a tokenizers.Tokenizer, and the JSON that describes it.

    Raises TokenizationError for a missing or damaged file, UnsupportedModelError for one whose tokens are random.

    >>> try:
    ...     read_tokenizer_json(Path("nowhere/tokenizer.json"))
    ... except TokenizationError as e:
    ...     print(str(e).partition(";")[2])
     a model needs its tokenizer.json
    """
    from tokenizers import Tokenizer as Reference  # late, so that `import minembed` stays light

    content = b""
    try:
        content = read_regular(path, LARGEST_FILE)
        text = content.decode("utf-8")
        layout = json.loads(text)
        if isinstance(layout, dict):
            _check_prefix(layout.get("model"))
        reference = ask(Reference.from_str, text)
    except OSError as e:
        raise TokenizationError(f"{path} cannot be read ({e.strerror}); a model needs its tokenizer.json") from e
    except (ValueError, RecursionError) as e:  # TokenizationError is a ValueError
        if content.startswith(tuple(IMPOSTORS)):
            raise TokenizationError(f"{path} {unsound(content, e)}") from e
        raise TokenizationError(f"{path}: not a usable tokenizer.json ({e}); fetch the file again") from e
    if (layout.get("model") or {}).get("dropout"):
        raise UnsupportedModelError(f"{path}: its dropout makes other tokens of a text every time; set it to null")
    return reference, layout


def _check_prefix(model: Any) -> None:
    """Raise ValueError for merges without the prefix they must have: the reference would end the process."""
    prefix = model.get("continuing_subword_prefix") if isinstance(model, dict) else None
    if not prefix or not isinstance(prefix, str) or not isinstance(model.get("merges"), list):
        return
    for merge in model["merges"]:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or not str(parts[-1:][0] if parts else "").startswith(prefix):
            raise ValueError(f"the merge {merge!r} lacks the continuing_subword_prefix {prefix!r}")


def _bert_normalizer(settings: Settings, path: Path) -> dict[str, Any]:
    """The normalizer of BERT that tokenizer_config.json asks for."""
    found = {"type": "BertNormalizer", "clean_text": True}
    for name, key, default in (
        ("handle_chinese_chars", "tokenize_chinese_chars", True),
        ("strip_accents", "strip_accents", None),
        ("lowercase", "do_lower_case", True),
    ):
        found[name] = settings.get(key, default)
        if not isinstance(found[name], bool) and (found[name], default) != (None, None):
            source = path.with_name("tokenizer_config.json")
            raise ConfigError(f"{source}: {key} must be true or false, not {found[name]!r}")
    return found


def _follow_settings(
    reference: Any, layout: dict[str, Any], settings: Settings, name: str | None, path: Path
) -> dict[str, Any]:
    """Put the normalizer of the class in place of another one of the same type."""
    own = layout.get("normalizer") or {}
    if name not in WORD_PIECE or own.get("type") != "BertNormalizer":
        return layout
    wanted = _bert_normalizer(settings, path)
    if own == wanted:
        return layout
    from tokenizers import normalizers

    reference.normalizer = normalizers.BertNormalizer(**{k: v for k, v in wanted.items() if k != "type"})
    return layout | {"normalizer": wanted}


def _from_older_files(settings: Settings, name: str | None, path: Path) -> Any:
    """Build the tokenizer from vocab.txt, or from vocab.json and merges.txt."""
    folder = path.parent
    has_words, has_merges = (folder / "vocab.txt").is_file(), (folder / "merges.txt").is_file()
    if has_words and (name is None or name in WORD_PIECE):
        return _word_piece(settings, name or "BertTokenizer", path)
    if has_merges and (folder / "vocab.json").is_file() and name in BYTE_BPE:
        return _byte_bpe(settings, str(name), path)
    found = sorted(p.name for p in folder.glob("*.model")) if folder.is_dir() else []
    if found:
        raise UnsupportedModelError(f"{folder} has {found[0]} and no tokenizer.json, which is what is read; {CONVERT}")
    if has_words or has_merges:
        kind = name or "a tokenizer without a name"
        raise UnsupportedModelError(f"{folder} has no tokenizer.json, and {kind} cannot be built without; {CONVERT}")
    looked = "tokenizer.json, vocab.txt, vocab.json with merges.txt"
    raise TokenizationError(f"{folder} has none of {looked}: fetch tokenizer.json, a model needs it")


def _special_tokens(settings: Settings, defaults: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The special tokens by their part, as tokenizers.AddedToken, in the order in which transformers adds them."""
    from tokenizers import AddedToken

    if "added_tokens_decoder" not in settings:
        settings = {**settings, **_settings(path.with_name("special_tokens_map.json"))}
    found = {}
    for part, default in defaults.items():
        value = settings.get(f"{part}_token", default)
        flags: dict[str, Any] = {"normalized": False}
        if isinstance(value, dict):
            flags = {k: v is True for k, v in value.items() if k in ("lstrip", "rstrip", "single_word", "normalized")}
            value = value.get("content")
        elif defaults is MPNET_TOKENS and part == "mask":
            flags["lstrip"] = True
        if value is None:
            value, flags = default, {"normalized": False}
        if not isinstance(value, str) or not value:
            raise TokenizationError(f"{path.with_name('tokenizer_config.json')}: {part}_token must be text: {value!r}")
        found[part] = ask(lambda v, f: AddedToken(v, special=True, **f), value, flags)
    return found


def _add_tokens(reference: Any, special: Mapping[str, Any], path: Path) -> None:
    """Make tokens of the special ones and of those in added_tokens.json; new ones come after the vocabulary."""
    from tokenizers import AddedToken

    more = _settings(path.with_name("added_tokens.json"))
    if not all(isinstance(index, int) for index in more.values()):
        raise TokenizationError(f"{path.with_name('added_tokens.json')} must map tokens to whole numbers")
    named = {token.content for token in special.values()}
    others = [AddedToken(text, special=False, normalized=True) for text in sorted(more, key=lambda t: more[t])]
    ask(reference.add_tokens, [token for token in others if token.content not in named])
    ask(reference.add_special_tokens, list(special.values()))


def _with_id(reference: Any, token: str) -> tuple[str, int]:
    return token, reference.token_to_id(token)


def _word_piece(settings: Settings, name: str, path: Path) -> Any:
    """BERT's tokenizer over vocab.txt, one piece a line."""
    from tokenizers import Tokenizer as Reference
    from tokenizers import models, normalizers, pre_tokenizers, processors

    source, special = path.with_name("vocab.txt"), _special_tokens(settings, WORD_PIECE[name], path)
    try:
        lines = read_regular(source, LARGEST_FILE).decode("utf-8").removesuffix("\n").split("\n")
    except OSError as e:
        raise TokenizationError(f"{source} cannot be read ({e.strerror})") from e
    except UnicodeDecodeError as e:
        raise TokenizationError(f"{source} is not UTF-8 ({e.reason}); fetch it again") from e
    vocabulary = {line.rstrip(WHITE): index for index, line in enumerate(lines)}
    if special["unk"].content not in vocabulary:
        raise TokenizationError(f"{source} has no {special['unk'].content}; it is damaged, or of another tokenizer")
    reference = Reference(models.WordPiece(vocabulary, unk_token=special["unk"].content))
    normalizer = {k: v for k, v in _bert_normalizer(settings, path).items() if k != "type"}
    reference.normalizer = normalizers.BertNormalizer(**normalizer)
    reference.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _add_tokens(reference, special, path)
    cls, sep = (_with_id(reference, special[part].content) for part in ("cls", "sep"))
    if name == "MPNetTokenizer":
        reference.post_processor = processors.RobertaProcessing(sep, cls, True, False)
        return reference
    single, pair = [cls[0], "$A", sep[0]], [cls[0], "$A", sep[0], "$B:1", f"{sep[0]}:1"]
    reference.post_processor = ask(processors.TemplateProcessing, single, pair, [cls, sep])
    return reference


def _byte_bpe(settings: Settings, name: str, path: Path) -> Any:
    """RoBERTa's tokenizer over vocab.json and merges.txt."""
    from tokenizers import Tokenizer as Reference
    from tokenizers import models, pre_tokenizers, processors

    special, prefix = _special_tokens(settings, BYTE_BPE[name], path), settings.get("add_prefix_space", False)
    if not isinstance(prefix, bool):
        source = path.with_name("tokenizer_config.json")
        raise ConfigError(f"{source}: add_prefix_space must be true or false, not {prefix!r}")
    files = str(path.with_name("vocab.json")), str(path.with_name("merges.txt"))
    try:
        for file in files:
            check_regular(Path(file), LARGEST_FILE)
        vocabulary, merges = ask(models.BPE.read_file, *files)
        if max(vocabulary.values(), default=0) >= LARGEST_SIZE:  # the reference counts up to it
            raise TokenizationError("a token's id is too large")
        reference = Reference(ask(lambda: models.BPE(vocabulary, merges)))
    except TokenizationError as e:
        raise TokenizationError(f"{files[0]} and {files[1]} are damaged or no pair: {e.__cause__ or e}") from e
    except OSError as e:
        raise TokenizationError(f"{e.filename} cannot be read ({e.strerror})") from e
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    _add_tokens(reference, special, path)
    sep, cls = (_with_id(reference, special[part].content) for part in ("sep", "cls"))
    reference.post_processor = processors.RobertaProcessing(sep, cls, True, prefix)
    return reference
