"""From the files of a checkpoint to the reference tokenizer: tokenizer.json, or the older files if it is missing.

The reference is a tokenizer of the `tokenizers` package, set up as `transformers` does: with the added tokens of the
files beside tokenizer.json (minembed.text.added_tokens), and rebuilt for some classes (minembed.text.built).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minembed.errors import ConfigError, TokenizationError, UnsupportedModelError
from minembed.runtime.json_files import IMPOSTORS, unsound
from minembed.runtime.paths import check_regular, read_regular
from minembed.text.added_tokens import add, read_added_tokens, with_added_tokens
from minembed.text.built import bert_normalizer, rebuild, set_ends
from minembed.text.config_keys import flag, refuse_settings
from minembed.text.settings import (
    BYTE_BPE,
    CLASS_TOKENS,
    LARGEST_FILE,
    OTHERS,
    WORD_PIECE,
    Settings,
    ask,
    class_name,
    read_settings,
)
from minembed.transformer.config import LARGEST_SIZE

# what Rust's str::trim_end removes, with which the reference reads the lines of vocab.txt
WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
CONVERT = "convert it where transformers is installed: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A reference tokenizer, and the settings of its files."""

    reference: Any  # a tokenizers.Tokenizer without truncation and padding
    layout: Mapping[str, Any]  # its tokenizer.json
    keeps_end: bool  # whether truncation drops the beginning of a text
    has_types: bool  # whether the model gets segment types

    @property
    def largest_id(self) -> int:
        """The largest id of its tokens, without added tokens; -1 if there are none."""
        vocab = (self.layout.get("model") or {}).get("vocab")
        own = vocab if isinstance(vocab, dict) else ask(self.reference.get_vocab, False)  # which takes 20 ms
        return max(own.values(), default=-1)


def read_vocabulary(path: Path) -> Vocabulary:
    r"""Read tokenizer.json at `path`, or else the vocabulary beside it, and the settings of the folder.

    Raises TokenizationError for a missing or damaged file, ConfigError for an invalid setting, and
    UnsupportedModelError for a vocabulary that only other software reads.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n")
    ...     read_vocabulary(Path(folder, "tokenizer.json")).reference.encode("A ab").tokens
    ['[CLS]', 'a', 'a', '##b', '[SEP]']
    """
    place = path.with_name("tokenizer_config.json")
    settings = read_settings(place)
    name = class_name(settings, path)
    refuse_settings(settings, place)
    if path.exists():
        reference, layout = read_tokenizer_json(path)
        if name is not None and name.removesuffix("Tokenizer") in OTHERS:
            raise UnsupportedModelError(
                f"{place}: tokenizer_class {name!r} builds a tokenizer that is not supported; if tokenizer.json is "
                'right as it is, write "PreTrainedTokenizerFast" there'
            )
        added = read_added_tokens(settings, name, path, layout)
        if name in CLASS_TOKENS:
            reference, layout = rebuild(reference, layout, name, settings, added, place)
        else:
            reference, layout = with_added_tokens(reference, layout, added)
    else:
        try:
            reference = _from_older_files(settings, name, path)
        except TokenizationError as e:
            if str(path.parent) in str(e):
                raise
            raise TokenizationError(f"{place} does not fit the vocabulary beside it: {e.__cause__ or e}") from e
        layout = json.loads(ask(reference.to_str))
    truncation = layout.get("truncation")
    side = settings.get("truncation_side") or (truncation or {}).get("direction", "right")
    if str(side).lower() not in ("left", "right"):
        raise ConfigError(f"{place}: truncation_side must be left or right: {side!r}")
    reference.no_truncation()  # many checkpoints ship a wrong limit and fixed padding in this file
    reference.no_padding()
    if flag(settings, "split_special_tokens", False, place):
        reference.encode_special_tokens = True
    inputs = settings.get("model_input_names")
    has_types = not isinstance(inputs, list) or "token_type_ids" in inputs
    return Vocabulary(reference, layout, str(side).lower() == "left", has_types)


def read_tokenizer_json(path: Path) -> tuple[Any, dict[str, Any]]:
    """Read a tokenizers.Tokenizer and its JSON.

    Raises TokenizationError for a missing or damaged file, UnsupportedModelError for one with dropout.

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
        raise UnsupportedModelError(f"{path}: its dropout gives other tokens from call to call; set it to null")
    return reference, layout


def _check_prefix(model: Any) -> None:
    """Raise ValueError for merges without their prefix, which would make the reference abort the process."""
    prefix = model.get("continuing_subword_prefix") if isinstance(model, dict) else None
    if not prefix or not isinstance(prefix, str) or not isinstance(model.get("merges"), list):
        return
    for merge in model["merges"]:
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or not str(parts[-1:][0] if parts else "").startswith(prefix):
            raise ValueError(f"the merge {merge!r} lacks the continuing_subword_prefix {prefix!r}")


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
        raise UnsupportedModelError(f"{folder} has {found[0]} and no tokenizer.json, which is needed; {CONVERT}")
    if has_words or has_merges:
        kind = name or "a tokenizer without a name"
        raise UnsupportedModelError(f"{folder} has no tokenizer.json, and {kind} cannot be built without; {CONVERT}")
    looked = "tokenizer.json, vocab.txt, vocab.json with merges.txt"
    raise TokenizationError(f"{folder} has none of {looked}: fetch tokenizer.json, a model needs it")


def _word_piece(settings: Settings, name: str, path: Path) -> Any:
    """BERT's tokenizer over vocab.txt, one piece per line."""
    from tokenizers import Tokenizer as Reference
    from tokenizers import models, normalizers, pre_tokenizers

    source, added = path.with_name("vocab.txt"), read_added_tokens(settings, name, path, {})
    try:
        lines = read_regular(source, LARGEST_FILE).decode("utf-8").removesuffix("\n").split("\n")
    except OSError as e:
        raise TokenizationError(f"{source} cannot be read ({e.strerror})") from e
    except UnicodeDecodeError as e:
        raise TokenizationError(f"{source} is not UTF-8 ({e.reason}); fetch it again") from e
    vocabulary = {line.rstrip(WHITE): index for index, line in enumerate(lines)}
    if added.named["unk"] not in vocabulary:
        raise TokenizationError(f"{source} has no {added.named['unk']}; it is damaged, or belongs to another tokenizer")
    reference = Reference(models.WordPiece(vocabulary, unk_token=added.named["unk"]))
    normalizer = bert_normalizer(settings, path.with_name("tokenizer_config.json"))
    reference.normalizer = normalizers.BertNormalizer(**{k: v for k, v in normalizer.items() if k != "type"})
    reference.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    add(reference, added)
    set_ends(reference, name, added.named)
    return reference


def _byte_bpe(settings: Settings, name: str, path: Path) -> Any:
    """RoBERTa's tokenizer over vocab.json and merges.txt."""
    from tokenizers import Tokenizer as Reference
    from tokenizers import models, pre_tokenizers

    added = read_added_tokens(settings, name, path, {})
    prefix = bool(flag(settings, "add_prefix_space", False, path.with_name("tokenizer_config.json")))
    files = str(path.with_name("vocab.json")), str(path.with_name("merges.txt"))
    try:
        for file in files:
            check_regular(Path(file), LARGEST_FILE)
        vocabulary, merges = ask(models.BPE.read_file, *files)
        if max(vocabulary.values(), default=0) >= LARGEST_SIZE:  # the reference counts up to it
            raise TokenizationError("a token's id is too large")
        reference = Reference(ask(lambda: models.BPE(vocabulary, merges)))
    except TokenizationError as e:
        raise TokenizationError(
            f"{files[0]} and {files[1]} are damaged or do not belong together: {e.__cause__ or e}"
        ) from e
    except OSError as e:
        raise TokenizationError(f"{e.filename} cannot be read ({e.strerror})") from e
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    add(reference, added)
    set_ends(reference, name, added.named)
    return reference
