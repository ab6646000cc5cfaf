"""The settings of a training, checked before it begins."""

import json
import math
import sys
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from minembed.errors import InputError
from minembed.runtime.checks import check_seed, check_whole, whole_number
from minembed.runtime.interrupts import not_swallowed
from minembed.runtime.paths import read_regular
from minembed.train.losses import LOSSES
from minembed.train.schedules import SCHEDULES
from minembed.types import Backend

LARGEST = 1 << 20  # bytes of a file of settings


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that determines the resulting weights, and how they are computed.

    Raises InputError that names the setting.

    >>> Settings(batch_size=16).learning_rate
    5e-05
    """

    epochs: int = 1
    max_steps: int | None = None  # stop after this many, even if epochs says more
    batch_size: int = 32  # examples
    accumulation: int = 1  # batches per step
    cached: bool = False  # compute a batch in parts, so that memory does not grow with its size
    recompute: bool = False  # keep less of the forward pass, and compute it again
    learning_rate: float = 5e-5
    schedule: str = "linear"
    warmup: float = 0.1  # a share of the steps below 1, or a number of steps
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    dropout: float = 0.1
    seed: int = 12
    loss: str = "multiple_negatives_ranking"
    scale: float | None = None  # of the ranking losses and CoSENT; None: 20
    margin: float | None = None  # of the triplet and the contrastive loss; None: 5, 0.5
    matryoshka_dims: tuple[int, ...] = ()
    group_by_length: bool = False
    no_duplicates: bool = False  # keep texts apart that would be each other's negatives
    mask_probability: float = 0.15  # of masked language modelling
    whole_words: bool = False
    evaluate_every: int | None = None  # steps; None: at the end of every epoch
    save_every: int | None = None  # steps; None: at the end of every epoch
    patience: int | None = None  # evaluations without a better score, after which training stops
    max_bad_steps: int = 5  # in a row, with a loss or gradient that is not finite
    backend: Backend = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("accumulation", 1), ("max_bad_steps", 1)):
            self._whole(name, least)
        object.__setattr__(self, "seed", check_seed("seed", self.seed))
        for name in ("max_steps", "evaluate_every", "save_every", "patience", "threads"):
            if getattr(self, name) is not None:
                self._whole(name, 1)
        for name in ("learning_rate", "max_grad_norm"):
            self._number(name, 0, math.inf, above=True)
        self._number("warmup", 0, math.inf)
        self._number("weight_decay", 0, math.inf)
        self._number("dropout", 0, 1)
        self._number("mask_probability", 0, 1, above=True)
        for name in ("scale", "margin"):
            if getattr(self, name) is not None:
                self._number(name, 0, math.inf, above=name == "scale")
        for name, known in (("loss", LOSSES), ("schedule", SCHEDULES), ("backend", get_args(Backend))):
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in known:
                raise InputError(f"{name} {getattr(self, name)!r} is unknown; known: {', '.join(known)}")
        for field in fields(self):
            if field.type is bool and not isinstance(getattr(self, field.name), bool):
                raise InputError(f"{field.name} must be true or false, not {getattr(self, field.name)!r}")
        dims = self.matryoshka_dims
        numbers = tuple(map(whole_number, dims)) if isinstance(dims, tuple) else (None,)
        if any(number is None or number < 1 for number in numbers):
            raise InputError(f"matryoshka_dims must be whole numbers of at least 1, as in (384, 128); not {dims!r}")
        object.__setattr__(self, "matryoshka_dims", numbers)

    def _whole(self, name: str, least: int) -> None:
        object.__setattr__(self, name, check_whole(name, getattr(self, name), least))  # a Python int, for JSON

    def _number(self, name: str, low: float, high: float, above: bool = False) -> None:
        value = getattr(self, name)
        finite = isinstance(value, int | float) and abs(value) <= sys.float_info.max
        if isinstance(value, bool) or not finite or not (low <= value < high):
            raise InputError(f"{name} must be a number from {low:g} to below {high:g}, not {value!r}")
        if above and value == low:
            raise InputError(f"{name} must be above {low:g}")

    @property
    def same_weights(self) -> dict[str, Any]:
        """The settings that the weights depend on: they must be the same in a resumed training.

        >>> "threads" in Settings().same_weights
        False
        """
        free = (
            "threads",
            "evaluate_every",
            "save_every",
            "patience",
            "max_bad_steps",
            "backend",
            "cached",
            "recompute",
        )
        return {name: value for name, value in to_json(self).items() if name not in free}


def to_json(settings: Settings) -> dict[str, Any]:
    """The settings as JSON values.

    >>> to_json(Settings(matryoshka_dims=(256, 64)))["matryoshka_dims"]
    [256, 64]
    """
    found: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return found


def read_settings(path: Path, base: Settings | None = None) -> Settings:
    """Read settings from a .toml or .json file, over those of `base`.

    Raises InputError for a file that is neither, and for an unknown setting.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "train.json"
    ...     _ = file.write_text('{"epochs": 3}')
    ...     read_settings(file).epochs
    3
    """
    try:
        text = read_regular(path, LARGEST).decode("utf-8-sig")
        if path.suffix.lower() == ".toml":
            values = _toml(text, path)
        else:
            values = json.loads(text)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:  # of JSON, TOML and UTF-8
        raise InputError(f"{path}: not sound {path.suffix or 'JSON'} ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold settings by name")
    return change(base or Settings(), values, str(path))


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        with not_swallowed():
            import tomllib
    except ImportError as error:  # Python 3.10
        raise InputError(f"{path}: Python reads TOML from 3.11 on; write the settings as .json") from error
    return tomllib.loads(text)


def change(settings: Settings, values: dict[str, Any], where: str = "settings") -> Settings:
    """Replace the values of some settings; raises InputError for an unknown one.

    >>> change(Settings(), {"epochs": 2}).epochs
    2
    """
    names = [field.name for field in fields(Settings)]
    for name in values:
        if name not in names:
            raise InputError(f"{where}: {name!r} is no setting; there are: {', '.join(names)}")
    if isinstance(values.get("matryoshka_dims"), list):
        values = values | {"matryoshka_dims": tuple(values["matryoshka_dims"])}
    return replace(settings, **values)
