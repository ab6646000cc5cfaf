"""Long texts of tokenizers that are not BERT's: their beginnings have the tokens of the whole texts."""

import json
import random
import unicodedata

import pytest
import tokenizer_kinds as kinds
from examples import examples, heavy
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Reference
from tokenizers import normalizers

from minembed.text import prefix
from minembed.text.prefix import PrefixReader, WordReader

READ_BY_WORDS = ["roberta", "roberta-prefix-space", "modernbert", "qwen", "xlm-roberta", "xlm-roberta-newer"]
READ_BY_WORDS += ["camembert", "albert", "vocab-roberta"]
SPECIAL = "<s> </s> <mask> [MASK] [CLS] <|endoftext|> <|im_end|> <pad>".split()
WHITE = " \t\n\r\x0b\x0c\x1c\x85\u00a0\u1680\u2003\u2028\u202f\u3000\u200b\ufeff\u2581"
LETTERS = "abzZ'`\"-_.,!?1239éßжאكगक中文あガ가ᄀ\u1161\u11a8\u0301\u0338\u0345\u200d🙂🏿🇩🇪"
LETTERS += "ﬁ㈱Ａｓ＜＞\u0600\u06dd\u070f\u0d4e\u09be\u0eb3"
WORDS = [
    "'s",
    "'ll",
    "'RE",
    "don't",
    " the",
    "baker",
    "  ",
    "\r\n",
    " \n \n ",
    "``",
    "''",
    "```",
    "x" * 70,
    "1" * 9,
    "中文",
]
PIECES = [*SPECIAL, *WHITE, *LETTERS, *WORDS, *(s[:-1] for s in SPECIAL), *(f" {s} " for s in SPECIAL), "＜s＞"]


@pytest.fixture(scope="module", params=READ_BY_WORDS)
def tokenizer(request, tmp_path_factory):
    """A tokenizer whose long texts are read up to the end of a word."""
    return kinds.load(request.param, tmp_path_factory.mktemp(request.param))


def assert_beginning(tokenizer, text, n):
    """Read the beginning of a text and say whether that was less than the whole."""
    reader = tokenizer._prefix
    assert isinstance(reader, WordReader)
    encoding, sure = reader.read(text, n)
    whole = tokenizer._special.inside(tokenizer.reference.encode(text).ids).tolist()
    own = tokenizer._special.inside(encoding.ids).tolist()
    if sure is None:
        assert own == whole, (n, ascii(text))
    else:
        assert n <= sure <= len(whole) and own[:sure] == whole[:sure], (n, sure, ascii(text))
    return sure is not None


@pytest.fixture(autouse=True)
def short_margins(monkeypatch):
    """Cut after some ten characters, so that every cut falls near something."""
    monkeypatch.setattr(prefix, "LONG_WORD", 30)


def spliced(dice, length):
    parts = []
    while length > 0:
        parts.append(dice.choice(PIECES) * dice.choice([1, 1, 1, 1, 2, 3, 9, 40]) + dice.choice(["", "", " "]))
        length -= len(parts[-1])
    return "".join(parts)


@pytest.mark.parametrize("seed", [*range(2), *heavy(range(2, 200))])
def test_spliced_texts(tokenizer, seed):
    dice = random.Random(seed)
    shorter = sum(assert_beginning(tokenizer, spliced(dice, 400), dice.choice([1, 2, 5])) for _ in range(150))
    assert shorter > 60  # else the texts test nothing


@examples(400, usual=20)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(PIECES),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
            st.builds(lambda a, n: a * n, st.sampled_from(PIECES), st.integers(2, 60)),
        ),
        min_size=40,
        max_size=150,
    ).map("".join)
)
def test_generated_texts(tokenizer, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix, "LONG_WORD", 30)
        assert_beginning(tokenizer, text, 1)
        assert_beginning(tokenizer, text, 4)


@pytest.mark.parametrize("step", [64, *heavy([1])])  # of characters that every form leaves as they are
def test_joints(step):
    """What stands behind a joint never joins what stands before: in no normal form, and to no grapheme."""
    second = {d[-1] for d in map(decomposed, range(0x110000)) if len(d) > 1}
    charsmap = kinds.golden("xlm-roberta")["files"]["tokenizer.json"]
    normalizer = Reference.from_str(kinds.fill(charsmap)).normalizer.normalize_str
    forms = [
        normalizers.NFC().normalize_str,
        normalizers.NFKC().normalize_str,
        normalizers.NFKD().normalize_str,
        normalizer,
    ]
    joint = prefix._joint()
    after = [chr(c) for c in range(0x110000) if joint.search("中" + chr(c)) or joint.search("a" + chr(c))]
    assert not second & {unicodedata.normalize("NFKD", c)[0] for c in after}
    assert not any(unicodedata.combining(c) for c in after) and len(after) > 30_000
    for before in map(chr, [*range(0xD800), *range(0xE000, 0x30000)]):
        if ord(before) % step and all(form(before) == before for form in forms) and not unicodedata.combining(before):
            continue
        for behind in " a`;>" if joint.search(before + " ") else "":
            for form in forms:
                assert form(before + behind) == form(before) + form(behind), (before, behind)


def decomposed(code):
    found = unicodedata.decomposition(chr(code))
    return "" if found.startswith("<") else [chr(int(c, 16)) for c in found.split()]


# ---- which tokenizers are read that way ----

CHANGES = [
    {"normalizer": {"type": "Lowercase"}},
    {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}},
    {"normalizer": {"type": "Replace", "pattern": {"Regex": "a.*b"}, "content": "c"}},
    {"pre_tokenizer": None},
    {"pre_tokenizer": {"type": "Whitespace"}},
    {"pre_tokenizer": {"type": "ByteLevel", "use_regex": False}},
    {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "split": False}},
    {"model": {"type": "WordLevel"}},
    {"added_tokens": [{"content": "<x>", "rstrip": True}]},
    {"added_tokens": [{"content": "<x>", "single_word": True}]},
    {"added_tokens": [{"content": "x" * 65}]},
    {"added_tokens": [{"content": "é"}]},
    {"added_tokens": [{"content": ""}]},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("kind", ["roberta", "qwen", "xlm-roberta"])
def test_others_are_read_to_their_end(kind, change):
    layout = json.loads(kinds.golden(kind)["files"]["tokenizer.json"])
    assert isinstance(PrefixReader.fitting(layout, None), WordReader)
    lowered = kind == "xlm-roberta" and change == CHANGES[0]  # one character at a time
    assert isinstance(PrefixReader.fitting(layout | change, None), WordReader) == lowered


def test_normalized_tokens_of_unigram():
    layout = json.loads(kinds.golden("xlm-roberta")["files"]["tokenizer.json"])
    layout["added_tokens"][0]["normalized"] = True
    assert PrefixReader.fitting(layout, None) is None


@pytest.mark.parametrize("piece", ["the cat and a dog, ", "中文 ", "!? ", "<mask> ", "a\n\n", "naïve 🙂 "])
def test_ten_million_characters(tokenizer, monkeypatch, piece):
    """Only some thousand characters are handed to the reference."""
    monkeypatch.undo()
    text, seen = piece * (10_000_000 // len(piece)), []

    class Counting:
        def encode(self, text):
            seen.append(len(text))
            return tokenizer.reference.encode(text)

    encoding, sure = WordReader(Counting()).read(text, 512)
    whole = tokenizer._special.inside(tokenizer.reference.encode(piece * 4000).ids)
    own = tokenizer._special.inside(encoding.ids)[:sure]
    assert sure is not None and sure >= 512 and own.tolist() == whole[:sure].tolist() and sum(seen) < 20_000
