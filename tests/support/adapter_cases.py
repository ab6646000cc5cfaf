"""The goldens of adapters: the golden family that each changes, and its settings for peft.  Does not need torch."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """An adapter, made by peft on the golden checkpoint of a family."""

    base: str
    settings: dict = field(default_factory=dict)  # of peft's LoraConfig
    trained_as: str = "AutoModel"  # the class of transformers that it was trained on


ATTENTION = ["query", "key", "value"]
CASES = {
    "bert": Case("bert", {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]}),
    "bert+patterns": Case(
        "bert",
        {
            "r": 5,
            "lora_alpha": 7,
            "target_modules": [*ATTENTION, "dense"],
            "rank_pattern": {"layer.1.attention.self.query": 2, r"encoder\.layer\.\d\.output\.dense": 3, "nothing": 9},
            "alpha_pattern": {"layer.1.attention.self.query": 3, ".*value": 1, "self.value": 64},
            "use_rslora": True,
        },
    ),
    "bert+regex": Case(
        "bert",
        {
            "r": 2,
            "target_modules": r"encoder\.layer\.[0-1]\.attention\.(self|output)\.(?:query|val.e|dense)",
            "exclude_modules": r".*\.0\.attention\.self\.value",
        },
    ),
    "bert+layers": Case(
        "bert",
        {
            "r": 3,
            "target_modules": ["query", "encoder.layer.0.output.dense", "intermediate.dense"],
            "layers_to_transform": [1, 2],
            "layers_pattern": ["blocks", "layer"],
            "exclude_modules": ["2.intermediate.dense"],
        },
    ),
    "bert+one_layer": Case("bert", {"r": 3, "target_modules": ["query", "value"], "layers_to_transform": 1}),
    "bert+embeddings": Case(
        "bert", {"r": 3, "lora_alpha": 4, "target_modules": ["word_embeddings", "token_type_embeddings", "key"]}
    ),
    "bert+saved": Case(
        "bert",
        {"r": 2, "target_modules": ["value"], "modules_to_save": ["LayerNorm", "layer.1.intermediate"]},
    ),
    "bert+all_biases": Case("bert", {"r": 2, "target_modules": ["value"], "bias": "all"}),
    "bert+biases": Case(
        "bert", {"r": 2, "target_modules": ["query", "output.dense"], "bias": "lora_only", "lora_bias": True}
    ),
    "bert+all": Case("bert", {"r": 1, "lora_alpha": 3, "target_modules": "all-linear", "fan_in_fan_out": True}),
    "bert+task": Case(
        "bert",
        {"r": 2, "target_modules": ["query"], "task_type": "FEATURE_EXTRACTION", "init_lora_weights": "gaussian"},
    ),
    "bert+masks": Case("bert", {"r": 2, "target_modules": ["query", "value"]}, "AutoModelForMaskedLM"),
    "albert": Case("albert", {"r": 3, "target_modules": [*ATTENTION, "ffn", "embedding_hidden_mapping_in"]}),
    "camembert": Case("camembert", {"r": 3, "target_modules": ["query", "value", "dense"]}),
    "distilbert": Case("distilbert", {"r": 3, "target_modules": ["q_lin", "v_lin", "lin1", "lin2"]}),
    "electra": Case("electra", {"r": 3, "target_modules": ["query", "embeddings_project"]}),
    "gemma3_text": Case("gemma3_text", {"r": 3, "target_modules": ["q_proj", "k_proj", "down_proj", "embed_tokens"]}),
    "gte": Case("gte", {"r": 3, "target_modules": ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]}),
    "gte+all": Case("gte", {"r": 3, "target_modules": "all-linear"}),
    "modernbert": Case("modernbert", {"r": 3, "target_modules": ["Wqkv", "Wi", "mlp.Wo"]}),
    "modernbert+all": Case("modernbert", {"r": 3, "target_modules": "all-linear", "use_rslora": True}),
    "mpnet": Case("mpnet", {"r": 3, "target_modules": ["q", "v", "o", "relative_attention_bias"]}),
    "nomic_bert": Case("nomic_bert", {"r": 3, "target_modules": ["q_proj", "k_proj", "gate_proj", "down_proj"]}),
    "nomic_bert+all": Case("nomic_bert", {"r": 3, "target_modules": "all-linear"}),
    "qwen3": Case("qwen3", {"r": 3, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj"]}),
    "roberta": Case("roberta", {"r": 3, "target_modules": ["query", "value"]}),
    "xlm-roberta": Case("xlm-roberta", {"r": 3, "target_modules": ["query", "value", "word_embeddings"]}),
}
