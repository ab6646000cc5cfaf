"""The beginning of a long text has the tokens of the whole text, whatever it is made of, and little of it is read."""

import json
import random
from types import SimpleNamespace

import pytest
import tiny
import tokenizers
from examples import heavy
from tokenizers import Tokenizer as Reference
from tokenizers import models, normalizers, pre_tokenizers

from minembed import Embedder
from minembed.text.prefix import LONG_WORD, PrefixReader

LETTERS = "aßжאक" + "ก" + "가é🙂\u0301\u200d\ufffd\x00\x1c\x7f\u00ad\u180e\u202e\U000e0041ﬃİſΣ_"
SPACES = " \t\n\r\x0b\x0c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b"
SIGNS = "。、—·।⸸¿«»′!([]-‐・\u037e\u1fef\u2e38\u3002\u0964\uff0c\U00010100$+<=>^`|~¢°"  # some end a word, some do not
IDEOGRAPHS = "中文㐀\U00020000\uf900々ヷあア"
WORDS = [
    "a",
    "cat",
    "dog ",
    "##s",
    "ing",
    "the ",
    " of",
    "don't",
    "naïve",
    "e\u0301",
    "x" * 99,
    "x" * 100,
    "x" * 101,
    "z" * 999,
]
SPECIAL = [*tiny.SPECIAL, "[MASK", "MASK]", "[mask]", "[[SEP]]", "[SE", "P]", "[CLS]a", "中[SEP]"]
COUNTS = [1, 1, 2, 3, 7, 40, 99, 100, 101, 300, 998, 999, 1000, 1001, 1002, 1003, 1500]


@pytest.fixture(scope="module")
def layout(tiny_checkpoint):
    """The parsed tokenizer.json of the tiny checkpoint."""
    return json.loads((tiny_checkpoint / "tokenizer.json").read_text())


def plain(tokenizer):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.fixture(scope="module")
def reference(tiny_checkpoint):
    """The tokenizers package itself, which reads everything."""
    return plain(Reference.from_file(str(tiny_checkpoint / "tokenizer.json")))


class Counting:
    """A tokenizer that counts the characters it is handed."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.characters = 0
        self.pre_tokenizer = SimpleNamespace(pre_tokenize_str=self._counted(tokenizer.pre_tokenizer.pre_tokenize_str))

    def _counted(self, method):
        def counted(text, *options):
            self.characters += len(text)
            return method(text, *options)

        return counted

    @property
    def normalizer(self):
        return SimpleNamespace(normalize_str=self._counted(self.tokenizer.normalizer.normalize_str))

    def encode(self, text, *options):
        return self._counted(self.tokenizer.encode)(text, *options)

    def encode_batch_fast(self, texts):
        self.characters += sum(map(len, texts))
        return self.tokenizer.encode_batch_fast(texts)

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)


def adversarial(dice):
    """A string of a few pieces, each repeated up to and around a thousand times."""
    parts, length, wanted = [], 0, dice.choice([1500, 2500, 4000])
    while length < wanted:
        source = dice.choice([LETTERS, LETTERS, SPACES, SIGNS, IDEOGRAPHS, WORDS, SPECIAL])
        kind, count = dice.randrange(4), dice.choice(COUNTS)
        if kind == 0:
            part = dice.choice(source) * count
        elif kind == 1:  # a run of many different characters
            part = "".join(dice.choices(source, k=min(count, 1100)))
        elif kind == 2:  # a run with something in its middle
            part = dice.choice(source) * count
            at = dice.randrange(len(part))
            part = part[:at] + dice.choice(dice.choice([SPACES, SIGNS, IDEOGRAPHS, SPECIAL, LETTERS])) + part[at:]
        else:
            part = dice.choice(source)
        parts.append(part[:4000])
        length += len(parts[-1])
    return "".join(parts)


@pytest.mark.parametrize("seed", [*range(5), *heavy(range(5, 500))])
def test_the_beginning_has_the_tokens_of_the_whole(reference, layout, seed):
    """100 strings a seed, each asked for a few tokens or for some."""
    counting, dice = Counting(reference), random.Random(seed)
    reader = PrefixReader.fitting(layout, counting)
    texts = [adversarial(dice) for _ in range(100)]
    found = shorter = 0
    for text, whole in zip(texts, reference.encode_batch(texts), strict=True):
        counting.characters, n = 0, dice.choice([2, 5, 30])
        beginning = reader.read(text, n)
        if beginning is None or beginning[1] is None:  # the text has no more than its beginning
            assert beginning is None or beginning[0].ids == whole.ids, (n, ascii(text))
            continue
        encoding, sure = beginning
        assert n <= sure <= len(whole.ids) - 2, (n, ascii(text))
        assert encoding.ids[: sure + 1] == whole.ids[: sure + 1], (n, ascii(text))  # the opening [CLS], then text
        found, shorter = found + 1, shorter + (counting.characters < len(text))
    assert found > 40 and shorter > 20  # else the strings test nothing


@pytest.mark.parametrize("number", [50, *heavy([150])])
def test_the_embedder_reads_beginnings(tiny_checkpoint, reference, number):
    dice = random.Random(99)
    texts = [adversarial(dice) + adversarial(dice) for _ in range(number)]
    wholes = reference.encode_batch(texts)
    for limit in (3, 20, 64):
        tokens = Embedder.load(tiny_checkpoint, max_seq_length=limit).tokenize(texts)
        for i, whole in enumerate(wholes):
            own = tokens.ids[tokens.cu_seqlens[i] : tokens.cu_seqlens[i + 1]].tolist()
            expected = whole.ids if len(whole.ids) <= limit else [*whole.ids[: limit - 1], whole.ids[-1]]
            assert own == expected, (limit, ascii(texts[i]))
        assert tokens.lower_bound.mean() > 0.1


# ---- ten million characters ----

SHAPES = {
    "words": ("the cat and a dog, ", 20),
    "one word": ("x", 2),
    "ideographs": ("中文", 20),
    "emoji": ("🙂", 2),
    "spaces": (" ", 1),
    "special tokens": ("[MASK]", 20),
    "emoji and words": ("🙂 cat ", 20),
    "signs": ("!?", 20),
    "Cyrillic without spaces": ("жшы", 2),
    "line feeds and tabs": ("\n\t\u3000", 1),
    "accents": ("\u0301", 1),
    "an accent on every letter": ("a\u0301", 2),
    "joiners": ("\u200d", 1),
    "replacement characters": ("\ufffd", 1),
    "NUL": ("\0", 1),
    "form feeds": ("\x0c", 1),
    "many kinds of nothing": ("\0\u0301\u200d\ufffd\x0c\u00ad\u0300\U000e0041", 1),
}


@pytest.fixture
def counted(tiny_checkpoint, monkeypatch):
    """The tiny model, and the tokenizer that it hands characters to."""
    made = []

    class Factory:
        @staticmethod
        def from_str(text):
            made.append(Counting(Reference.from_str(text)))
            return made[0]

    monkeypatch.setattr(tokenizers, "Tokenizer", Factory)
    return Embedder.load(tiny_checkpoint), made[0]


@pytest.mark.parametrize(("piece", "least"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("tail", [" cat", *heavy([""])])
def test_ten_million_characters(counted, reference, piece, least, tail):
    model, tokenizer = counted
    tokenizer.characters = 0
    tokens = model.tokenize([piece * (10_000_000 // len(piece)) + tail])
    assert tokenizer.characters < 20_000
    # by the rules of WordPiece, 2,000 of these have the same first tokens, or are the same one token, as ten million
    whole = reference.encode(piece * 2000 + tail).ids
    expected = whole if len(whole) <= 32 else [*whole[:31], whole[-1]]
    assert tokens.ids.tolist() == expected
    assert len(expected) >= least and tokens.truncated.tolist() == [len(whole) > 32]


# ---- which tokenizers are read that way ----


def test_the_tiny_tokenizer_is(reference, layout):
    assert PrefixReader.fitting(layout, reference) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": None},
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": {"clean_text": False}},
        {"normalizer": {"handle_chinese_chars": False}},
        {"normalizer": {"strip_accents": False}},
        {"normalizer": {"lowercase": False}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"model": {"type": "WordLevel"}},
        {"model": {"type": "BPE"}},
        {"model": {"max_input_chars_per_word": LONG_WORD}},
        {"added_tokens": [{"content": "<mask>", "rstrip": True}]},
        {"added_tokens": [{"content": "[a b]"}]},
        {"added_tokens": [{"content": "mask"}]},
        {"added_tokens": [{"content": "[x]", "single_word": True}]},
        {"added_tokens": [{"content": "[x]", "normalized": True}]},
        {"added_tokens": [{"content": "[" + "x" * 64}]},
        {"added_tokens": [{"content": ""}]},
    ],
    ids=str,
)
def test_others_are_read_to_their_end(reference, layout, change):
    changed = {k: layout[k] | v if isinstance(v, dict) and v.keys() != {"type"} else v for k, v in change.items()}
    assert PrefixReader.fitting(layout | changed, reference) is None


def unlike_bert():
    vocabulary = {word: i for i, word in enumerate(tiny.VOCABULARY)}
    level = Reference(models.WordLevel(vocabulary, unk_token="[UNK]"))
    level.pre_tokenizer = pre_tokenizers.Whitespace()
    cased = tiny.tiny_tokenizer()
    cased.normalizer = normalizers.BertNormalizer(lowercase=False)
    bytes_ = tiny.tiny_tokenizer()
    bytes_.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    marked = tiny.tiny_tokenizer()
    marked.add_special_tokens([tokenizers.AddedToken("cat", lstrip=True, rstrip=True)])
    return {"word level": level, "cased": cased, "split": bytes_, "greedy special token": marked}


@pytest.mark.parametrize("name", ["word level", "cased", "split", "greedy special token"])
@pytest.mark.parametrize("number", [12, *heavy([40])])
def test_their_texts_are_cut_as_the_reference_cuts_them(tmp_path, name, number):
    folder, dice = tiny.write_tiny_checkpoint(tmp_path), random.Random(5)
    unlike_bert()[name].save(str(folder / "tokenizer.json"))
    tiny.take_tokenizer_as_it_is(folder)
    reference = plain(Reference.from_file(str(folder / "tokenizer.json")))
    texts = ["a " + adversarial(dice) + adversarial(dice) for _ in range(number)]
    for limit in (3, 40):
        tokens = Embedder.load(folder, max_seq_length=limit).tokenize(texts)
        reference.enable_truncation(limit)
        expected = [encoding.ids for encoding in reference.encode_batch(texts)]
        assert tokens.ids.tolist() == [i for text in expected for i in text]
        assert not tokens.lower_bound.any()


def like_mpnet():
    tokenizer = tiny.tiny_tokenizer()
    tokenizer.add_special_tokens(
        [tokenizers.AddedToken("[MASK]", lstrip=True), tokenizers.AddedToken("[", lstrip=True)]
    )
    return plain(tokenizer)


@pytest.mark.parametrize("seed", [0, *heavy(range(1, 10))])
def test_a_mask_that_takes_the_space_before_it(seed):
    """As MPNet has it: white space has no token there, whoever takes it."""
    reference, dice = like_mpnet(), random.Random(f"mask {seed}")
    reader = PrefixReader.fitting(json.loads(reference.to_str()), reference)
    texts = [adversarial(dice).replace("cat", dice.choice(["\x0c", " "]) * 1200 + "[MASK]") for _ in range(100)]
    found = 0
    for text, whole in zip(texts, reference.encode_batch(texts), strict=True):
        encoding, sure = reader.read(text, 5)
        found += sure is not None
        assert encoding.ids[: (sure or len(whole.ids)) + 1] == whole.ids[: (sure or len(whole.ids)) + 1], ascii(text)
    assert found > 40
