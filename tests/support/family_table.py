"""The golden checkpoint of each family: its config.json as the Hub has it, in small, and the hub's tensor names.

Sizes are odd or prime where the architecture allows, so that a swapped axis cannot pass.  Nothing here needs torch.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

V = 157  # words: one more than the tokenizer of tests/support/tiny.py has
Tensors = dict  # name -> array, in the reference's own names or in the hub's


def same(tensors: Tensors) -> Tensors:
    """For families whose hub names are the reference's own."""
    return dict(tensors)


@dataclass(frozen=True)
class Golden:
    """How one golden checkpoint is made."""

    hub: dict  # config.json
    layers: str = ""  # where the reference keeps its layers
    to_hub: Callable[[Tensors], Tensors] = same
    native: dict | None = None  # config.json in the reference's spelling, where it cannot read the hub's
    pooling: str = "mean"
    lengths: tuple[int, ...] = (1, 2, 3, 7, 13, 41)
    kept: tuple[int, ...] = ()  # rows of the last text whose hidden states are kept; none: all of them
    planted: int | None = None  # an id that stands in the middle of texts: that of padding
    spread: float = 1.5  # of linear weights, times 1 / sqrt(width); more than that, and roundings grow by the layer
    oracle: str = ""  # the function of tests/support/oracle.py that stands in for a reference
    oracle_shapes: dict = field(default_factory=dict)  # its tensors, by the hub's names
    norm_middle: float = 1.0  # around which the weights of norms lie
    spare: dict = field(default_factory=dict)  # tensors that the hub's files have besides, by name: shapes


def renamed(*rules: tuple[str, str]) -> Callable[[Tensors], Tensors]:
    """Return a function that applies regular expressions to every name, one after another."""

    def rename(tensors: Tensors) -> Tensors:
        out = {}
        for name, tensor in tensors.items():
            for pattern, replacement in rules:
                name = re.sub(pattern, replacement, name)
            out[name] = tensor
        return out

    return rename


BERT_LIKE = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 35,
    "initializer_range": 0.02,
    "intermediate_size": 37,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 41,
    "num_attention_heads": 5,
    "num_hidden_layers": 3,
    "transformers_version": "4.8.2",
    "vocab_size": V,
}
ROBERTA_LIKE = BERT_LIKE | {
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 43,  # 41 tokens and the two positions before them
    "position_embedding_type": "absolute",
    "type_vocab_size": 1,
    "use_cache": True,
}
HEAD = {"bias": (V,), "dense.weight": (35, 35), "dense.bias": (35,), "layer_norm.weight": (35,)}

ELECTRA = BERT_LIKE | {
    "architectures": ["ElectraForPreTraining"],
    "embedding_size": 23,
    "model_type": "electra",
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "summary_activation": "gelu",
    "summary_last_dropout": 0.1,
    "summary_type": "first",
    "summary_use_proj": True,
    "type_vocab_size": 2,
}
DISTILBERT = {
    "activation": "gelu",
    "architectures": ["DistilBertModel"],
    "attention_dropout": 0.1,
    "dim": 35,
    "dropout": 0.1,
    "hidden_dim": 37,
    "initializer_range": 0.02,
    "max_position_embeddings": 41,
    "model_type": "distilbert",
    "n_heads": 5,
    "n_layers": 3,
    "pad_token_id": 0,
    "qa_dropout": 0.1,
    "seq_classif_dropout": 0.2,
    "sinusoidal_pos_embds": False,
    "tie_weights_": True,
    "transformers_version": "4.8.2",
    "vocab_size": V,
}

GOLDENS = {  # "family", or "family+variant"
    "bert": Golden(
        BERT_LIKE
        | {
            "architectures": ["BertForMaskedLM"],
            "gradient_checkpointing": False,
            "model_type": "bert",
            "pad_token_id": 0,
            "position_embedding_type": "absolute",
            "type_vocab_size": 2,
            "use_cache": True,
        },
        layers="encoder.layer",
        to_hub=renamed(
            ("^", "bert."), (r"LayerNorm\.weight", "LayerNorm.gamma"), (r"LayerNorm\.bias", "LayerNorm.beta")
        ),
        pooling="cls",
        planted=0,
        spare={"cls.predictions.bias": (V,), "cls.seq_relationship.weight": (2, 35)},
    ),
    "mpnet": Golden(
        BERT_LIKE
        | {
            "architectures": ["MPNetForMaskedLM"],
            "bos_token_id": 0,
            "eos_token_id": 2,
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 153,
            "model_type": "mpnet",
            "pad_token_id": 1,
            "relative_attention_num_buckets": 32,
        },
        layers="encoder.layer",
        lengths=(1, 2, 3, 7, 13, 29, 151),  # buckets end at a distance of 128
        kept=(0, 1, 11, 75, 149, 150),
        planted=1,
        spare={"embeddings.position_ids": (1, 153)},
    ),
    "roberta": Golden(
        ROBERTA_LIKE
        | {"architectures": ["RobertaModel"], "classifier_dropout": None, "gradient_checkpointing": False}
        | {"model_type": "roberta"},
        layers="encoder.layer",
        planted=1,
        spare={"embeddings.position_ids": (1, 43)},
    ),
    "xlm-roberta": Golden(
        ROBERTA_LIKE | {"architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "output_past": True},
        layers="encoder.layer",
        planted=1,
    ),
    "camembert": Golden(
        ROBERTA_LIKE | {"architectures": ["CamembertForMaskedLM"], "model_type": "camembert", "output_past": True},
        layers="encoder.layer",
        to_hub=renamed(("^", "roberta.")),
        planted=1,
        spare={f"lm_head.{name}": shape for name, shape in HEAD.items()},
    ),
    "electra": Golden(
        ELECTRA,
        layers="encoder.layer",
        to_hub=renamed(("^", "electra.")),
        spare={
            "discriminator_predictions.dense.weight": (35, 35),
            "discriminator_predictions.dense.bias": (35,),
            "discriminator_predictions.dense_prediction.weight": (1, 35),
            "discriminator_predictions.dense_prediction.bias": (1,),
        },
    ),
    "albert": Golden(
        BERT_LIKE
        | {"architectures": ["AlbertForMaskedLM"], "model_type": "albert", "hidden_act": "gelu_new"}
        | {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "type_vocab_size": 2, "embedding_size": 23}
        | {"num_hidden_groups": 1, "inner_group_num": 1, "net_structure_type": 0, "gap_size": 0}
        | {"num_memory_blocks": 0, "down_scale_factor": 1, "classifier_dropout_prob": 0.1},
        layers="encoder.albert_layer_groups",
        to_hub=renamed(("^", "albert.")),
        spare={"predictions.bias": (V,), "predictions.dense.weight": (23, 35), "predictions.dense.bias": (23,)},
    ),
    "distilbert": Golden(DISTILBERT, layers="transformer.layer", planted=0),
    "distilbert+relu": Golden(
        DISTILBERT | {"activation": "relu", "architectures": ["DistilBertForMaskedLM"], "n_layers": 2},
        layers="transformer.layer",
        to_hub=renamed(("^", "distilbert.")),
        spare={
            "vocab_transform.weight": (35, 35),
            "vocab_transform.bias": (35,),
            "vocab_layer_norm.weight": (35,),
            "vocab_layer_norm.bias": (35,),
            "vocab_projector.bias": (V,),
        },
    ),
    "electra+base": Golden(ELECTRA | {"embedding_size": 35, "num_hidden_layers": 2}, layers="encoder.layer"),
    "roberta+segments": Golden(
        ROBERTA_LIKE
        | {"architectures": ["RobertaModel"], "hidden_act": "gelu_new", "model_type": "roberta"}
        | {"max_position_embeddings": 45, "num_hidden_layers": 2, "pad_token_id": 3, "type_vocab_size": 3},
        layers="encoder.layer",
        planted=3,
    ),
}
