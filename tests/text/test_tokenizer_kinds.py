"""Tokenizers of every kind, with tokenizer.json and without: ids, types and pairs are those of transformers."""

import json

import corpus
import numpy as np
import pytest
import tokenizer_kinds as kinds
from examples import heavy
from tokenizers import Tokenizer as Reference
from tokenizers import normalizers

from minembed.errors import ConfigError, InputError, InputTypeError, TokenizationError, UnsupportedModelError
from minembed.text import tokenizer as tokens
from minembed.text.tokenizer import Tokenizer

# transformers 5 gives these no types unless the model's files ask for them; 4, with which models were trained, does
UNTYPED = ("AlbertTokenizer", "TokenizersBackend")


def lists(tokens, values):
    """The values of each text, as lists."""
    return [part.tolist() for part in np.split(values, tokens.cu_seqlens[1:-1])] if len(tokens) else []


def assert_as_golden(found, expected, name=""):
    for i, (own, theirs) in enumerate(zip(lists(found, found.ids), expected["ids"], strict=True)):
        assert own == theirs, (name, i)
    types = expected["types"] or [[0] * len(ids) for ids in expected["ids"]]
    assert lists(found, found.types) == types


def texts_of(kind):
    """The texts of a kind; without special tokens, an empty text has no tokens at all."""
    golden, texts = kinds.golden(kind), kinds.texts()
    assert golden["corpus"] == corpus.digest(texts + [side for pair in kinds.pairs() for side in pair])
    return golden, texts


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_whole_texts(tmp_path, kind):
    golden, texts = texts_of(kind)
    found = kinds.load(kind, tmp_path)(texts)
    assert_as_golden(found, golden["whole"] if golden["type_vocab_size"] > 1 else golden["whole"] | {"types": None})
    assert not found.truncated.any() and not found.lower_bound.any()
    assert found.n_tokens.tolist() == found.lengths().tolist()


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_cut_texts(tmp_path, kind):
    golden, texts = texts_of(kind)
    whole = np.array([len(ids) for ids in golden["whole"]["ids"]])
    for limit, expected in golden["cut"].items():
        found = kinds.load(kind, tmp_path, int(limit))(texts)
        assert lists(found, found.ids) == expected, limit
        assert found.truncated.tolist() == (whole > int(limit)).tolist()
        assert found.n_tokens.tolist() == whole.tolist()


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_pairs(tmp_path, kind):
    golden, _ = texts_of(kind)
    sides = list(zip(*kinds.pairs(), strict=True))
    whole = np.array([len(ids) for ids in golden["pairs"]["10000"]["ids"]])
    for limit, expected in golden["pairs"].items():
        found = kinds.load(kind, tmp_path, int(limit))
        found = found.pairs(*sides)
        types = expected["types"] if golden["type_vocab_size"] > 1 else None
        if golden["class"] in UNTYPED and golden["type_vocab_size"] > 1:
            types = lists(found, found.types)
            assert {t for text in types for t in text} == {0, 1}
        assert_as_golden(found, {"ids": expected["ids"], "types": types}, limit)
        assert found.truncated.tolist() == (whole > int(limit)).tolist()
        assert found.n_tokens.tolist() == whole.tolist() and not found.lower_bound.any()


# ---- what the files say beside the vocabulary ----


def edit(folder, name, **changes):
    path = folder / name
    value = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(value | changes), encoding="utf-8")


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_padding_and_the_limit_of_the_files_change_nothing(tmp_path, kind):
    tokenizer = kinds.load(kind, tmp_path, 17)
    texts, path = kinds.texts(), tmp_path / "tokenizer.json"
    sides = kinds.golden(kind)["cut"]["17"]
    assert lists(tokenizer(texts), tokenizer(texts).ids) == sides
    if not path.exists():
        path.write_text(tokenizer.reference.to_str(), encoding="utf-8")  # the older files, converted
    token = json.loads(path.read_text(encoding="utf-8"))["added_tokens"][0]
    pad = {"strategy": {"Fixed": 30}, "pad_to_multiple_of": 8, "pad_id": token["id"], "pad_type_id": 1}
    side = "Left" if kind == "bert-left" else "Right"
    cut = {"direction": side, "max_length": 4, "strategy": "OnlyFirst", "stride": 1}
    edit(
        tmp_path, "tokenizer.json", padding={**pad, "direction": "Left", "pad_token": token["content"]}, truncation=cut
    )
    edit(tmp_path, "tokenizer_config.json", padding_side="left", model_max_length=4)
    found = Tokenizer.load(path, 17, kinds.config(kind))(texts)
    assert lists(found, found.ids) == sides


@pytest.mark.parametrize("limits", [(9,), *heavy([((6, 30),)])])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", *heavy(["roberta", "qwen"])])
def test_cut_from_the_left(tmp_path, kind, limits):
    kinds.load(kind, tmp_path)
    edit(tmp_path, "tokenizer_config.json", truncation_side="left")
    path = tmp_path / "tokenizer.json"
    reference = Reference.from_file(str(path))
    for limit in limits:
        tokenizer = Tokenizer.load(path, limit, kinds.config(kind))
        reference.enable_truncation(limit, direction="left")
        texts = [*kinds.texts(), "a word " * 640]  # too long to be tokenized whole
        found = tokenizer(texts)
        assert lists(found, found.ids) == [encoding.ids for encoding in reference.encode_batch(texts)]
        found = tokenizer.pairs(*zip(*kinds.pairs(), strict=True))
        assert lists(found, found.ids) == [encoding.ids for encoding in reference.encode_batch(kinds.pairs())]
    edit(tmp_path, "tokenizer_config.json", truncation_side="middle")
    with pytest.raises(ConfigError, match=r"tokenizer_config\.json: truncation_side must be left or right: 'middle'"):
        Tokenizer.load(path, 9, kinds.config(kind))


SPECIALS = "<s> </s> <mask> [MASK] [CLS] [SEP] <pad> <unk> <|endoftext|> <bos>".split()
FIVE = ["bert", "roberta", "qwen", "xlm-roberta", "gemma"]  # WordPiece, two of byte-level BPE, Unigram, BPE of letters


@pytest.mark.parametrize("thousands", [1, *heavy([10])])
@pytest.mark.parametrize("kind", FIVE)
def test_spliced_strings(tmp_path, kind, thousands, amount):
    """Strings spliced of all sorts, whole and cut: the ids of `tokenizers` itself."""
    pieces = corpus.NAUGHTY + corpus.SENTENCES + corpus.ODD + SPECIALS
    strings, limit = corpus.spliced(amount.seed(33), pieces), 24
    own = kinds.load(kind, tmp_path, limit)
    reference = Reference.from_file(str(tmp_path / "tokenizer.json"))
    reference.no_padding()
    reference.enable_truncation(limit)
    for _ in range(amount.rounds(thousands, each=1000)):
        texts = [next(strings) for _ in range(1000)]
        expected = [encoding.ids for encoding in reference.encode_batch(texts)]
        found = lists(own(texts), own(texts).ids)
        wrong = [text for text, a, b in zip(texts, found, expected, strict=True) if a != b]
        assert not wrong, ascii(wrong[0])


@pytest.mark.parametrize("kind", ["roberta", "qwen", "xlm-roberta", "albert", "gemma", "word-level", "vocab-mpnet"])
def test_lower_case_first(tmp_path, kind):
    tokenizer, lowering = kinds.load(kind, tmp_path), kinds.load(kind, tmp_path, lowercase_first=True)
    lower = normalizers.Lowercase().normalize_str
    texts = [text for text in kinds.texts() if not any(c in text for c in "<[")]  # special tokens stay as they are
    assert lists(lowering(texts), lowering(texts).ids) == lists(
        tokenizer(list(map(lower, texts))), tokenizer(list(map(lower, texts))).ids
    )


@pytest.mark.parametrize("step", [32, *heavy([1])])
def test_lower_case_first_is_nothing_new_to_bert(step):
    """Where the normalizer lowers itself no other is put before it: the same for every character, those that change
    above all."""
    own, lower = normalizers.BertNormalizer(lowercase=True), normalizers.Lowercase()
    every = (*range(0xD800), *range(0xE000, 0x110000))
    for code in every if step == 1 else [c for c in every if c % step == 0 or chr(c).lower() != chr(c)]:
        text = f"a{chr(code)}b"
        assert own.normalize_str(lower.normalize_str(text)) == own.normalize_str(text), hex(code)


# ---- the model beside the tokenizer ----


@pytest.mark.parametrize("types", [0, 1])
@pytest.mark.parametrize("kind", ["bert", "mpnet", "roberta", "modernbert", "qwen", "xlm-roberta", "albert"])
def test_models_without_segments(tmp_path, kind, types):
    tokenizer = kinds.load(kind, tmp_path, type_vocab_size=types)
    assert not tokenizer(kinds.texts()).types.any()
    assert not tokenizer.pairs(*zip(*kinds.pairs(), strict=True)).types.any()


def test_types_that_are_not_asked_for(tmp_path):
    kinds.load("bert", tmp_path)
    for names, given in ((["input_ids", "attention_mask"], False), (["input_ids", "token_type_ids"], True)):
        edit(tmp_path, "tokenizer_config.json", model_input_names=names)
        tokenizer = Tokenizer.load(tmp_path / "tokenizer.json", 64, kinds.config("bert"))
        assert tokenizer.pairs(["a"], ["b"]).types.any() == given


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_more_embeddings_than_tokens(tmp_path, kind):
    golden = kinds.golden(kind)
    found = kinds.load(kind, tmp_path, vocab_size=golden["vocab_size"] + 100)(kinds.texts())
    assert lists(found, found.ids) == golden["whole"]["ids"]


def test_added_tokens_without_embeddings(tmp_path):
    """The tokenizer loads and serves; a text that holds such a token is refused with its place."""
    golden = kinds.golden("qwen")
    size = golden["vocab_size"] - 2  # <|im_start|> and <|im_end|> have no row
    tokenizer = kinds.load("qwen", tmp_path, vocab_size=size)
    assert tokenizer(["a b"]).ids.max() == size - 1
    with pytest.raises(TokenizationError, match=rf"texts\[12\] holds a token of the id {size + 1}, but .* {size}:"):
        tokenizer(["a", "b", "a <|im_end|> b", "c"], first_index=10)
    with pytest.raises(TokenizationError, match=r"queries\[1\] holds a token"):
        tokenizer.pairs(["a", "b"], ["c", "<|im_end|>"])
    with pytest.raises(ConfigError, match=rf"tokenizer\.json: token id {size - 1} is beyond vocab_size {size - 1}"):
        kinds.load("qwen", tmp_path, vocab_size=size - 1)  # now the closing token has none


def test_positions_of_roberta(tmp_path):
    """514 positions of which the first two are not used leave room for 512 tokens."""
    config = kinds.config("roberta", max_position_embeddings=514, padding_idx=1)
    kinds.write_files(kinds.golden("roberta")["files"], tmp_path)
    tokens = Tokenizer.load(tmp_path / "tokenizer.json", config.max_tokens, config)([" a" * 600, "a"])
    assert config.max_tokens == 512 and tokens.lengths().tolist() == [512, 3]
    assert tokens.ids[[0, 511]].tolist() == [0, 2] and tokens.n_tokens.tolist() == [602, 3]


def test_no_special_tokens_at_all(tmp_path):
    kinds.load("gemma", tmp_path)
    edit(tmp_path, "tokenizer.json", post_processor=None)
    tokenizer = Tokenizer.load(tmp_path / "tokenizer.json", 3, kinds.config("gemma"))
    whole = Reference.from_file(str(tmp_path / "tokenizer.json")).encode("The baker opened the oven").ids
    assert tokenizer(["The baker opened the oven"]).ids.tolist() == whole[:3]
    with pytest.raises(InputError, match=r"texts\[1\] has no tokens"):
        tokenizer(["a", ""])
    with pytest.raises(InputError, match=r"queries\[1\] has no tokens"):
        tokenizer.pairs(["a", ""], ["", ""])
    assert tokenizer.pairs(["The baker opened"], ["The oven"]).lengths().tolist() == [3]


# ---- pairs ----


def test_pairs_that_cannot_be(tmp_path):
    tokenizer = kinds.load("roberta", tmp_path, 6)
    assert tokenizer.pairs(["a a a"], ["a a a"]).lengths().tolist() == [6]
    assert len(tokenizer.pairs([], [])) == 0
    with pytest.raises(InputError, match="2 queries, 1 documents"):
        tokenizer.pairs(["a", "b"], ["c"])
    with pytest.raises(InputTypeError, match=r"documents\[1\] is int, not str"):
        tokenizer.pairs(["a", "b"], ["c", 1])
    with pytest.raises(InputError, match=r"queries\[0\] has a surrogate at character 1"):
        tokenizer.pairs(["a\ud800"], ["c"], errors="strict")
    with pytest.raises(ConfigError, match="max_seq_length 5 leaves no room for a pair"):
        kinds.load("roberta", tmp_path, 5).pairs(["a"], ["b"])


@pytest.mark.parametrize("limits", [(12,), *heavy([((31,),), ((13, 30),)])])
@pytest.mark.parametrize("kind", ["bert", "roberta", "qwen", "xlm-roberta-newer"])
def test_pairs_of_long_texts(tmp_path, monkeypatch, kind, limits):
    """Read in part where that is enough, and still cut as the whole texts are, whichever is longer."""
    sides = ["a b, " * n for n in (1, 6, 7, 8, 1000, 2000, 2001)] + ["a [SEP] <s> " * 1000, " " * 9000, "x" * 9000]
    pairs = list(zip(*((a, b) for a in sides for b in sides), strict=True))
    for limit in limits:
        found = kinds.load(kind, tmp_path, limit).pairs(*pairs)
        with monkeypatch.context() as patch:
            patch.setattr(tokens, "TRUNCATE_FROM", 1 << 40)
            whole = kinds.load(kind, tmp_path, limit).pairs(*pairs)
        assert found.ids.tolist() == whole.ids.tolist() and found.types.tolist() == whole.types.tolist()
        assert found.truncated.tolist() == whole.truncated.tolist() and (found.n_tokens <= whole.n_tokens).all()
        exact = ~found.lower_bound
        assert found.n_tokens[exact].tolist() == whole.n_tokens[exact].tolist() and not whole.lower_bound.any()


# ---- without tokenizer.json ----


def test_the_files_that_were_looked_for(tmp_path):
    with pytest.raises(TokenizationError) as caught:
        Tokenizer.load(tmp_path / "tokenizer.json", 8, kinds.config("bert"))
    assert all(name in str(caught.value) for name in (str(tmp_path), "tokenizer.json", "vocab.txt", "merges.txt"))


@pytest.mark.parametrize("name", ["sentencepiece.bpe.model", "spiece.model", "tokenizer.model"])
def test_sentencepiece_alone(tmp_path, name):
    (tmp_path / name).write_bytes(b"\n\x0e\n\x05<unk>")
    with pytest.raises(UnsupportedModelError, match=rf"{name}.*AutoTokenizer.*save_pretrained"):
        Tokenizer.load(tmp_path / "tokenizer.json", 8, kinds.config("xlm-roberta"))


@pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "BertweetTokenizer", "Qwen2Tokenizer"])
@pytest.mark.parametrize("kind", ["vocab-bert", "vocab-roberta"])
def test_other_classes_are_refused(tmp_path, kind, name):
    kinds.load(kind, tmp_path)
    edit(tmp_path, "tokenizer_config.json", tokenizer_class=name)
    with pytest.raises(UnsupportedModelError, match=rf"{name} cannot be built without.*save_pretrained"):
        Tokenizer.load(tmp_path / "tokenizer.json", 8, kinds.config(kind))


OLDER = {
    "no unknown token": ("vocab-bert", "vocab.txt", "[PAD]\n[CLS]\n[SEP]\na\n"),
    "empty": ("vocab-bert", "vocab.txt", ""),
    "not UTF-8": ("vocab-bert", "vocab.txt", b"[UNK]\n\xff\n"),
    "not JSON": ("vocab-roberta", "vocab.json", "{"),
    "a list": ("vocab-roberta", "vocab.json", "[]"),
    "no number": ("vocab-roberta", "vocab.json", '{"a": "b"}'),
    "a number far too large": ("vocab-roberta", "vocab.json", '{"a": 4294967295, "b": 3}'),
    "a merge of nothing": ("vocab-roberta", "merges.txt", "#version: 0.2\na\n"),
    "a merge of unknown pieces": ("vocab-roberta", "merges.txt", "#version: 0.2\nxx yy\n"),
    "added tokens without numbers": ("vocab-bert", "added_tokens.json", '{"x": "y"}'),
    "added tokens in a list": ("vocab-bert", "added_tokens.json", "[]"),
    "a special token that is no text": ("vocab-bert", "tokenizer_config.json", '{"cls_token": 3}'),
    "a special token that is a place": ("vocab-bert", "tokenizer_config.json", '{"cls_token": "$C:x"}'),
    "an empty special token": ("vocab-bert", "special_tokens_map.json", '{"cls_token": {"content": ""}}'),
    "case by a word": ("vocab-bert", "tokenizer_config.json", '{"do_lower_case": "yes"}'),
    "case by a number": ("bert", "tokenizer_config.json", '{"tokenizer_class": "BertTokenizer", "do_lower_case": 1}'),
    "a space by a number": ("vocab-roberta", "tokenizer_config.json", '{"add_prefix_space": 1}'),
    "settings in a list": ("bert", "tokenizer_config.json", "[]"),
    "settings cut short": ("bert", "tokenizer_config.json", "{"),
    "a configuration in a list": ("bert", "config.json", "[]"),
}


@pytest.mark.parametrize(("kind", "name", "content"), OLDER.values(), ids=OLDER)
def test_damaged_older_files(tmp_path, kind, name, content):
    kinds.load(kind, tmp_path)
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    place = "special_tokens_map|tokenizer_config" if "special" in name else name.partition(".")[0]
    with pytest.raises((TokenizationError, ConfigError), match=place):
        Tokenizer.load(tmp_path / "tokenizer.json", 64, kinds.config(kind))


def test_lines_of_a_vocabulary(tmp_path):
    """White space behind a piece does not belong to it, of two equal pieces the last counts, an empty line counts."""
    text = "[PAD]\r\n[UNK]\n[CLS] \n[SEP]\n[MASK]\na\n\nb\u3000\na\n\u2028c"
    (tmp_path / "vocab.txt").write_bytes(text.encode())
    tokenizer = Tokenizer.load(tmp_path / "tokenizer.json", 64, kinds.config("bert"))
    assert tokenizer(["a b c \u2028c"]).ids.tolist() == [2, 8, 7, 1, 1, 3]
