"""The golden checkpoints of gated encoders whose positions are rotations: NomicBERT, ModernBERT, GTE."""

import numpy as np
from family_table import Golden, Tensors, V, renamed


def fused(tensors: Tensors, parts: tuple[str, ...], whole: str) -> Tensors:
    """Lay weights and biases of several linear maps on top of each other, in the order of their names."""
    out = {}
    for name, tensor in tensors.items():
        if parts[0] in name:
            out[name.replace(parts[0], whole)] = np.concatenate(
                [tensors[name.replace(parts[0], part)] for part in parts]
            )
        elif not any(part in name for part in parts):
            out[name] = tensor
    return out


def nomic_names(tensors: Tensors) -> Tensors:
    """NomicBERT's own names; fc12 is what is activated."""
    rules = [
        ("^layers", "encoder.layers"),
        (r"^embeddings\.LayerNorm", "emb_ln"),
        (r"self_attn\.o_proj", "attn.out_proj"),
    ]
    rules += [("up_proj", "fc11"), ("gate_proj", "fc12"), ("down_proj", "fc2")]
    rules += [("post_attention_layernorm", "norm1"), ("post_mlp_layernorm", "norm2")]
    parts = tuple(f"self_attn.{part}_proj" for part in "qkv")
    return fused(renamed(*rules)(tensors), parts, "attn.Wqkv")


def gte_names(tensors: Tensors) -> Tensors:
    """GTE's own names; what is activated is the second half of up_gate_proj."""
    rules = [("^layers", "encoder.layer"), (r"self_attn\.o_proj", "attention.o_proj")]
    rules += [("post_attention_layernorm", "attn_ln"), ("post_mlp_layernorm", "mlp_ln")]
    parts = tuple(f"self_attn.{part}_proj" for part in "qkv")
    tensors = fused(renamed(*rules)(tensors), parts, "attention.qkv_proj")
    return fused(tensors, ("mlp.up_proj", "mlp.gate_proj"), "mlp.up_gate_proj")


SPREAD = 1.2
LENGTHS = (1, 2, 3, 7, 13, 29, 1301)  # the last one is computed in parts
KEPT = (0, 1, 127, 128, 650, 1299, 1300)
NOMIC = {
    "activation_function": "swiglu",
    "architectures": ["NomicBertModel"],
    "attn_pdrop": 0.0,
    "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},
    "bos_token_id": None,
    "causal": False,
    "dense_seq_output": True,
    "embd_pdrop": 0.0,
    "eos_token_id": None,
    "fused_bias_fc": True,
    "fused_dropout_add_ln": True,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "model_type": "nomic_bert",
    "n_embd": 42,
    "n_head": 3,
    "n_inner": 37,
    "n_layer": 3,
    "n_positions": 8192,
    "pad_vocab_size_multiple": 64,
    "parallel_block": False,
    "parallel_block_tied_norm": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "reorder_and_upcast_attn": False,
    "resid_pdrop": 0.0,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "summary_activation": None,
    "summary_first_dropout": 0.0,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "torch_dtype": "float32",
    "transformers_version": "4.37.2",
    "type_vocab_size": 2,
    "use_cache": True,
    "use_flash_attn": True,
    "use_rms_norm": False,
    "use_xentropy": True,
    "vocab_size": V,
}
NOMIC_NATIVE = {
    "model_type": "nomic_bert",
    "hidden_act": "silu",
    "hidden_size": 42,
    "intermediate_size": 37,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 8192,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "rope_parameters": {"rope_theta": 1000.0, "rope_type": "default"},
    "type_vocab_size": 2,
    "vocab_size": V,
}
MODERNBERT = {
    "architectures": ["ModernBertForMaskedLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 2,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "classifier_dropout": 0.0,
    "classifier_pooling": "mean",
    "cls_token_id": 2,
    "decoder_bias": True,
    "deterministic_flash_attn": False,
    "embedding_dropout": 0.0,
    "eos_token_id": 3,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "gradient_checkpointing": False,
    "hidden_activation": "gelu",
    "hidden_size": 42,
    "initializer_cutoff_factor": 2.0,
    "initializer_range": 0.02,
    "intermediate_size": 37,
    "layer_norm_eps": 1e-05,
    "local_attention": 10,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "mlp_dropout": 0.0,
    "model_type": "modernbert",
    "norm_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": 3,
    "num_hidden_layers": 5,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "repad_logits_with_grad": False,
    "sep_token_id": 3,
    "sparse_pred_ignore_index": -100,
    "sparse_prediction": False,
    "torch_dtype": "float32",
    "transformers_version": "4.47.0.dev0",
    "vocab_size": V,
}
GTE = {
    "architectures": ["NewModel"],
    "attention_probs_dropout_prob": 0.0,
    "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
    "classifier_dropout": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 42,
    "initializer_range": 0.02,
    "intermediate_size": 37,
    "layer_norm_eps": 1e-12,
    "layer_norm_type": "layer_norm",
    "logn_attention_clip1": False,
    "logn_attention_scale": False,
    "max_position_embeddings": 8192,
    "model_type": "new",
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "pack_qkv": True,
    "pad_token_id": 1,
    "position_embedding_type": "rope",
    "rope_scaling": {"factor": 8.0, "type": "ntk"},
    "rope_theta": 20000,
    "torch_dtype": "float16",
    "transformers_version": "4.39.1",
    "type_vocab_size": 1,
    "unpad_inputs": False,
    "use_memory_efficient_attention": False,
    "vocab_size": V,
}
GTE_NATIVE = {
    "model_type": "gte",
    "hidden_act": "gelu",
    "hidden_size": 42,
    "intermediate_size": 37,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 8192,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "pad_token_id": 1,
    "vocab_size": V,
}
# fixed NTK scaling (https://kexue.fm/archives/9706, equation 6) in the words of transformers: a larger base, and then
# the same division of every frequency
NTK = {"rope_theta": 8.0 * 20000, "rope_type": "linear", "factor": 8.0 ** (2 / 14)}
GOLDENS = {
    "nomic_bert": Golden(NOMIC, "layers", nomic_names, NOMIC_NATIVE, lengths=LENGTHS, kept=KEPT, spread=SPREAD),
    "modernbert": Golden(
        MODERNBERT,
        "layers",
        renamed(("^", "model.")),
        lengths=LENGTHS,
        kept=KEPT,
        spread=SPREAD,
        spare={"head.dense.weight": (42, 42), "head.norm.weight": (42,), "decoder.bias": (V,)},
    ),
    "new": Golden(
        GTE,
        "layers",
        gte_names,
        GTE_NATIVE | {"rope_parameters": NTK, "type_vocab_size": 1},
        "cls",
        LENGTHS,
        KEPT,
        spread=SPREAD,
    ),
    "gte": Golden(
        GTE | {"model_type": "gte", "rope_scaling": None, "rope_theta": 500000, "type_vocab_size": 0},
        "layers",
        gte_names,
        GTE_NATIVE | {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}, "type_vocab_size": 0},
        "cls",
        LENGTHS,
        KEPT,
        spread=SPREAD,
    ),
    "new+large": Golden(
        GTE
        | {"num_hidden_layers": 2, "rope_scaling": {"factor": 2.0, "type": "ntk"}, "rope_theta": 160000}
        | {"type_vocab_size": 2},
        "layers",
        gte_names,
        GTE_NATIVE
        | {"num_hidden_layers": 2, "type_vocab_size": 2}
        | {"rope_parameters": {"rope_theta": 2.0 * 160000, "rope_type": "linear", "factor": 2.0 ** (2 / 14)}},
        "cls",
        spread=SPREAD,
    ),
}
