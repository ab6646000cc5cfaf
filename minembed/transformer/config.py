"""The architecture of an encoder, as one frozen dataclass whose field names follow Hugging Face's config.json."""

from dataclasses import dataclass, fields

from minembed.errors import ConfigError, UnsupportedModelError

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu")  # "gelu" is the erf form
LARGEST_SIZE = 1 << 24  # far above any real model: refuses a damaged config before memory is allocated
FIELDS_FROM_ZERO: tuple[str, ...] = (
    "type_vocab_size",
    "padding_idx",
    "relative_attention_num_buckets",
    "local_attention",
)
FIELDS_FROM_ZERO += ("first_global_layer",)


@dataclass(frozen=True, slots=True)
class Config:
    """The part of a checkpoint's config.json that determines the computation; the defaults are BERT's.

    Raises ConfigError for values that contradict each other and UnsupportedModelError for an activation that is
    not supported.

    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> config.head_size
    32
    """

    vocab_size: int  # V
    hidden_size: int  # D
    num_hidden_layers: int
    num_attention_heads: int  # H
    intermediate_size: int  # F
    max_position_embeddings: int
    type_vocab_size: int  # 0: tokens have no segment
    hidden_act: str
    layer_norm_eps: float
    embedding_size: int | None = None  # E, the width of the embeddings, if it is not D
    head_dim: int | None = None  # K, if it is not D / H
    num_key_value_heads: int | None = None  # G, if several heads share keys and values
    padding_idx: int | None = None  # positions count from padding_idx + 1, and skip tokens with that id
    norm_type: str = "layer_norm"  # or "rms_norm"
    pre_norm: bool = False  # norms come before attention and feed-forward, not after the sums
    gated: bool = False  # one half of the intermediate layer is multiplied by the other half, which is activated
    position_embedding_type: str = "absolute"  # or "rotary", "alibi", "none"
    relative_attention_num_buckets: int = 0  # of MPNet: a learned bias for each range of distances
    rope_theta: float = 10000.0
    rope_scaling: float = 1.0  # positions are divided by this
    causal: bool = False  # a token attends only to itself and the tokens before it
    local_attention: int = 0  # the width of the window of local layers; 0: all layers attend to all tokens
    global_attn_every_n_layers: int = 1  # layers i, i + n, i + 2n, ... attend to all tokens,
    first_global_layer: int = 0  # from this i on
    local_rope_theta: float = 10000.0
    query_pre_attn_scalar: int | None = None  # scores are divided by its square root, if it is not K
    without_bias: tuple[str, ...] = ()  # of "qkv", "attention_output", "intermediate", "output", "norm"

    def __post_init__(self) -> None:
        bare = ("num_hidden_layers",) if self.position_embedding_type == "none" else ()  # static embeddings
        may_be_zero = (*FIELDS_FROM_ZERO, *bare)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int or (field.type == int | None and value is not None):
                least = 0 if field.name in may_be_zero else 1
                if not (type(value) is int and least <= value <= LARGEST_SIZE):
                    raise ConfigError(
                        f"{field.name} must be a whole number from {least} to {LARGEST_SIZE}, not {value!r}"
                    )
            if field.type is bool and not isinstance(value, bool):
                raise ConfigError(f"{field.name} must be true or false, not {value!r}")
        self._check_widths()
        if not isinstance(self.layer_norm_eps, float) or not 0 < self.layer_norm_eps < 1:
            raise ConfigError(f"layer_norm_eps must be a number between 0 and 1, not {self.layer_norm_eps!r}")
        for name in ("rope_theta", "local_rope_theta", "rope_scaling"):
            value = getattr(self, name)
            if not isinstance(value, float) or not 1 <= value < 1e12:
                raise ConfigError(f"{name} must be a number of at least 1, not {value!r}")
        for name, known in (
            ("hidden_act", ACTIVATIONS),
            ("norm_type", ("layer_norm", "rms_norm")),
            ("position_embedding_type", ("absolute", "rotary", "alibi", "none")),
        ):
            if getattr(self, name) not in known:
                raise UnsupportedModelError(
                    f"{name} {getattr(self, name)!r} is not supported; known: {', '.join(known)}"
                )

    def _check_widths(self) -> None:
        H, G = self.num_attention_heads, self.key_value_heads
        if self.head_dim is None and self.hidden_size % H:
            raise ConfigError(f"hidden_size {self.hidden_size} does not split into num_attention_heads {H}")
        if H % G:
            raise ConfigError(f"num_attention_heads {H} cannot share num_key_value_heads {G}")
        if self.position_embedding_type == "rotary" and self.head_size % 2:
            raise ConfigError(f"rotary positions turn pairs of columns: a head of {self.head_size} has a half one")
        if self.max_tokens < 1:
            raise ConfigError(
                f"max_position_embeddings {self.max_position_embeddings} leaves no position after the first "
                f"{self.max_position_embeddings - self.max_tokens}"
            )

    @property
    def head_size(self) -> int:
        """K, the width of one attention head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def key_value_heads(self) -> int:
        """G, the number of heads of keys and values."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def max_tokens(self) -> int:
        """The maximum number of tokens of a text, which is the number of positions."""
        return self.max_position_embeddings - (0 if self.padding_idx is None else self.padding_idx + 1)

    def is_local(self, layer: int) -> bool:
        """Whether tokens attend only to a window in this layer."""
        return self.local_attention > 0 and (layer - self.first_global_layer) % self.global_attn_every_n_layers != 0
