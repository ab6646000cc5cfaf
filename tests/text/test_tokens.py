"""Tokens and their making: packing, truncation, surrogates, and tokenizers of every make."""

import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import examples
import numpy as np
import pytest
import tiny
from tokenizers import Tokenizer as Reference
from tokenizers import models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing

from minembed import Embedder
from minembed.errors import ConfigError, InputError, InputTypeError, MinembedError, TokenizationError
from minembed.text.tokenizer import clean
from minembed.transformer.tokens import Tokens

TEXTS = [
    "a cat",
    "",
    "  \t\n",
    "the dog on the river and the bread in the oven " * 9,
    "中文 cat",
    "unbelievably!",
    "x" * 101,
]
TEXTS += ["[CLS] a [SEP]", "a\0b", "é e\u0301 ß", "🙂 🙂", "word " * 900, "x" * 5000, "中" * 4500, "cat[MASK]" * 700]


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    """A copy of the tiny checkpoint."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def reference(folder, limit=None):
    """The tokenizers package itself, with its own truncation."""
    tokenizer = Reference.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit) if limit else tokenizer.no_truncation()
    return tokenizer


def ids(tokens):
    """The ids of each text, as lists."""
    return [part.tolist() for part in np.split(tokens.ids, tokens.cu_seqlens[1:-1])] if len(tokens) else []


def packed(lengths):
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = len(lengths)
    extras = np.arange(n) + 100, np.arange(n) % 2 == 0, np.arange(n) % 3 == 0
    return Tokens(np.arange(cu_seqlens[-1]), np.arange(cu_seqlens[-1]) % 2, cu_seqlens, *extras)


# ---- Tokens ----


@pytest.mark.parametrize(
    "cu_seqlens",
    [[], [1, 5], [0, 4], [0, 6], [0, 3, 3, 5], [0, 4, 3, 5], [0, 0, 5], [0, 5, 5], [-1, 5], [0, 7, 5], [5, 0]],
)
def test_bounds_that_do_not_rise(cu_seqlens):
    with pytest.raises(InputError, match="rise from 0 to 5"):
        Tokens(np.arange(5), np.zeros(5, int), np.array(cu_seqlens, int))


def test_types_that_do_not_fit():
    with pytest.raises(InputError, match="4 for 5 ids"):
        Tokens(np.arange(5), np.zeros(4, int), np.array([0, 5]))


def test_no_texts():
    none = Tokens(np.arange(0), np.arange(0), np.array([0]))
    assert len(none) == 0 and none.lengths().tolist() == none.positions().tolist() == []
    assert len(none.select([])) == 0


def test_lengths_and_positions():
    dice = np.random.default_rng(1)
    for n in range(1, 30):
        lengths = dice.integers(1, 9, n)
        tokens = packed(lengths)
        assert len(tokens) == n and tokens.lengths().tolist() == lengths.tolist()
        assert tokens.positions().tolist() == [i for length in lengths for i in range(length)]


def test_select():
    dice = np.random.default_rng(2)
    for n in range(1, 30):
        tokens = packed(dice.integers(1, 9, n))
        for chosen in (dice.permutation(n), dice.integers(0, n, 2 * n), [n - 1], [], list(range(n))):
            found = tokens.select(chosen)
            rows = [range(tokens.cu_seqlens[i], tokens.cu_seqlens[i + 1]) for i in chosen]
            flat = [row for text in rows for row in text]
            assert found.ids.tolist() == flat and found.types.tolist() == [row % 2 for row in flat]
            assert found.lengths().tolist() == [len(text) for text in rows]
            assert found.n_tokens.tolist() == [i + 100 for i in chosen]
            assert found.truncated.tolist() == [i % 2 == 0 for i in chosen]
            assert found.lower_bound.tolist() == [i % 3 == 0 for i in chosen]


# ---- length ----


@pytest.mark.parametrize("limit", examples.thinned(range(3, 65), 3))
def test_truncation_is_that_of_the_reference(tiny_checkpoint, limit):
    tokens = Embedder.load(tiny_checkpoint, max_seq_length=limit).tokenize(TEXTS)
    assert ids(tokens) == [encoding.ids for encoding in reference(tiny_checkpoint, limit).encode_batch(TEXTS)]
    whole = np.array([len(encoding.ids) for encoding in reference(tiny_checkpoint).encode_batch(TEXTS)])
    np.testing.assert_array_equal(tokens.truncated, whole > limit)
    np.testing.assert_array_equal(tokens.n_tokens[~tokens.lower_bound], whole[~tokens.lower_bound])
    assert (tokens.n_tokens[tokens.lower_bound] > limit).all() and (tokens.n_tokens <= whole).all()
    assert tokens.lower_bound.any() and not tokens.lower_bound[[len(text) < 4096 for text in TEXTS]].any()


def test_exactly_at_the_limit(tiny_model):
    for n in (29, 30, 31, 32):
        tokens = tiny_model.tokenize(["cat " * n])
        assert tokens.lengths().tolist() == [min(n + 2, 32)] and tokens.truncated.tolist() == [n > 30]


@pytest.mark.parametrize("limit", [0, 1, 2, -1, -(2**70), 65, 10**9, 2**70, True, 3.0, "3", [3], float("nan")])
def test_limits_that_cannot_be(tiny_checkpoint, limit):
    with pytest.raises(MinembedError, match="max_seq_length") as caught:
        Embedder.load(tiny_checkpoint, max_seq_length=limit)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("limit", [1, 2])
def test_limits_of_the_checkpoint_that_leave_no_room(tiny_checkpoint, tmp_path, limit):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": limit})
    with pytest.raises(ConfigError, match="leaves no room"):
        Embedder.load(folder)


def test_the_smallest_limit(tiny_checkpoint):
    model = Embedder.load(tiny_checkpoint, max_seq_length=3)
    tokens = model.tokenize(["cat dog house", ""])
    assert tokens.lengths().tolist() == [3, 2] and model.max_seq_length == 3
    assert model.encode(["cat dog", "cat"], truncation="silent")[0].tobytes() == model.encode("cat").tobytes()


# ---- surrogates ----


def repaired(text):
    """The definition: a high surrogate and the low one after it are one character, any other is U+FFFD."""
    out, i = [], 0
    while i < len(text):
        code, after = ord(text[i]), ord(text[i + 1]) if i + 1 < len(text) else 0
        if 0xD800 <= code < 0xDC00 <= after < 0xE000:
            out.append(chr(0x10000 + ((code - 0xD800) << 10) + (after - 0xDC00)))
            i += 1
        else:
            out.append("\ufffd" if 0xD800 <= code < 0xE000 else text[i])
        i += 1
    return "".join(out)


def test_surrogates_are_repaired():
    dice = random.Random(3)
    alphabet = [
        "\ud800",
        "\ud83d",
        "\udbff",
        "\udc00",
        "\ude00",
        "\udfff",
        "a",
        " ",
        "é",
        "🙂",
        "\ud7ff",
        "\ue000",
        "\ufeff",
    ]
    for _ in range(5000):
        text = "".join(dice.choices(alphabet, k=dice.randrange(12)))
        assert clean(text, 0) == repaired(text), ascii(text)


def test_every_lone_surrogate(tiny_model):
    texts = [f"a{chr(code)}b" for code in range(0xD800, 0xE000)]
    assert ids(tiny_model.tokenize(texts)) == ids(tiny_model.tokenize(["ab"])) * 2048  # U+FFFD is cleaned away


@pytest.mark.parametrize("bad", ["\ud83d", "a\udc00b", "x" * 5000 + "\ud800", "\ud83d\ude00 \ude00"])
def test_other_texts_of_the_batch_are_unaffected(tiny_model, bad):
    alone, others = tiny_model.tokenize(TEXTS), [*TEXTS[:3], bad, *TEXTS[3:]]
    together = tiny_model.tokenize(others)
    assert ids(together)[:3] + ids(together)[4:] == ids(alone)
    assert ids(together)[3] == ids(tiny_model.tokenize([repaired(bad)]))[0]
    place = next(i for i, c in enumerate(bad) if "\ud800" <= c <= "\udfff")
    with pytest.raises(InputError, match=rf"texts\[3\] has a surrogate at character {place};"):
        tiny_model.tokenize(others, errors="strict")
    assert ids(tiny_model.tokenize(TEXTS, errors="strict")) == ids(alone)


@pytest.mark.parametrize("item", [1, 1.5, b"a", bytearray(b"a"), ["a"], ("a",), {"a"}, object()])
def test_items_that_are_no_text(tiny_model, item):
    with pytest.raises(InputTypeError, match=rf"texts\[2\] is {type(item).__name__}, not str"):
        tiny_model.tokenize(["a", "b", item, "c"])


# ---- tokenizers ----

CLS, SEP = (("[CLS]", 2), ("[SEP]", 3))


def word_level():
    tokenizer = Reference(models.WordLevel({word: i for i, word in enumerate(tiny.VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


TEMPLATES = ["$A", "[CLS] $A", "$A [SEP]", "[CLS] $A [SEP]", "[CLS] [CLS] $A [SEP]", "[CLS] $A [SEP] [SEP] [SEP]"]


@pytest.mark.fuzz
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("make", [word_level, tiny.tiny_tokenizer], ids=["word level", "BERT"])
def test_special_tokens_before_and_after(folder, make, template):
    tiny.take_tokenizer_as_it_is(folder)
    tokenizer = make()
    tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=[CLS, SEP])
    tokenizer.save(str(folder / "tokenizer.json"))
    n_special = template.count("[")
    texts = [text for text in TEXTS if text.strip()]  # without special tokens, an empty text has no tokens at all
    for limit in range(n_special + 1, 40, 1 if examples.FULL else 7):
        found = Embedder.load(folder, max_seq_length=limit).tokenize(texts)
        assert ids(found) == [encoding.ids for encoding in reference(folder, limit).encode_batch(texts)], limit
    with pytest.raises(MinembedError, match="max_seq_length"):
        Embedder.load(folder, max_seq_length=n_special)


def test_an_empty_text_without_special_tokens(folder):
    tiny.take_tokenizer_as_it_is(folder)
    word_level().save(str(folder / "tokenizer.json"))
    model = Embedder.load(folder)
    with pytest.raises(MinembedError, match=r"texts\[1\]"):
        model.tokenize(["cat", " ", "dog"])


@pytest.mark.parametrize("lowercase", [False, True])
def test_lower_case_first(folder, lowercase):
    cased = tiny.tiny_tokenizer()
    cased.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    cased.save(str(folder / "tokenizer.json"))
    tiny.write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "strip_accents": False})
    tiny.write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": lowercase})
    texts = ["A CAT", "The Dog", "İX", "Cat " * 2000, "[MASK] X"]
    expected = [text.lower().replace("[mask]", "[MASK]") for text in texts] if lowercase else texts
    found = ids(Embedder.load(folder).tokenize(texts))
    assert found == [encoding.ids for encoding in reference(folder, 64).encode_batch(expected)]


def test_the_limit_and_the_padding_of_the_file_are_left_aside(tiny_checkpoint, tiny_model):
    layout = json.loads((tiny_checkpoint / "tokenizer.json").read_text())
    assert layout["truncation"]["max_length"] == layout["padding"]["strategy"]["Fixed"] == 8
    assert tiny_model.tokenize(["cat", "cat " * 20]).lengths().tolist() == [3, 22]


def test_threads_share_a_tokenizer(tiny_model):
    expected = ids(tiny_model.tokenize(TEXTS * 20))
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(lambda _: ids(tiny_model.tokenize(TEXTS * 20)), range(8)))


# ---- tokenizer.json ----


DAMAGE = {
    "empty": lambda text: "",
    "cut in half": lambda text: text[: len(text) // 2],
    "cut at the end": lambda text: text[:-1],
    "an empty list": lambda text: "[]",
    "an empty object": lambda text: "{}",
    "null": lambda text: "null",
    "in a list": lambda text: f"[{text}]",
    "nested lists": lambda text: "[" * 100_000,
    "nested objects": lambda text: '{"a":' * 100_000,
    "not JSON": lambda text: text.replace('"model"', '"model", "x"'),
    "UTF-16": lambda text: text.encode("utf-16"),
    "another model": lambda text: text.replace("WordPiece", "Word"),
    "a Git LFS pointer": lambda text: "version https://git-lfs.github.com/spec/v1\n",
    "a web page": lambda text: "<html></html>",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files(folder, damage):
    path = folder / "tokenizer.json"
    damaged = damage(path.read_text())
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.raises(TokenizationError) as caught:
        Embedder.load(folder)
    assert str(path) in str(caught.value)


def test_a_folder_in_place_of_the_file(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(TokenizationError, match=r"tokenizer\.json"):
        Embedder.load(folder)
    (folder / "tokenizer.json").mkdir()
    with pytest.raises(TokenizationError, match=r"tokenizer\.json"):
        Embedder.load(folder)


def change(folder, edit):
    layout = json.loads((folder / "tokenizer.json").read_text())
    edit(layout)
    (folder / "tokenizer.json").write_text(json.dumps(layout))


WRONG = {
    "an id beyond the model": lambda t: t["model"]["vocab"].update(extra=len(tiny.VOCABULARY)),
    "a special id beyond the model": lambda t: t["post_processor"]["special_tokens"]["[SEP]"].update(ids=[99_999]),
    "a type of special tokens beyond the model": lambda t: t["post_processor"]["single"][0]["SpecialToken"].update(
        type_id=2
    ),
    "a type beyond the model": lambda t: t["post_processor"]["single"][1]["Sequence"].update(type_id=2),
    "a type beyond int32": lambda t: t["post_processor"]["single"][1]["Sequence"].update(type_id=1 << 31),
    "a special token that is not explained": lambda t: t["post_processor"]["special_tokens"].pop("[SEP]"),
    "no unknown token": lambda t: t["model"]["vocab"].pop("[UNK]"),
}


@pytest.mark.parametrize("edit", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("text", ["a Ω cat", "Ω " * 3000, ""])
def test_ids_and_types_that_the_model_does_not_have(folder, edit, text):
    """Refused when it is loaded, or else when a text shows it; never an index error."""
    tiny.take_tokenizer_as_it_is(folder)
    change(folder, edit)
    if edit is WRONG["no unknown token"]:
        change(folder, lambda t: t["added_tokens"].clear())
    try:
        vectors = Embedder.load(folder).encode([text], truncation="silent")
    except MinembedError:
        return
    assert not text and np.isfinite(vectors).all()
