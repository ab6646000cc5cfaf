"""The layout of an encoder on tiles as one tuple: its sizes, and the places of a layer's weights and vectors.

Widths, and those of heads, are padded to whole tiles: 32 columns, which as inputs of the next product are one step of
32 bfloat16.  The padding is zeros, in weights and biases, and therefore also in everything computed from them.
"""

from minembed.kernels.tiles.shapes import DEEP
from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.transformer.quantization import QuantizedLinear, group_size

SIDE = 32  # rows and columns of a block
SLOT = SIDE * SIDE + SIDE  # from one block's sums to the next: with 4096 bytes, loads would wait for stores
LINE = 64  # bytes of a cache line
DEPTH = 384  # rows of K in bfloat16 that a product takes at a time

Plan = tuple[int, ...]
NAMES = (
    "D", "WIDE", "F", "HEADS", "SIZE", "HEAD", "LAYERS",
    "EACH", "GROUP_D", "GROUP_C", "GROUP_F",
    "W_OUT", "W_UP", "W_DOWN", "W_LAYER", "S_OUT", "S_UP", "S_DOWN", "S_LAYER",
    "B_QKV", "N_HEADS", "B_OUT", "POST_A", "NORM_A", "B_UP", "B_DOWN", "POST_B", "NORM_B", "V_LAYER",
)  # fmt: skip
(
    D, WIDE, F, HEADS, SIZE, HEAD, LAYERS,
    EACH, GROUP_D, GROUP_C, GROUP_F,
    W_OUT, W_UP, W_DOWN, W_LAYER, S_OUT, S_UP, S_DOWN, S_LAYER,
    B_QKV, N_HEADS, B_OUT, POST_A, NORM_A, B_UP, B_DOWN, POST_B, NORM_B, V_LAYER,
) = range(len(NAMES))  # fmt: skip


def fill(width: int) -> int:
    """A width rounded up to whole tiles.

    >>> fill(33), fill(384)
    (64, 384)
    """
    return -(-width // DEEP) * DEEP


def plan_of(params: Params, config: Config, dtype: str = "bfloat16") -> Plan:
    """The plan of an encoder.

    Weights of int8 stay bytes if their groups are in the order in which kernels read them: unless heads are padded.
    Otherwise they are widened when the model is prepared.

    >>> plan_of(Params(None, ()), Config(9, 384, 6, 12, 1536, 16, 2, "gelu", 1e-5))[:8]
    (384, 384, 1536, 12, 32, 32, 6, 2)
    >>> len(planes_of(plan_of(Params(None, ()), Config(9, 384, 6, 12, 1536, 16, 2, "gelu", 1e-5), "float32")))
    3
    """
    width, wide, hidden = config.hidden_size, fill(config.hidden_size), fill(config.intermediate_size)
    heads, head = config.num_attention_heads, fill(config.head_size)
    up = hidden * (2 if config.gated else 1)
    first = params.layers[0] if params.layers else None
    own = 2 * head if first is not None and first.query_norm is not None else 0
    post = 2 * wide if first is not None and first.attention_post_norm is not None else 0
    weights = [(wide, 3 * head * heads), (heads * head, wide), (wide, up), (hidden, wide)]  # (K, N)
    stored = first is not None and isinstance(first.qkv, QuantizedLinear) and head == config.head_size
    groups = tuple(map(group_size, (width, heads * config.head_size, config.intermediate_size)))
    of_weights = (groups[0], groups[1], groups[0], groups[2])
    scales = [-(-K // g) * 2 * N * stored for (K, N), g in zip(weights, of_weights, strict=True)]
    vectors = [3 * head * heads, own, wide, post, 2 * wide, up, wide, post, 2 * wide]
    sizes = width, wide, hidden, heads, config.head_size, head, config.num_hidden_layers
    each = 4 if dtype == "float32" else 1 if stored else 2
    return (*sizes, each, *groups, *_ends([K * N for K, N in weights]), *_ends(scales), 0, *_ends(vectors))


def planes_of(plan: Plan) -> tuple[int, ...]:
    """The planes of operands: three for weights in float32, otherwise one.

    >>> planes_of((384, 384, 1536, 12, 32, 32, 6, 4))
    (0, 1, 2)
    """
    return (0, 1, 2) if plan[EACH] == 4 else (0,)


def _ends(lengths: list[int]) -> list[int]:
    return [sum(lengths[: i + 1]) for i in range(len(lengths))]
