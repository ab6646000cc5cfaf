"""Damaged tokenizers of every kind: each loads with the reference's numbers, or is refused by a named error."""

import copy
import json
import random

import faults
import pytest
import tokenizer_kinds as kinds
from examples import heavy, thinned
from tokenizers import Tokenizer as Reference

from minembed.errors import ConfigError, MinembedError, TokenizationError, UnsupportedModelError
from minembed.text.tokenizer import Tokenizer

TEXTS = ["", "a", "The baker opened the oven before sunrise, and the whole street smelled of rye.", " the  cat "]
TEXTS += [
    "a <mask> b [MASK] c <s> [SEP] <|endoftext|> d",
    "Größe 東京 ﬁne e\u0301\u200d🙂\n\n don't",
    "x" * 120,
    "\ufffd\0",
]
WITH_JSON = [kind for kind in kinds.KINDS if not kind.startswith("vocab-")]
OLDER = [kind for kind in kinds.KINDS if kind.startswith("vocab-")]


def ids(tokens):
    """The ids of each text, as lists."""
    return [tokens.ids[a:b].tolist() for a, b in zip(tokens.cu_seqlens[:-1], tokens.cu_seqlens[1:], strict=True)]


def outcome(path, kind, sides=None):
    """What our tokenizer makes of the texts, or the error that it names."""
    found = []
    for limit in (2048, 9):
        tokenizer = Tokenizer.load(path, limit, kinds.config(kind))
        for text in TEXTS:
            try:
                found.append((limit, (text,), ids(tokenizer([text]))[0]))
            except MinembedError as e:
                assert str(e)
        try:
            own = ids(tokenizer.pairs(*zip(*sides, strict=True)))
            found += [(limit, *both) for both in zip(sides, own, strict=True)]
        except MinembedError as e:
            assert str(e)
    return found


def assert_like_the_reference(path, found):
    reference = Reference.from_file(str(path))
    direction = (reference.truncation or {}).get("direction", "right").lower()
    reference.no_padding()
    for limit, texts, own in found:
        reference.enable_truncation(limit, direction=direction)
        assert own == reference.encode(*texts).ids, (limit, texts)


STRANGE = copy.deepcopy(faults.STRANGE)


def damage(dice, content):
    """Damage a JSON file, by the seed alone: a strange value that another seed has damaged is whole again."""
    faults.STRANGE[:] = copy.deepcopy(STRANGE)
    try:
        return faults.mutate_json(dice, content)
    except ValueError:  # a value was put into itself
        return b"{}"


def mutate(kind, folder, seeds):
    """Damage tokenizer.json once for each seed, and say how many were refused."""
    content, path = kinds.golden(kind)["files"]["tokenizer.json"], folder / "tokenizer.json"
    sides = list(zip(TEXTS, TEXTS[2:] + TEXTS[:2], strict=True))
    refused = 0
    for seed in seeds:
        damaged = damage(random.Random(f"{kind} {seed}"), content)
        path.write_bytes(damaged.replace(kinds.CHARSMAP.encode(), kinds.charsmap().encode()))
        try:
            found = outcome(path, kind, sides)
        except MinembedError as e:
            assert str(e)
            refused += 1
            continue
        assert_like_the_reference(path, found)
    return refused


@pytest.mark.parametrize("number", [50, *heavy([300])])
@pytest.mark.parametrize("kind", thinned(WITH_JSON, 2))
def test_damaged_tokenizer_json(tmp_path, kind, number):
    assert 30 < mutate(kind, tmp_path, range(number)) * 300 / number < 290


@pytest.mark.slow
@pytest.mark.parametrize("kind", WITH_JSON)
def test_many_damaged_tokenizer_json(tmp_path, kind, amount):
    mutate(kind, tmp_path, amount.seeds(range(1000, 6000)))


def mutate_older(kind, folder, seeds):
    """Damage one of the older files, or tokenizer_config.json, once for each seed."""
    files = kinds.golden(kind)["files"]
    for seed in seeds:
        dice = random.Random(f"{kind} {seed}")
        kinds.write_files(files, folder)
        name = dice.choice(sorted({*files, "tokenizer_config.json"} - {"config.json"}))
        content = files.get(name, '{"do_lower_case": true, "cls_token": {"content": "<s>", "lstrip": true}}')
        if name.endswith(".json"):
            damaged = damage(dice, content)
        else:
            data, at = bytearray(content.encode()), dice.randrange(len(content))
            data[at : at + dice.choice([0, 1, 20, len(data)])] = dice.choice([b"\n", b"\xff", b"", b" a", b"[UNK]\n"])
            damaged = bytes(data)
        (folder / name).write_bytes(damaged)
        try:
            tokenizer = Tokenizer.load(folder / "tokenizer.json", 64, kinds.config(kind))
            found = tokenizer(TEXTS[2:])
        except MinembedError as e:
            assert str(e)
            continue
        assert found.ids.max() < kinds.golden(kind)["vocab_size"] and (found.lengths() >= 2).all()


@pytest.mark.parametrize("number", [40, *heavy([100])])
@pytest.mark.parametrize("kind", OLDER)
def test_damaged_older_files(tmp_path, kind, number):
    mutate_older(kind, tmp_path, range(number))


@pytest.mark.slow
@pytest.mark.parametrize("kind", OLDER)
def test_many_damaged_older_files(tmp_path, kind, amount):
    mutate_older(kind, tmp_path, amount.seeds(range(1000, 3000)))


def edited(kind, folder, change):
    layout = json.loads(kinds.golden(kind)["files"]["tokenizer.json"])
    change(layout)
    kinds.write_files({"tokenizer.json": json.dumps(layout)}, folder)
    return folder / "tokenizer.json"


@pytest.mark.parametrize("prefix", ["\0", "##", "▁▁▁"])
def test_a_prefix_that_merges_lack(tmp_path, prefix):
    """The reference would cut characters apart, and end the process."""
    path = edited("gemma", tmp_path, lambda layout: layout["model"].update(continuing_subword_prefix=prefix))
    with pytest.raises(TokenizationError, match=r"tokenizer\.json.*lacks the continuing_subword_prefix"):
        Tokenizer.load(path, 64, kinds.config("gemma"))


def test_dropout_is_refused(tmp_path):
    path = edited("roberta", tmp_path, lambda layout: layout["model"].update(dropout=0.1))
    with pytest.raises(UnsupportedModelError, match=r"tokenizer\.json: its dropout"):
        Tokenizer.load(path, 64, kinds.config("roberta"))


def test_a_text_that_stands_twice(tmp_path):
    def twice(layout):
        layout["post_processor"]["single"] *= 2

    with pytest.raises(ConfigError, match="post_processor"):
        Tokenizer.load(edited("bert", tmp_path, twice), 64, kinds.config("bert"))


def test_pairs_without_a_place(tmp_path):
    def alone(layout):
        layout["post_processor"]["pair"] = layout["post_processor"]["single"]

    tokenizer = Tokenizer.load(edited("bert", tmp_path, alone), 64, kinds.config("bert"))
    with pytest.raises((ConfigError, TokenizationError)):
        tokenizer.pairs(["a"], ["b"])
