"""Adapters whose settings and tensors were changed at random, the same on every machine.  Nothing here needs torch."""

import random

from adapter_cases import CASES

BASES = sorted(name for name, case in CASES.items() if case.base == "bert" and case.trained_as == "AutoModel")
NAMES = ["query", "value", "key", "dense", "output.dense", "attention.output.dense", "LayerNorm", "word_embeddings"]
NAMES += [
    "layer.1.attention.self.query",
    "encoder.layer.0.attention.self.value",
    "self",
    "pooler.dense",
    "nothing",
    "uery",
]
PATTERNS = [*NAMES, ".*query", r"encoder\.layer\.[01]\.attention\.self\.query", r".*\.(query|value)", "layer.*value"]
PATTERNS += [
    "^encoder.*",
    "query$",
    "quer.",
    "(query|key)",
    "[a-z]+",
    r".*\d.*",
    "a{2,1}",
    "(",
    "(?i)QUERY",
    r"layer\.2\..*",
]
VALUES = {
    "r": [0, 1, 2, 3, 4, 5, -1, "4", 4.0, None, True],
    "lora_alpha": [0, 1, -3, 2.5, 16, "8", None],
    "use_rslora": [True, False, None, 1],
    "use_dora": [False, None, True],
    "lora_bias": [True, False, None],
    "fan_in_fan_out": [True, False, None],
    "bias": ["none", "all", "lora_only", "some", None],
    "init_lora_weights": [True, False, "gaussian", "orthogonal", "eva", "pissa", "olora", "x", None],
    "task_type": [None, "FEATURE_EXTRACTION", "SEQ_CLS", "CAUSAL_LM", "x"],
    "layers_to_transform": [None, [], 0, 1, [0], [1, 2], [0, 1, 2], "1", -1, [7]],
    "layers_pattern": [None, "", [], "layer", ["layer"], ["blocks", "layer"], "l.*r", "encoder"],
    "modules_to_save": [None, [], ["pooler"], ["LayerNorm"], ["classifier"], ["dense"], ["layer.1.intermediate"]],
    "lora_dropout": [0.0, 0.5],
    "inference_mode": [True, False],
    "peft_type": ["LORA", "LOHA", "x"],
    "revision": [None, "main", "v1"],
    "ensure_weight_tying": [False, True],
    "use_qalora": [False, True],
    "target_parameters": [None, [], ["x"]],
    "trainable_token_indices": [None, [1, 2]],
    "layer_replication": [None, [], [[0, 2], [1, 3]]],
    "loftq_config": [{}, None, {"loftq_bits": 4}],
    "eva_config": [None, {"rho": 2.0}],
    "a_setting_of_next_year": [None, False, 0, 1, "x"],
}


def mutation(seed):
    """One adapter: which golden it was, its new settings, the settings and the tensors that it has lost."""
    dice = random.Random(seed)
    settings, removed, dropped = {}, [], []
    for _ in range(dice.choice([1, 1, 1, 2, 2, 3])):
        kind = dice.random()
        if kind < 0.2:
            settings["target_modules"] = dice.choice(
                [_some(dice), _some(dice), dice.choice(PATTERNS), "all-linear", None]
            )
        elif kind < 0.3:
            settings["exclude_modules"] = dice.choice([_some(dice), dice.choice(PATTERNS), None, []])
        elif kind < 0.5:
            key, values = dice.choice([("rank_pattern", [1, 2, 3, 4, 5, 0]), ("alpha_pattern", [0, 1, 2, 8, 0.5])])
            settings[key] = {dice.choice(PATTERNS): dice.choice(values) for _ in range(dice.randint(0, 3))}
        elif kind < 0.9:
            key = dice.choice(sorted(VALUES))
            settings[key] = dice.choice(VALUES[key])
        elif kind < 0.95:
            removed.append(dice.choice(sorted(VALUES)))
        else:
            dropped.append(dice.randrange(1000))  # a tensor, by its number among so many as there are
    return dice.choice(BASES), settings, removed, dropped


def _some(dice):
    return dice.sample(NAMES, dice.randint(1, 4))


def mutated(settings, tensors, change):
    """The settings and the tensors after a mutation."""
    _, changed, removed, dropped = change
    whole = {key: value for key, value in {**settings, **changed}.items() if key not in removed}
    names = sorted(tensors)
    lost = {names[number % len(names)] for number in dropped}
    return whole, {name: array for name, array in tensors.items() if name not in lost}
