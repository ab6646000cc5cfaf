"""The LoRA settings in peft's adapter_config.json: each is used, known to change nothing, or refused by name.

    W' = W + scale * B A,   scale = alpha / r,  or alpha / sqrt(r) with use_rslora

Which modules are adapted, and with which r and alpha, is decided by their names, which are matched as peft does.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minembed.errors import ConfigError, UnsupportedModelError
from minembed.runtime.json_files import read_json, typed
from minembed.weights.patterns import matches

SETTINGS = "adapter_config.json"
HARMLESS: tuple[str, ...] = (
    "auto_mapping",
    "peft_version",
    "inference_mode",
    "lora_dropout",
    "megatron_core",
    "qalora_group_size",
)
HARMLESS += ("eva_config", "corda_config", "lora_ga_config", "loftq_config", "fan_in_fan_out", "runtime_config")
HEEDED: tuple[str, ...] = (
    "peft_type",
    "task_type",
    "base_model_name_or_path",
    "revision",
    "r",
    "lora_alpha",
    "rank_pattern",
)
HEEDED += ("alpha_pattern", "use_rslora", "lora_bias", "bias", "modules_to_save", "target_modules")
HEEDED += ("exclude_modules", "layers_to_transform", "layers_pattern", "init_lora_weights")
TASKS = ("SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION")
STARTS = (
    True,
    False,
    None,
    "gaussian",
    "eva",
    "orthogonal",
)  # initial values of A and B; other methods also change the base weights
BIASES = ("none", "all", "lora_only")
MERGE = (
    "merge it into its base once where peft is installed, and load the new folder: "
    "AutoPeftModelForFeatureExtraction.from_pretrained({folder!r}).merge_and_unload().save_pretrained('merged') "
    "(then copy the tokenizer's files, modules.json and 1_Pooling/ beside it)"
)


@dataclass(frozen=True, slots=True)
class Lora:
    """The settings of an adapter; made by `read_lora`.

    >>> lora = Lora(Path("adapter_config.json"), rank=4, alpha=8, targets=("query",))
    >>> lora.is_target("encoder.layer.0.attention.self.query"), lora.scale("encoder.layer.0.attention.self.query")
    (True, 2.0)
    """

    path: Path
    rank: int
    alpha: float
    targets: str | tuple[str, ...]  # a regular expression, "all-linear", or last parts of names
    base: str = ""  # a name or a folder
    excluded: str | tuple[str, ...] = ()
    ranks: Mapping[str, int] = field(default_factory=dict)  # by patterns of names
    alphas: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[int, ...] = ()  # empty: all
    layers_pattern: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()  # modules that were trained in full
    biases: str = "none"  # which biases were trained: one of BIASES
    by_root: bool = False  # the scale is alpha / sqrt(r)
    with_bias: bool = False  # B has a bias

    def rank_of(self, module: str) -> int:
        """The r of a module."""
        return next((r for key, r in self.ranks.items() if self._matches(f"(.*\\.)?({key})", module)), self.rank)

    def scale(self, module: str) -> float:
        """The factor of the product B A of a module."""
        alphas = self.alphas.items()
        alpha = next((alpha for key, alpha in alphas if self._matches(f"(.*\\.)?({key})", module)), self.alpha)
        r = self.rank_of(module)
        return alpha / (math.sqrt(r) if self.by_root else r)

    def is_target(self, module: str, linear: bool = True) -> bool:
        """Whether peft would adapt a module with this name."""
        if self._is_one_of(self.excluded, module) or self._may_not_be_adapted(module):
            return False
        if isinstance(self.targets, str):
            return linear if self.targets.lower() == "all-linear" else self._matches(self.targets, module)
        if module in self.targets:
            return True
        return self._is_one_of(self.targets, module) and self._has_layer(module)

    def is_saved(self, module: str) -> bool:
        """Whether peft has trained a module in full, or a module that contains it."""
        ends = [i for i, letter in enumerate(module) if letter == "."] + [len(module)]
        return any(module[:end].endswith(name) for end in ends for name in self.saved)

    def _may_not_be_adapted(self, module: str) -> bool:
        """Whether it is in one of modules_to_save, which peft excludes when it looks for targets."""
        return any(self._matches(f"(.*\\.)?({name})(\\..*)?", module) for name in self.saved)

    def check(self, pattern: str) -> None:
        """Raise UnsupportedModelError for a pattern that is not supported."""
        self._matches(pattern, "")

    def _is_one_of(self, named: str | tuple[str, ...], module: str) -> bool:
        if isinstance(named, str):
            return self._matches(named, module)
        return any(module == name or module.endswith(f".{name}") for name in named)

    def _has_layer(self, module: str) -> bool:
        """Whether the first number in a name, after the name of the list of layers, is among the layers."""
        if not self.layers:
            return True
        parts = module.split(".")
        for pattern in self.layers_pattern or ("[^.]+",):
            for i in range(1, len(parts) - 1):
                before = ".".join(parts[:i])
                if parts[i].isdecimal() and self._matches(f"{_AHEAD[not self.layers_pattern]}({pattern})", before):
                    return int(parts[i]) in self.layers
        return False

    def _matches(self, pattern: str, name: str) -> bool:
        try:
            return matches(pattern, name)
        except ValueError as error:
            raise UnsupportedModelError(
                f"{self.path}: {pattern!r} cannot be matched with the names of modules: {error}"
            ) from None


_AHEAD = {True: r".*\.", False: r"(.*\.)?"}  # without a pattern there has to be something before the list of layers


def read_lora(path: Path) -> Lora:
    """Read an adapter_config.json.

    Raises ConfigError for malformed settings, UnsupportedModelError for adapters other than LoRA, and for a setting
    that would change the vectors and is not supported.
    """
    raw = read_json(path)
    _refuse(raw, path)
    rank = _rank(raw.get("r", 8), "r", path)
    ranks = {key: _rank(r, f"rank_pattern[{key!r}]", path) for key, r in _patterns(raw, "rank_pattern", path).items()}
    alphas = {
        key: _number(alpha, f"alpha_pattern[{key!r}]", path)
        for key, alpha in _patterns(raw, "alpha_pattern", path).items()
    }
    targets = _names(raw, "target_modules", path)
    if not targets:
        raise ConfigError(f"{path}: target_modules must name the modules that were adapted")
    layers = raw.get("layers_to_transform")
    layers = [layers] if isinstance(layers, int) and not isinstance(layers, bool) else layers or []
    if not isinstance(layers, list) or not all(isinstance(i, int) and not isinstance(i, bool) for i in layers):
        raise ConfigError(f"{path}: layers_to_transform must be a whole number or a list of them, not {layers!r}")
    pattern = _names(raw, "layers_pattern", path)
    if isinstance(targets, str) and (raw.get("layers_to_transform") is not None or pattern):
        raise ConfigError(f"{path}: layers_to_transform and layers_pattern go with a list of target_modules only")
    lora = Lora(
        path=path,
        rank=rank,
        alpha=_number(raw.get("lora_alpha", 8), "lora_alpha", path),
        targets=targets,
        base=typed(raw, "base_model_name_or_path", str, "", path),
        excluded=_names(raw, "exclude_modules", path),
        ranks=ranks,
        alphas=alphas,
        layers=tuple(layers),
        layers_pattern=_plain((pattern,) if pattern and isinstance(pattern, str) else pattern, "layers_pattern", path),
        saved=_plain(_list(raw, "modules_to_save", path), "modules_to_save", path),
        biases=raw.get("bias") or "none",
        by_root=typed(raw, "use_rslora", bool, False, path),
        with_bias=typed(raw, "lora_bias", bool, False, path),
    )
    for key in (*lora.ranks, *lora.alphas, *lora.saved, *lora.layers_pattern):
        lora.check(key)  # also patterns that no name will be compared with
    return lora


def _refuse(raw: Mapping[str, Any], path: Path) -> None:
    """Raise UnsupportedModelError for unsupported settings; an unknown setting is ignored while it is off."""
    allowed: dict[str, tuple[Any, ...]] = {
        "peft_type": ("LORA",),
        "task_type": (None, *TASKS),
        "revision": (None, "", "main"),
        "bias": (None, *BIASES),
        "init_lora_weights": STARTS,
    }
    known = (*HEEDED, *HARMLESS)
    faults = {key: raw.get(key) for key, values in allowed.items() if not _is_among(raw.get(key), values)}
    faults |= {key: value for key, value in raw.items() if key not in known and value}
    for key, value in faults.items():
        what = "adapters of LoRA are read" if key == "peft_type" else "it would make other vectors of the adapter"
        raise UnsupportedModelError(
            f"{path}: {key} = {value!r} is not supported ({what}); {MERGE.format(folder=str(path.parent))}"
        )


def _is_among(value: object, values: tuple[Any, ...]) -> bool:
    return any(value is other or (type(value) is type(other) and value == other) for other in values)


def _rank(value: object, name: str, path: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{path}: {name} must be a whole number from 1, not {value!r}")
    return value


def _number(value: object, name: str, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ConfigError(f"{path}: {name} must be a number, not {value!r}")
    return float(value)


def _patterns(raw: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    return typed(raw, key, dict, {}, path)


def _names(raw: Mapping[str, Any], key: str, path: Path) -> str | tuple[str, ...]:
    value = raw.get(key)
    return value if isinstance(value, str) else _list(raw, key, path)


def _plain(names: str | tuple[str, ...], key: str, path: Path) -> tuple[str, ...]:
    """Names that peft inserts into its own pattern."""
    if any("|" in name for name in names):
        raise UnsupportedModelError(f"{path}: {key} = {names!r} is not supported: peft would read half of the |")
    return tuple(names)


def _list(raw: Mapping[str, Any], key: str, path: Path) -> tuple[str, ...]:
    names = typed(raw, key, list, [], path)
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{path}: {key} must be a list of names, not {names!r}")
    return tuple(names)
