"""The golden checkpoints of JinaBERT, whose positions are slopes, and of decoders used as embedders."""

from family_rotary import KEPT, LENGTHS, SPREAD
from family_table import Golden, V

QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "head_dim": 14,
    "hidden_act": "silu",
    "hidden_size": 35,
    "initializer_range": 0.02,
    "intermediate_size": 37,
    "max_position_embeddings": 32768,
    "max_window_layers": 3,
    "model_type": "qwen3",
    "num_attention_heads": 6,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.51.3",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": V,
}
GEMMA = {
    "_sliding_window_pattern": 3,
    "architectures": ["Gemma3TextModel"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_logit_softcapping": None,
    "bos_token_id": 2,
    "dtype": "float32",
    "eos_token_id": 1,
    "final_logit_softcapping": None,
    "head_dim": 14,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 33,
    "initializer_range": 0.02,
    "intermediate_size": 37,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
    "max_position_embeddings": 2048,
    "model_type": "gemma3_text",
    "num_attention_heads": 3,
    "num_hidden_layers": 4,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 17,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": 10,
    "transformers_version": "4.57.0.dev0",
    "use_bidirectional_attention": True,
    "use_cache": True,
    "vocab_size": V,
}
JINA = {
    "architectures": ["JinaBertForMaskedLM"],
    "attention_probs_dropout_prob": 0.0,
    "attn_implementation": "torch",
    "auto_map": {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"},
    "classifier_dropout": None,
    "emb_pooler": "mean",
    "feed_forward_type": "geglu",
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 55,
    "initializer_range": 0.02,
    "intermediate_size": 37,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 8192,
    "model_max_length": 8192,
    "model_type": "bert",
    "num_attention_heads": 11,  # no power of 2
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "position_embedding_type": "alibi",
    "torch_dtype": "float16",
    "transformers_version": "4.31.0",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": V,
}


def jina_shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor of a JinaBERT checkpoint, (out, in)."""
    D, F = JINA["hidden_size"], JINA["intermediate_size"]
    shapes = {"embeddings.word_embeddings.weight": (V, D), "embeddings.token_type_embeddings.weight": (2, D)}
    linear = {f"attention.self.{part}": (D, D) for part in ("query", "key", "value")}
    linear |= {"attention.output.dense": (D, D), "mlp.gated_layers": (2 * F, D), "mlp.wo": (D, F)}
    layers = [f"encoder.layer.{i}" for i in range(JINA["num_hidden_layers"])]
    for name, shape in [(f"{layer}.{name}", shape) for layer in layers for name, shape in linear.items()]:
        shapes |= {f"{name}.weight": shape} | ({} if "gated" in name else {f"{name}.bias": shape[:1]})
    norms = [f"{layer}.{name}" for layer in layers for name in ("attention.output.LayerNorm", "mlp.layernorm")]
    for name in ["embeddings.LayerNorm", *norms]:
        shapes |= {f"{name}.weight": (D,), f"{name}.bias": (D,)}
    return shapes


GOLDENS = {
    "jina_bert": Golden(
        JINA,
        lengths=LENGTHS,
        kept=KEPT,
        oracle="jina_bert",
        oracle_shapes=jina_shapes(),
        spare={"pooler.dense.weight": (55, 55), "pooler.dense.bias": (55,)},
    ),
    "qwen3": Golden(QWEN3, "layers", pooling="lasttoken", lengths=LENGTHS, kept=KEPT, spread=SPREAD),
    "gemma3_text": Golden(GEMMA, "layers", lengths=LENGTHS, kept=KEPT, spread=SPREAD, norm_middle=0.0),
}
