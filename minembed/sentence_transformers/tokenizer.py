"""The tokenizer of a model, with those methods of the reference's tokenizer that scripts call."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minembed.errors import InputError, InputTypeError, UnsupportedAttributeError, UnsupportedCallError
from minembed.runtime.columns import as_texts
from minembed.runtime.json_files import optional_json
from minembed.sentence_transformers.tensors import as_array, check_device, need_torch, tensor
from minembed.text.settings import ask
from minembed.text.tokenizer import clean
from minembed.transformer.tokens import Tokens
from minembed.types import Array

INSTEAD = "minembed's tokenizer has tokenize, encode, decode, get_vocab, convert_ids_to_tokens and a call for texts"
SPECIAL = {  # and their usual names, if no file names them
    "pad_token": ("[PAD]", "<pad>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "unk_token": ("[UNK]", "<unk>"),
    "mask_token": ("[MASK]", "<mask>"),
    "bos_token": ("<s>",),
    "eos_token": ("</s>",),
}


def padded(arrays: Sequence[Array], value: float, side: str = "right") -> Array:  # of (T_i, ...) -> (B, T, ...)
    """Stack arrays of different lengths into one, padded with a value.

    >>> padded([np.array([1]), np.array([2, 3])], 0).tolist()
    [[1, 0], [2, 3]]
    """
    longest = max(map(len, arrays))
    out = np.full((len(arrays), longest, *arrays[0].shape[1:]), value, arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
        row[slice(longest - len(array), None) if side == "left" else slice(len(array))] = array
    return out


class Features(dict[str, Any]):
    """The result of a tokenizer: arrays by name, also as attributes.

    >>> Features(input_ids=[[1]]).to("cpu").input_ids
    [[1]]
    """

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise UnsupportedAttributeError(f"the features have no {name}: they have {', '.join(self)}")
        return self[name]

    def to(self, device: Any) -> "Features":
        """Return the features unchanged; raises InputError for a device other than the CPU."""
        check_device(device)
        return self


class ModelTokenizer:
    """The object behind `model.tokenizer`: tokenizes texts as the model does."""

    def __init__(self, tokenizer: Any, folder: Any, padding_side: str | None = None) -> None:
        self._own = tokenizer
        self._reference = tokenizer.reference
        settings = optional_json(folder / "special_tokens_map.json") | optional_json(folder / "tokenizer_config.json")
        named: dict[str, Any] = {}
        for name, usual in SPECIAL.items():
            known = next((token for token in usual if self._reference.token_to_id(token) is not None), None)
            found = settings.get(name, known)
            named[name] = found.get("content") if isinstance(found, dict) else found
        self.padding_side = padding_side or settings.get("padding_side", "right")
        vars(self).update(named | {"_is_ready": True})

    def __setattr__(self, name: str, value: Any) -> None:
        if "_is_ready" in vars(self):  # this is a view: nothing would change
            remedy = {
                "model_max_length": "set max_seq_length of the model",
                "padding_side": "load the model with processor_kwargs={'padding_side': ...}",
            }.get(name, "edit tokenizer_config.json of the model's folder, and load it")
            raise UnsupportedAttributeError(f"tokenizer.{name} cannot be set here: {remedy}")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_token_id") and name[:-3] in SPECIAL:
            token = getattr(self, name[:-3])
            return None if token is None else self._reference.token_to_id(token)
        raise UnsupportedAttributeError(f"tokenizer.{name} is not supported: {INSTEAD}")

    def __len__(self) -> int:
        return int(self._reference.get_vocab_size(True))

    def __repr__(self) -> str:
        return f"ModelTokenizer({self.vocab_size} words, {self.model_max_length} tokens)"

    @property
    def model_max_length(self) -> int:
        """The number of tokens that the model reads at most."""
        return int(self._own.max_seq_length)

    @property
    def vocab_size(self) -> int:
        """The number of words in the vocabulary, without added tokens."""
        return int(self._reference.get_vocab_size(False))

    def get_vocab(self) -> dict[str, int]:
        """Every word with its id."""
        return dict(self._reference.get_vocab(True))

    def tokenize(self, text: str, **kwargs: Any) -> list[str]:
        """Split a text into tokens, without special tokens."""
        _no_options("tokenize", kwargs)
        return list(ask(self._reference.encode, _clean([text], "text")[0], None, False, False).tokens)

    def encode(self, text: str, text_pair: str | None = None, add_special_tokens: bool = True, **kwargs: Any) -> Any:
        """The ids of a text."""
        return self(text, text_pair, add_special_tokens=add_special_tokens, **kwargs)["input_ids"]

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **kwargs: Any) -> Any:
        """The text of ids; for several lists of ids, a list of texts."""
        _no_options("decode", kwargs)
        several = token_ids if isinstance(token_ids, list | tuple) else np.atleast_1d(as_array(token_ids, "ids"))
        if any(np.ndim(ids) for ids in several):
            return [self.decode(ids, skip_special_tokens) for ids in several]
        return str(self._reference.decode(_ids(token_ids), skip_special_tokens=skip_special_tokens))

    def convert_ids_to_tokens(self, ids: Any) -> Any:
        """The word of an id, or a list for several ids."""
        words = [self._reference.id_to_token(i) for i in _ids(ids)]
        return words if np.ndim(ids) else words[0]

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a word, or a list for several; an unknown word has the id of the unknown token."""
        if isinstance(tokens, str):
            found = self._reference.token_to_id(tokens)
            return self.unk_token_id if found is None else found
        return [self.convert_tokens_to_ids(token) for token in as_texts(tokens, "tokens")]

    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str | None = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> Features:
        """Tokenize one text or several, alone or in pairs: input_ids, token_type_ids and attention_mask.

        `max_length` alone truncates texts, as `truncation=True` does.  Raises InputError if the numbers of texts and
        pairs differ, and InputTypeError for something else than texts.
        """
        _no_options("the call", kwargs)
        alone = isinstance(text, str)
        second = [text_pair] if alone and isinstance(text_pair, str) else text_pair
        texts, pairs = _sides([text] if alone else text, second)
        strategy = _padding(padding)
        cut = _truncation(truncation, strategy, max_length, pairs) and bool(texts)
        if cut and not add_special_tokens:
            raise UnsupportedCallError("truncation with add_special_tokens=False is not supported: cut the ids")
        rows = self._cut(texts, pairs, max_length) if cut else self._whole(texts, pairs, add_special_tokens)
        features = self._features(rows, strategy, max_length)
        if return_tensors in ("pt", "np"):
            arrays = _arrays(features)
            if return_tensors == "np":
                return Features(arrays)
            need_torch("return_tensors='pt'")
            return Features({name: tensor(value) for name, value in arrays.items()})
        if return_tensors is not None:
            raise UnsupportedCallError(f"return_tensors={return_tensors!r} is not supported: 'pt', 'np' or None")
        return Features({name: value[0] for name, value in features.items()} if alone else features)

    def _whole(self, texts: list[str], pairs: list[str] | None, special: bool) -> list[tuple[list[int], list[int]]]:
        inputs = texts if pairs is None else list(zip(texts, pairs, strict=True))
        return [(e.ids, e.type_ids) for e in ask(self._reference.encode_batch, inputs, False, special)]

    def _cut(self, texts: list[str], pairs: list[str] | None, limit: int | None) -> list[tuple[list[int], list[int]]]:
        own = self._own if limit is None else self._own.with_limit(limit)
        tokens: Tokens = own(texts) if pairs is None else own.pairs(texts, pairs)
        bounds = tokens.cu_seqlens[1:-1]
        split = zip(np.split(tokens.ids, bounds), np.split(tokens.types, bounds), strict=True)
        return [(ids.tolist(), types.tolist()) for ids, types in split]

    def _features(self, rows: list[tuple[list[int], list[int]]], padding: str, limit: int | None) -> dict[str, Any]:
        ids, types = [ids for ids, _ in rows], [types for _, types in rows]
        mask = [[1] * len(row) for row in ids]
        if padding != "do_not_pad":
            fills = (self.pad_token_id or 0, 0, 0)
            longest = max(map(len, ids), default=0) if padding == "longest" else limit or self.model_max_length
            for column, fill in zip((ids, types, mask), fills, strict=True):
                for i, row in enumerate(column):
                    more = [fill] * (longest - len(row))
                    column[i] = more + row if self.padding_side == "left" else row + more
        features = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}
        if not self._own.has_types:
            del features["token_type_ids"]
        return features


def _sides(text: Any, text_pair: Any) -> tuple[list[str], list[str] | None]:
    """The texts, and the second texts if there are any, which come as `text_pair` or as pairs in `text`."""
    if text_pair is None and isinstance(text, list | tuple) and any(isinstance(each, list | tuple) for each in text):
        if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in text):
            raise InputTypeError("text must be texts, or pairs of two texts: give all in one form")
        text, text_pair = [first for first, _ in text], [second for _, second in text]
    texts = _clean(text, "text")
    pairs = None if text_pair is None else _clean(text_pair, "text_pair")
    if pairs is not None and len(pairs) != len(texts):
        raise InputError(f"each text needs its pair: {len(texts)} texts, {len(pairs)} in text_pair")
    return texts, pairs


def _clean(texts: Any, name: str) -> list[str]:
    """Texts without lone surrogates, which are replaced."""
    return [clean(text, i, "replace", name) for i, text in enumerate(as_texts(texts, name))]


def _ids(values: Any) -> list[int]:
    found = as_array(values, "ids")
    if found.size and (found.dtype.kind not in "iu" or found.min() < 0):
        raise InputError(f"ids must be whole numbers from 0; got {values!r}")
    return [int(i) for i in found.reshape(-1)]


def _padding(padding: bool | str | None) -> str:
    """The name of the padding strategy.

    >>> _padding(True), _padding(False)
    ('longest', 'do_not_pad')
    """
    names = {True: "longest", False: "do_not_pad", None: "do_not_pad"}
    strategy = padding if isinstance(padding, str) else names.get(padding)
    if strategy not in ("longest", "max_length", "do_not_pad"):
        raise InputError(f"padding must be True, False, 'longest', 'max_length' or 'do_not_pad'; not {padding!r}")
    return strategy


def _truncation(truncation: bool | str | None, padding: str, limit: int | None, pairs: object) -> bool:
    """Whether texts are truncated; if `truncation` is not given, a limit without padding means yes.

    >>> _truncation(None, "do_not_pad", 8, None), _truncation("do_not_truncate", "do_not_pad", 8, None)
    (True, False)
    """
    if truncation is None:
        return limit is not None and padding == "do_not_pad"
    if truncation in ("only_first", "only_second") and not (truncation == "only_first" and pairs is None):
        raise UnsupportedCallError(
            f"truncation={truncation!r} is not supported: 'longest_first' cuts the longer of two texts"
        )
    if truncation in (False, "do_not_truncate"):
        return False
    if truncation not in (True, "longest_first", "only_first"):
        raise InputError(f"truncation must be True, False, 'longest_first' or 'do_not_truncate'; not {truncation!r}")
    return True


def _arrays(features: dict[str, Any]) -> dict[str, Array]:
    if len(set(map(len, features["input_ids"]))) > 1:
        raise InputError("texts of different lengths make no arrays: say padding=True")
    return {name: np.asarray(value, np.int64) for name, value in features.items()}


def _no_options(what: str, options: dict[str, Any]) -> None:
    if options:
        raise UnsupportedCallError(f"{what} of the tokenizer takes no {', '.join(options)}: {INSTEAD}")
