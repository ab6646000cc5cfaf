"""Error messages that say what to write when a loaded model is used like a model of another library."""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

from minembed.errors import InputAttributeError, InputTypeError

Model = TypeVar("Model")
MOVED = "minembed.sentence_transformers"  # has the classes of sentence-transformers, with their attributes


def explained(*, call: str, namesake: str) -> Callable[[type[Model]], type[Model]]:
    """Make a class of loaded models explain the common mistakes: what to write instead.

    The mistakes are calling the class with a model's name, setting attributes, and using names that it does not have.
    `call` is the method whose options, beside those of `load`, replace attributes; `namesake` is the class of
    sentence-transformers that users may know.

    >>> @explained(call="encode", namesake="SentenceTransformer")
    ... class Model:
    ...     def __init__(self, engine): ...
    ...     @classmethod
    ...     def load(cls, name, *, threads=None): ...
    ...     def encode(self, texts, *, prompt=None): ...
    >>> Model("all-MiniLM-L6-v2")
    Traceback (most recent call last):
    minembed.errors.InputTypeError: Model(...) does not load a model: write Model.load('all-MiniLM-L6-v2')
    """

    def decorate(model: type[Model]) -> type[Model]:
        setattr(model, "__init__", _init(model))  # noqa: B010 (mypy knows an assignment to a class's __init__ as wrong)
        places = {"load": f"{model.__name__}.load(..., {{}})", call: f"{call}(..., {{}})"}
        written = {name: text.format(f"{name}=...") for m, text in places.items() for name in _options(model, m)}
        elsewhere = f"{MOVED}.{namesake} has the names of sentence-transformers"

        def refuse_change(self: Model, name: str, *value: object) -> NoReturn:
            remedy = f"write {written[name]}" if name in written else f"{elsewhere}, and can be changed"
            raise InputAttributeError(f"{model.__name__} does not change once it is loaded ({name}): {remedy}")

        def refuse_name(self: Model, name: str) -> Any:
            if name in dir(type(self)):  # a property failed with an AttributeError: raise it again, with its name
                return object.__getattribute__(self, name)
            if name.startswith("_"):  # Python and NumPy ask for many such names
                raise AttributeError(f"{model.__name__!r} object has no attribute {name!r}")
            raise InputAttributeError(f"{model.__name__} has no {name!r}{_near(name, dir(model))}; {elsewhere}")

        for name, method in {
            "__setattr__": refuse_change,
            "__delattr__": refuse_change,
            "__getattr__": refuse_name,
        }.items():
            setattr(model, name, method)
        return model

    return decorate


def _init(model: type[Any]) -> Callable[..., None]:
    plain = model.__init__
    signature = inspect.signature(plain)

    @wraps(plain)
    def init(self: Any, *given: Any, **named: Any) -> None:
        try:
            signature.bind(self, *given, **named)
            fits = not (given and isinstance(given[0], str | os.PathLike))
        except TypeError:
            fits = False
        if not fits:
            name = repr(str(given[0])) if given and isinstance(given[0], str | os.PathLike) else "name"
            raise InputTypeError(f"{model.__name__}(...) does not load a model: write {model.__name__}.load({name})")
        plain(self, *given, **named)

    return init


def _options(model: type[Any], method: str) -> list[str]:
    parameters = inspect.signature(getattr(model, method)).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def _near(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [k for k in known if not k.startswith("_")], 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
