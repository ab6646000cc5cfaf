"""SentenceTransformer: the reference's interface over an Embedder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minembed.errors import InputError, InputTypeError, UnsupportedCallError
from minembed.models.changed import with_settings
from minembed.models.embedder import Embedder
from minembed.models.options import Options
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import as_texts
from minembed.sentence_transformers.base.arguments import as_batch, check_new_options, heeds_processing
from minembed.sentence_transformers.base.model import BaseModel
from minembed.sentence_transformers.base.pools import check_pool
from minembed.sentence_transformers.modules import parts_of
from minembed.sentence_transformers.renames import takes_old_names
from minembed.sentence_transformers.sentence_transformer.features import (
    by_text,
    computed,
    cut_in,
    features_of,
    pairs_in,
    read,
    states_of,
    tell_cut,
    vectors_of,
)
from minembed.sentence_transformers.settings import read_request
from minembed.sentence_transformers.stored import load_as_asked
from minembed.sentence_transformers.tensors import need_torch, tensor
from minembed.sentence_transformers.util.quantization import quantize_embeddings
from minembed.sentence_transformers.util.similarity import SimilarityFunction
from minembed.transformer.tokens import Tokens

OWN = ("truncation", "errors")  # options of `Embedder.encode` that are accepted in addition to the reference's


class SentenceTransformer(BaseModel):
    """A model that turns texts into vectors, with the reference's interface; minembed computes."""

    _default_prompts: ClassVar[dict[str, str]] = {"query": "", "document": ""}
    default_huggingface_organization: ClassVar[str | None] = "sentence-transformers"
    model_type: ClassVar[str] = "SentenceTransformer"
    SUPPORTED_SIMILARITY_FN_NAMES: ClassVar[tuple[str, ...]] = ("cosine", "dot", "euclidean", "manhattan")

    @takes_old_names(tokenizer_kwargs="processor_kwargs")
    def __init__(
        self,
        model_name_or_path: str | None = None,
        *,
        modules: list[Any] | None = None,
        device: str | None = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        use_auth_token: bool | str | None = None,
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        model_card_data: Any = None,
        backend: str = "torch",
        similarity_fn_name: str | SimilarityFunction | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        request = read_request(locals())
        self.trust_remote_code = trust_remote_code  # code of a repository is never run
        self._padding_side = request.padding_side
        limit = request.load.pop("max_seq_length", None)
        self._own: Embedder = load_as_asked(Embedder.load, request.name, request.load, lambda model: model.checkpoint)
        if limit is not None:
            self._set_limit(limit)
        saved = self._own.checkpoint
        self._take_prompts(prompts, default_prompt_name, saved.prompts, saved.default_prompt_name)
        self.truncate_dim: int | None = saved.truncate_dim if truncate_dim is None else truncate_dim
        self.similarity_fn_name = saved.similarity_fn_name if similarity_fn_name is None else similarity_fn_name
        self._own = with_settings(self._own, truncate_dim=None)  # this object holds it, so that it can be reset

    @property
    def embedder(self) -> Embedder:
        """The underlying model of minembed; prompts and widths that were set here do not affect it."""
        return self._own

    # ---- from texts to vectors

    @takes_old_names(sentences="inputs")
    def encode_query(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: dict[str, Any] | None = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `encode`, with the prompt named "query" if the model has one and the call names none."""
        given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "inputs")}
        return self.encode(inputs, **given | self._task_prompt(prompt_name, prompt, ("query",)), **kwargs)

    @takes_old_names(sentences="inputs")
    def encode_document(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: dict[str, Any] | None = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `encode`, with the first of the prompts "document", "passage" and "corpus" that the model has."""
        given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "inputs")}
        names = ("document", "passage", "corpus")
        return self.encode(inputs, **given | self._task_prompt(prompt_name, prompt, names), **kwargs)

    def _task_prompt(self, prompt_name: str | None, prompt: str | None, names: Sequence[str]) -> dict[str, Any]:
        if prompt_name is not None or prompt is not None:
            return {}
        return {"prompt_name": next((name for name in names if name in (self.prompts or ())), None)}

    @takes_old_names(sentences="inputs")
    @heeds_processing
    def encode(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: dict[str, Any] | None = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Turn texts into vectors: (D,) for a str, (N, D) for several.

        The result is an array, with `convert_to_tensor` a tensor, with `convert_to_numpy=False` a list of tensors.
        `output_value` is "sentence_embedding", "token_embeddings" (tensors (T_i, D)) or None (dictionaries of all
        outputs).  With `normalize_embeddings=False`, vectors stay as the model's modules return them.  `truncation` and
        `errors` work as in `Embedder.encode`.  A text may be a list or tuple of two, such as a title and its passage,
        which are read as one text with two segments.

        Raises MissingExtraError if tensors are requested and torch is not installed, InputError and InputTypeError for
        other invalid arguments.
        """
        own = check_new_options(kwargs, OWN, "encode")
        encode: Any = self._own.encode  # the names of options are checked there
        check_pool(pool, device, chunk_size)
        check_whole("batch_size", batch_size)
        prompt = self._find_prompt(prompt, prompt_name)
        alone, batch = self.is_singular_input(inputs), as_batch(inputs)
        texts = [batch] if alone else batch
        if output_value is None:
            found: list[Any] = self._everything(texts, prompt, batch_size, Options(**own))
            return found[0] if alone else found
        pairs = None if alone else pairs_in(texts)
        if output_value == "token_embeddings":
            if pairs:
                hidden = states_of(self._own.engine, self._tokens_of_pairs(pairs, prompt, Options(**own)))
            else:
                own |= {"prompt": prompt, "batch_size": batch_size, "show_progress_bar": show_progress_bar}
                hidden = encode(texts, output_value=output_value, **own)
            states = [tensor(x) for x in hidden]
            found = states if precision in (None, "float32") else quantize_embeddings(states, precision)
            return found[0] if alone else found
        if convert_to_tensor or not convert_to_numpy:
            need_torch("convert_to_tensor=True" if convert_to_tensor else "convert_to_numpy=False")
        settings: dict[str, Any] = {
            "normalize_embeddings": bool(normalize_embeddings),
            "truncate_dim": self._width(self.truncate_dim if truncate_dim is None else truncate_dim),
            "precision": precision or "float32",
        }
        if pairs:
            vectors = vectors_of(self._own.engine, self._tokens_of_pairs(pairs, prompt, Options(**own)), **settings)
        else:
            own |= {"prompt": prompt, "batch_size": batch_size, "show_progress_bar": show_progress_bar}
            vectors = encode(inputs if alone else texts, output_value=output_value, **settings, **own)
        if convert_to_tensor:
            return tensor(vectors if vectors.size or alone else np.zeros(0, np.float32))
        if convert_to_numpy:
            return vectors if vectors.size or alone else np.array([])
        return tensor(vectors) if alone else list(tensor(vectors))

    def _tokens_of_pairs(self, pairs: list[tuple[str, str]], prompt: str, options: Options) -> Tokens:
        """Tokenize pairs of texts, each as one text with two segments; truncated pairs are reported as texts are."""
        tokens = read(self._own.engine, pairs, prompt, options.errors)
        tell_cut(cut_in(tokens), self.max_seq_length, options)
        return tokens

    def _width(self, truncate_dim: int | None) -> int | None:
        """The width to truncate to, at most that of the vectors."""
        return None if truncate_dim is None else min(check_whole("truncate_dim", truncate_dim), self._own.dimension)

    def _everything(self, inputs: Any, prompt: str, batch_size: int, options: Options) -> list[dict[str, Any]]:
        """All outputs for each text, padded as in the reference's batches: sorted by length, the longest first."""
        texts: list[Any] = pairs_in(inputs) or as_texts(inputs, "inputs")
        order = np.argsort([-len(text) if isinstance(text, str) else -sum(map(len, text)) for text in texts])
        found: list[Any] = [None] * len(texts)
        cut: list[int] = []
        for start in range(0, len(texts), batch_size):
            batch = order[start : start + batch_size].tolist()
            tokens = read(self._own.engine, [texts[i] for i in batch], prompt, options.errors)
            cut += [batch[i] for i in cut_in(tokens)]
            features = self.forward(features_of(self._own.engine, tokens, prompt, self.tokenizer))
            width = self._width(self.truncate_dim)
            features["sentence_embedding"] = features["sentence_embedding"][..., :width]
            for i, own in zip(batch, by_text(features, len(batch)), strict=True):
                found[i] = own
        tell_cut(cut, self.max_seq_length, options)
        return found

    def preprocess(self, inputs: Any, prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Tokenize texts, padded to the longest: input_ids, token_type_ids, attention_mask, as tensors (B, T)."""
        check_new_options(kwargs, (), "preprocess")
        if isinstance(inputs, str):
            raise InputTypeError("inputs is one str, of which the reference reads each letter: give a list, [text]")
        engine = self._own.engine
        return features_of(engine, read(engine, as_batch(inputs), prompt or ""), prompt or "", self.tokenizer)

    def forward(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Add token_embeddings and sentence_embedding to the result of `preprocess`; rows of padding are zeros."""
        check_new_options(kwargs, (), "forward")
        return computed(self._own.engine, input)

    def is_singular_input(self, inputs: Any) -> bool:
        """Whether `inputs` is one text."""
        return isinstance(inputs, str)

    def encode_multi_process(
        self,
        sentences: list[str],
        pool: dict[str, Any],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        chunk_size: int | None = None,
        show_progress_bar: bool | None = None,
        precision: str = "float32",
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
    ) -> Any:
        """The same as `encode` with a pool; the results are the same as without one."""
        given = {name: value for name, value in locals().items() if name not in ("self", "sentences")}
        return self.encode(sentences, **given)

    # ---- between vectors

    @property
    def similarity_fn_name(self) -> Any:
        """How vectors are compared: "cosine" (also if it was set to None), "dot", "euclidean" or "manhattan"."""
        return self._similarity_fn_name

    @similarity_fn_name.setter
    def similarity_fn_name(self, value: Any) -> None:
        name = value.value if isinstance(value, SimilarityFunction) else value
        name = "cosine" if name is None else name
        if name not in self.SUPPORTED_SIMILARITY_FN_NAMES:
            known = ", ".join(self.SUPPORTED_SIMILARITY_FN_NAMES)
            raise InputError(f"similarity_fn_name {name!r} is unknown; known: {known}")
        self._similarity_fn_name = name

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:  # (N, D), (M, D) -> (N, M)
        """Compare every row with every row by the model's similarity function; returns a tensor."""
        return SimilarityFunction.to_similarity_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:  # (N, D), (N, D) -> (N,)
        """Compare row i with row i by the model's similarity function; returns a tensor."""
        return SimilarityFunction.to_similarity_pairwise_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    # ---- settings

    @property
    def _checkpoint(self) -> Any:
        return self._own.checkpoint

    def _own_tokenizer(self) -> Any:
        return self._own.engine.tokenizer

    def _set_limit(self, value: Any) -> None:
        self._own = with_settings(self._own, max_seq_length=check_whole("max_seq_length", value))

    def _parts(self) -> list[Any]:
        return list(parts_of(self, self._own.checkpoint))

    @property
    def include_prompt(self) -> bool:
        """Whether pooling includes the tokens of a prompt."""
        return self._own.checkpoint.include_prompt

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Set whether pooling includes the tokens of a prompt."""
        self._own = with_settings(self._own, include_prompt=bool(include_prompt))

    def get_embedding_dimension(self) -> int:
        """The width of the vectors."""
        return self._width(self.truncate_dim) or self._own.dimension

    def get_sentence_embedding_dimension(self) -> int:
        """The width of the vectors."""
        return self.get_embedding_dimension()

    def get_sentence_features(self, *features: Any) -> Any:
        """Refuse: the reference's Transformer has no such method."""
        raise UnsupportedCallError("get_sentence_features is not supported: call tokenize")

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Truncate vectors to a width, within a with-block."""
        before = self.truncate_dim
        self.truncate_dim = truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    @contextmanager
    def truncate_sentence_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """The same as `truncate_embeddings`."""
        with self.truncate_embeddings(truncate_dim):
            yield

    @staticmethod
    def load(input_path: str) -> "SentenceTransformer":
        """The same as SentenceTransformer(input_path)."""
        return SentenceTransformer(input_path)

    def save(
        self,
        path: str,
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[str] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """Write the model, with its current settings, to a new or empty folder: completely or not at all.

        Raises InputError if the folder is not empty, UnsupportedCallError for safe_serialization=False.
        """
        if not safe_serialization:
            raise UnsupportedCallError(
                "safe_serialization=False is not supported: reading pickled weights can run code"
            )
        settings = {name: getattr(self, name) for name in ("prompts", "default_prompt_name", "similarity_fn_name")}
        model = with_settings(self._own, truncate_dim=self.truncate_dim, **settings)
        folder = Path(path)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        model.save(folder)
        if not create_model_card:
            (folder / "README.md").unlink()
