"""Folders whose files say more of tokens than tokenizer.json does: the ids of transformers, or a refusal by name."""

import json

import pytest
import saved_tokenizers as saved
import tokenizer_kinds as kinds

from minembed.errors import ConfigError, TokenizationError, UnsupportedModelError
from minembed.text import tokenizer as tokens
from minembed.text.tokenizer import Tokenizer
from minembed.transformer.config import Config

SAME = [
    "decoder that is empty",
    "decoder with other flags for bert",
    "ends by flags",
    "of no effect",
    "sides and limits",
]


def load(folder, name, limit=2048):
    """Our tokenizer of a case."""
    kinds.write_files(saved.files(name), folder)
    config: Config = kinds.config(saved.CASES[name][0], vocab_size=4096)
    return Tokenizer.load(folder / "tokenizer.json", limit, config)


def lists(found):
    """The ids of each text."""
    return [found.ids[a:b].tolist() for a, b in zip(found.cu_seqlens[:-1], found.cu_seqlens[1:], strict=True)]


@pytest.mark.parametrize("name", [name for name in saved.CASES if name not in saved.REFUSED])
def test_ids_are_those_of_transformers(tmp_path, name):
    tokenizer, golden = load(tmp_path, name), saved.goldens()[name]
    at = [i for i, ids in enumerate(golden["ids"]) if ids]  # a text without any token is refused here
    assert lists(tokenizer([saved.TEXTS[i] for i in at])) == [golden["ids"][i] for i in at]
    assert lists(tokenizer.pairs(saved.TEXTS[1:], saved.TEXTS[:-1])) == golden["pairs"]


@pytest.mark.parametrize("name", saved.REFUSED)
def test_what_is_refused_says_which_setting(tmp_path, name):
    with pytest.raises(UnsupportedModelError, match=rf"tokenizer_config\.json: {saved.REFUSED[name]}"):
        load(tmp_path, name)


def test_the_files_change_ids():
    """The goldens would be met by nobody who leaves these files out."""
    plain = saved.goldens()["of no effect"]["ids"]
    of_bert = {
        name: golden["ids"] != plain for name, golden in saved.goldens().items() if saved.CASES[name][0] == "bert"
    }
    assert sorted(name for name, changed in of_bert.items() if not changed) == SAME


@pytest.mark.parametrize(
    "name", ["decoder", "decoder of roberta", "decoder of xlm-roberta", "special tokens are split"]
)
def test_long_texts_are_cut_as_whole_ones(tmp_path, monkeypatch, name):
    tokenizer = load(tmp_path, name, 40)
    texts = [f"{text} {word} " * 900 for text in ("oven [MASK] a", "b, ") for word in ("[NEW1]", "<new2>", "[SEP]")]
    found = lists(tokenizer(texts))
    monkeypatch.setattr(tokens, "TRUNCATE_FROM", 1 << 40)
    assert lists(tokenizer(texts)) == found


BAD = {
    "a decoder that is a list": ({"added_tokens_decoder": []}, "added_tokens_decoder must map ids"),
    "an id that is no number": ({"added_tokens_decoder": {"a": saved.NEW}}, "added_tokens_decoder must map ids"),
    "a token that is a number": ({"added_tokens_decoder": {"9": 3}}, "added_tokens_decoder must be text"),
    "an empty token": ({"extra_special_tokens": [""]}, "extra_special_tokens must be text"),
    "a mask that is a number": ({"mask_token": 3}, "mask_token must be text"),
    "splitting by a word": ({"split_special_tokens": "yes"}, "split_special_tokens must be true or false"),
    "an unknown token that is none": ({"unk_token": "[NEW1]"}, r"unk_token '\[NEW1\]' is not in the vocabulary"),
}


@pytest.mark.parametrize(("settings", "words"), BAD.values(), ids=BAD)
def test_settings_that_cannot_be(tmp_path, settings, words):
    load(tmp_path, "of no effect")
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({"tokenizer_class": "BertTokenizer"} | settings), encoding="utf-8")
    with pytest.raises((TokenizationError, ConfigError), match=rf"tokenizer_config\.json: {words}"):
        Tokenizer.load(tmp_path / "tokenizer.json", 64, kinds.config("bert"))
