"""The callables of a package with sentence-transformers' names, each with its parameters, as text."""

import inspect
from importlib import import_module

MODULES = (
    "",
    "util",
    "quantization",
    "similarity_functions",
    "evaluation",
    "cross_encoder",
    "cross_encoder.evaluation",
    "sentence_transformer",
    "sentence_transformer.evaluation",
    "sentence_transformer.readers",
    "sentence_transformer.losses",
    "sentence_transformer.modules",
    "sentence_transformer.datasets",
    "sentence_transformer.model",
    "losses",
    "models",
    "readers",
    "datasets",
    "base.evaluation",
    "util.similarity",
    "util.quantization",
    "backend",
    "sparse_encoder",
    "multi_vector_encoder",
    "training_args",
    "trainer",
)
NAMES_ALONE = ("losses", "models", "datasets", "backend", "sparse_encoder", "multi_vector_encoder", "trainer")
NAMES_ALONE += ("training_args", *(f"sentence_transformer.{name}" for name in ("losses", "modules", "datasets")))
BEYOND = {"quantization": ("semantic_search_faiss", "semantic_search_usearch")}  # what no __all__ names
BEYOND |= {"util.quantization": ("quantize_embeddings", *BEYOND["quantization"])}
BEYOND |= {"similarity_functions": ("SimilarityFunction",), "util.similarity": ("SimilarityFunction", "cos_sim")}
BEYOND |= {"trainer": ("SentenceTransformerTrainer",), "sentence_transformer.model": ("SentenceTransformer",)}
BEYOND |= {"training_args": ("SentenceTransformerTrainingArguments", "BatchSamplers", "MultiDatasetBatchSamplers")}


def default_text(value):
    """A default as text that is the same for two packages."""
    if value is inspect.Parameter.empty:
        return "required"
    return f"function {getattr(value, '__name__', value)}" if callable(value) else repr(value)


def parameters(function):
    """[name, kind, default] of each parameter; None for what has no signature."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, default_text(p.default)] for p in found if p.name not in ("self", "cls")]


def module_of(package, path):
    """A module of the package by its path; the package itself for an empty one."""
    return import_module(f"{package}.{path}" if path else package)


def names_of(package, path):
    """The public names of a module."""
    return sorted({*getattr(module_of(package, path), "__all__", ()), *BEYOND.get(path, ())})


def members(kind, package):
    """The public attributes of a class that the package itself defines, not what it inherits of others."""
    owned = [base for base in kind.__mro__ if base.__module__.startswith(package)]
    names = {name for base in owned for name in vars(base) if not name.startswith("_")}
    return {name: inspect.getattr_static(kind, name) for name in sorted(names)}


def described(value, package, path):
    """A function as its parameters; a class as those of its constructor, methods and properties."""
    if path in NAMES_ALONE:
        return {}
    if not inspect.isclass(value):
        return {"parameters": parameters(value)}
    found = {}
    for name, member in members(value, package).items():
        plain = member.__func__ if isinstance(member, staticmethod | classmethod) else member
        found[name] = parameters(plain) if inspect.isfunction(plain) else "attribute"
    return {"parameters": parameters(value.__init__), "members": found}
