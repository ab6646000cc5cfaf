"""The architecture of an encoder, as one frozen dataclass whose field names follow Hugging Face's config.json."""

from dataclasses import dataclass, fields

from minembed.errors import ConfigError, UnsupportedModelError

ACTIVATIONS = ("gelu",)  # the erf form; "gelu_new" and friends are other functions
LARGEST_SIZE = 1 << 24  # far beyond any real model: stops a damaged config before it allocates


@dataclass(frozen=True, slots=True)
class Config:
    """What a checkpoint's config.json says about the mathematics.

    Raises ConfigError for values that contradict each other and UnsupportedModelError for an activation that is
    not computed here.

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
    type_vocab_size: int
    hidden_act: str
    layer_norm_eps: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and not (type(value) is int and 0 < value <= LARGEST_SIZE):
                raise ConfigError(f"{field.name} must be a whole number from 1 to {LARGEST_SIZE}, not {value!r}")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} does not split into num_attention_heads {self.num_attention_heads}"
            )
        if not isinstance(self.layer_norm_eps, float) or not 0 < self.layer_norm_eps < 1:
            raise ConfigError(f"layer_norm_eps must be a number between 0 and 1, not {self.layer_norm_eps!r}")
        if self.hidden_act not in ACTIVATIONS:
            raise UnsupportedModelError(
                f"hidden_act {self.hidden_act!r} is not computed here; known: {', '.join(ACTIVATIONS)}"
            )

    @property
    def head_size(self) -> int:
        """K, the width of one attention head."""
        return self.hidden_size // self.num_attention_heads
