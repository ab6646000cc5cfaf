r"""Tokenize only as much of a long text as is needed: 10 MB of text must not cost seconds when 256 tokens are kept.

Cutting at a character is exact for WordPiece tokenizers like BERT's (`PrefixReader`), because every step is local:
normalisation looks at one character at a time, words end at white space, punctuation and CJK characters, and a word
is split by itself.  So every token that ends well before the cut is also a token of the whole text.  "Well before"
needs words of bounded size.  Three things are unbounded, and all can be shortened without changing a token: a run of
white space is equal to one space; a run without any word boundary that normalises to more than
`max_input_chars_per_word` characters is one [UNK], however long; and in any other such run, characters that normalise
to nothing can be left out.

Byte-level BPE and the tokenizers like SentencePiece's that split at spaces are local too, up to the ends of words
(`WordReader`); but the tokens of a word depend on all of it, so a text of one long word is read to its end, as are the
texts of tokenizers that are not recognised here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

# characters that BertNormalizer turns into a space (other white space, such as form feed, is removed as control)
SPACE = "\t\n\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# characters that certainly end a word (there are more): ASCII and common punctuation, and the ideographs that
# BertNormalizer puts spaces around
BOUNDARY = SPACE + r"!-/:-@\[-`{-~" + "\u2010-\u2027\u3001-\u3003\u3008-\u3011\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
LONG_WORD = 1000  # characters
SPECIAL_TOKEN = 64  # characters; a tokenizer with longer special tokens is read the slow way
NEXT_TEXT = re.compile(f"[^{SPACE}]")
NEXT_BOUNDARY = re.compile(f"[{BOUNDARY}]")


@cache
def _long_run() -> "re.Pattern[str]":
    """White space, or a long run without a boundary; compiled late (about 10 ms), since only long texts need it."""
    return re.compile(f"[{SPACE}]{{2,}}|[^{BOUNDARY}]{{{LONG_WORD + 1},}}")


def _starts_a_word(token: Mapping[str, Any]) -> bool:
    """Whether a special token begins at a boundary, contains no white space, and includes none after it."""
    content = token.get("content", "")
    flags = ("rstrip", "single_word", "normalized")  # lstrip is harmless: white space before it has no token
    return (
        0 < len(content) <= SPECIAL_TOKEN
        and NEXT_BOUNDARY.match(content) is not None
        and not re.search(f"[{SPACE}]", content)
        and not any(token.get(flag) for flag in flags)
    )


def _distinct(text: str) -> list[int]:
    """The code points that occur in a text; linear, and fast for millions of characters."""
    seen = np.zeros(0x110000, dtype=bool)
    seen[np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)] = True
    return [int(c) for c in np.flatnonzero(seen)]


QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LOOKAHEAD = 3  # characters that the expressions of byte-level BPE look ahead, not counting white space
# a place between characters that never combine, neither in a normal form nor in a grapheme: before printable ASCII
# (except after the few characters of the class Prepend), and between ideographs, kana and Hangul syllables
EAST = "\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3"
PRINTED = "\t\n\r -~\u00a1-\u05ff\u0606-\u06dc\u06de-\u070e\u0710-\u088f\u0892-\u08e1\u08e3-\u0d4d\u0d4f-\ud7ff"


@cache
def _joint() -> "re.Pattern[str]":
    return re.compile(f"(?<=[{PRINTED}])(?=[ -~])|(?<=[{EAST}])(?=[{EAST}])")  # late: 9 ms


def _steps(part: Mapping[str, Any] | None, key: str) -> list[Mapping[str, Any]]:
    """The list of normalizers or pre-tokenizers, also if there is only one."""
    if not part:
        return []
    return part.get(key, []) if part.get("type") == "Sequence" else [part]


def _is_byte_level(layout: Mapping[str, Any]) -> bool:
    """Whether this is a byte-level BPE like that of RoBERTa, ModernBERT or Qwen."""
    splits = _steps(layout.get("pre_tokenizer"), "pretokenizers")
    bytes_ = splits[-1] if splits else {}
    split = {"type": "Split", "pattern": {"Regex": QWEN}, "behavior": "Isolated", "invert": False}
    return (
        all(step == {"type": "NFC"} for step in _steps(layout.get("normalizer"), "normalizers"))
        and bytes_.get("type") == "ByteLevel"
        and splits[:-1] == ([] if bytes_.get("use_regex", True) else [split])
        and (layout.get("model") or {}).get("type") == "BPE"
        and all(_is_short(token) for token in layout.get("added_tokens", []))
    )


def _is_metaspace(layout: Mapping[str, Any]) -> bool:
    """Whether this is a Unigram over words like that of XLM-RoBERTa, CamemBERT or ALBERT."""
    known: list[Mapping[str, Any]] = [{"type": name} for name in ("NFC", "NFKC", "NFD", "NFKD", "StripAccents")]
    known += [{"type": "Lowercase"}, {"type": "Strip", "strip_left": False, "strip_right": True}]
    for pattern, content in (({"Regex": " {2,}"}, "▁"), ({"Regex": " {2,}"}, " "), *((quote, '"') for quote in QUOTES)):
        known.append({"type": "Replace", "pattern": pattern, "content": content})
    splits = _steps(layout.get("pre_tokenizer"), "pretokenizers")
    last = splits[-1] if splits else {}
    return (
        all(s in known or s.get("type") == "Precompiled" for s in _steps(layout.get("normalizer"), "normalizers"))
        and splits[:-1] in ([], [{"type": "WhitespaceSplit"}])
        and last.get("type") == "Metaspace"
        and last.get("replacement") == "▁"
        and last.get("split", True) is True
        and (layout.get("model") or {}).get("type") == "Unigram"
        and all(_is_short(token) and not token.get("normalized") for token in layout.get("added_tokens", []))
    )


QUOTES = ({"String": "``"}, {"String": "''"})


def _is_short(token: Mapping[str, Any]) -> bool:
    """Whether an added token is short, all ASCII, and does not depend on what follows it."""
    content = token.get("content", "")
    return (
        0 < len(content) <= SPECIAL_TOKEN and content.isascii() and not any(map(token.get, ("rstrip", "single_word")))
    )


@dataclass(frozen=True, slots=True)
class WordReader:
    """Tokenizes the beginning of a text up to the end of a word."""

    reference: Any  # a tokenizers.Tokenizer without truncation and padding

    def read(self, text: str, n_tokens: int) -> tuple[Any, int | None]:
        """Encode a prefix of the text that contains its first n_tokens tokens; see `PrefixReader.read`."""
        size = 16 * n_tokens + LONG_WORD
        while size < len(text):
            joint = _joint().search(text, size, size + LONG_WORD)
            if joint is not None:
                encoding = self.reference.encode(text[: joint.start()])
                sure = _sure(encoding, len(text[: joint.start() - SPECIAL_TOKEN].rstrip()) - LOOKAHEAD)
                if sure >= n_tokens:
                    return encoding, sure
            size *= 4
        return self.reference.encode(text), None


def _sure(encoding: Any, safe: int) -> int:
    """Count the tokens of words that end before the character `safe`."""
    special, words, ends = encoding.special_tokens_mask, encoding.word_ids, [end for _, end in encoding.offsets]
    own = [i for i in range(len(ends)) if not special[i]]
    later = next((k for k, i in enumerate(own) if ends[i] > safe), 0)
    while later and words[own[later - 1]] == words[own[later]]:
        later -= 1
    return later


@dataclass(frozen=True, slots=True)
class PrefixReader:
    """Tokenizes only the beginning of a text; made by `fitting`."""

    reference: Any  # a tokenizers.Tokenizer without truncation and padding
    max_word: int  # longer words are one [UNK]

    @staticmethod
    def fitting(layout: Mapping[str, Any], reference: Any) -> "PrefixReader | WordReader | None":
        """Make a reader if tokenizer.json describes a tokenizer for which the cut is proven exact, else None."""
        if _is_byte_level(layout) or _is_metaspace(layout):
            return WordReader(reference)
        normalizer = layout.get("normalizer") or {}
        model = layout.get("model") or {}
        strip = normalizer.get("strip_accents")
        local = (
            normalizer.get("type") == "BertNormalizer"
            and normalizer.get("clean_text") is True
            and normalizer.get("handle_chinese_chars") is True
            and (strip is True or (strip is None and normalizer.get("lowercase") is True))
            and (layout.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
            and model.get("type", "WordPiece") == "WordPiece"
            and model.get("max_input_chars_per_word", LONG_WORD) < LONG_WORD
            and all(_starts_a_word(token) for token in layout.get("added_tokens", []))
        )
        return PrefixReader(reference, model["max_input_chars_per_word"]) if local else None

    def read(self, text: str, n_tokens: int) -> tuple[Any, int | None]:
        """Encode a prefix of the text that contains its first n_tokens tokens, special tokens not counted.

        Returns an encoding, and how many of its tokens are certainly those of the text (later ones may differ); None
        if all are, because the prefix is equivalent to the whole text.
        """
        size = 16 * n_tokens + LONG_WORD
        while True:
            head, complete = self._head(text, size)
            encoding = self.reference.encode(head)
            if complete:
                return encoding, None
            safe = len(head) - LONG_WORD - SPECIAL_TOKEN
            sure = sum(0 < end <= safe for _, end in encoding.offsets)
            if sure >= n_tokens:
                return encoding, sure
            size *= 4

    def _head(self, text: str, size: int) -> tuple[str, bool]:
        """About `size` characters that tokenize like the beginning of the text, and whether they are all of it."""
        pieces: list[str] = []
        for piece in self._pieces(text, size):
            pieces.append(piece)
            size -= len(piece)
            if size <= 0:
                return "".join(pieces), False
        return "".join(pieces), True

    def _pieces(self, text: str, size: int) -> Iterator[str]:
        at = 0
        while at < len(text):
            run = _long_run().search(text, at, at + size + LONG_WORD + 1)
            if run is None:
                yield text[at : at + size]
                at += size
                continue
            start = run.start()
            is_space = NEXT_TEXT.match(text, start) is None
            yield text[at:start]
            following = (NEXT_TEXT if is_space else NEXT_BOUNDARY).search(text, run.end())
            at = following.start() if following else len(text)
            yield " " if is_space else self._shortened(text[start:at])

    def _shortened(self, run: str) -> str:
        """The start of a run if that is the same [UNK], else the run without characters that normalise to nothing."""
        if self._is_unknown(run):
            return run[:LONG_WORD]
        normalize = self.reference.normalizer.normalize_str
        gone = {c: None for c in _distinct(run) if not normalize(chr(c))}
        run = run.translate(gone)
        return run[:LONG_WORD] if self._is_unknown(run) else run

    def _is_unknown(self, run: str) -> bool:
        normalized = self.reference.normalizer.normalize_str(run[:LONG_WORD])
        return len(normalized) > self.max_word and self._is_one_word(run)

    def _is_one_word(self, run: str) -> bool:
        if run.isascii():
            return True  # BOUNDARY has all of ASCII's
        normalize, split = self.reference.normalizer.normalize_str, self.reference.pre_tokenizer.pre_tokenize_str
        return all(len(split(normalize(f"a{chr(c)}a"))) == 1 for c in _distinct(run))
