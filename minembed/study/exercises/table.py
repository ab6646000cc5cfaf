"""The twelve exercises, from the first score to the backward pass."""

from minembed.errors import InputError
from minembed.study.exercises import calls
from minembed.study.exercises.calls import each
from minembed.study.exercises.exercise import Exercise, in_place_of

BLOCKS = ("layer.*.attention_norm", "layer.?", "layer.??")  # the steps after a block is added to its input

EXERCISES = (
    Exercise(
        1,
        "scores",
        "Scores that grow with the width",
        in_place_of("layer.*.scores", call=each(calls.scores)),
        "    return products\n",
        "    return products / np.sqrt(query.shape[-1])\n",
        (
            "Each product sums K numbers. If these are of size 1, of what size is the sum, on average?",
            "The sum of K independent numbers grows as the square root of K: divide by it, before the softmax.",
        ),
    ),
    Exercise(
        2,
        "activation",
        "Nearly the same curve",
        in_place_of("layer.*.activated", call=each(calls.of_input)),
        "    share = (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2\n",
        "    share = (1 + erf(x / np.sqrt(2))) / 2\n",
        (
            "The share of a normal distribution below x has a name: its distribution function.",
            "It is (1 + erf(x / sqrt(2))) / 2; the tanh formula approximates it.",
        ),
    ),
    Exercise(
        3,
        "pool",
        "Which tokens count",
        in_place_of("pooled", call=each(calls.pool)),
        "    chosen = hidden[~special]\n",
        "    chosen = hidden\n",
        (
            "The encoder itself is right: only what is computed from its hidden states differs.",
            "The model was trained with the mean of all tokens, special ones included.",
        ),
    ),
    Exercise(
        4,
        "positions",
        "Off by one",
        in_place_of("embeddings.position", call=each(calls.positions)),
        "    return np.arange(1, length + 1)\n",
        "    return np.arange(length)\n",
        (
            "Which row of the table has the first token?",
            "BERT counts from 0; RoBERTa begins at padding_idx + 1.",
        ),
    ),
    Exercise(
        5,
        "attend",
        "Overheard",
        in_place_of("layer.*.context", call=calls.attend),
        "    for start, stop in [(0, query.shape[1])]:\n",
        "    for start, stop in zip(cu_seqlens[:-1], cu_seqlens[1:]):\n",
        (
            "The loop runs once, over the tokens of all texts. How often should it run?",
            "Once a text: from cu_seqlens[b] up to cu_seqlens[b + 1].",
        ),
    ),
    Exercise(
        6,
        "add_and_norm",
        "Before or after",
        in_place_of(*BLOCKS, call=each(calls.add_and_norm)),
        "    return x + norm(block)\n",
        "    return norm(x + block)\n",
        (
            "In BERT the result of each sum has mean 0 and variance 1, before the learned scale and shift.",
            "post-norm: the norm of the sum.",
        ),
    ),
    Exercise(
        7,
        "layer_norm",
        "A small number",
        in_place_of("embeddings", *BLOCKS, call=each(calls.layer_norm)),
        "np.float32(1e-5)",
        "np.float32(1e-12)",
        ("What does the text above say about layer_norm_eps?", "1e-5 is torch's default; this model has 1e-12."),
    ),
    Exercise(
        8,
        "split_heads",
        "Who asks whom",
        in_place_of("layer.*.query", "layer.*.key", "layer.*.value", call=each(calls.split_heads)),
        "    key, query, value = cut\n",
        "    query, key, value = cut\n",
        ("In which order do the three stand in the product?", "Queries first, then keys, then values."),
    ),
    Exercise(
        9,
        "embed",
        "Easily forgotten",
        in_place_of("embeddings.sum", call=each(calls.embed)),
        "    return word + position\n",
        "    return word + position + token_type\n",
        ("Which argument is not used?", "All three rows are added."),
    ),
    Exercise(
        10,
        "mean_pool",
        "The mean of nothing",
        in_place_of("pooled", call=calls.mean_pool),
        "    return padded.mean(axis=1)\n",
        "    return (padded * own[:, :, None]).sum(axis=1) / lengths[:, None]\n",
        (
            "By how many numbers is the sum of a short text divided, and how many of these are its own?",
            "Multiply padding by 0, sum, and divide by the text's own length.",
        ),
    ),
    Exercise(
        11,
        "quantize",
        "Rows or columns",
        in_place_of("layer.*.attention", call=each(calls.quantize)),
        "    largest = np.abs(weight).max(axis=1)  # of each row\n    scale = largest / 127\n"
        "    numbers = np.rint(weight / scale[:, None])\n",
        "    largest = np.abs(weight).max(axis=0)  # of each column\n    scale = largest / 127\n"
        "    numbers = np.rint(weight / scale)\n",
        (
            "In x @ numbers, which axis of the numbers is summed over? A scale must not differ along it.",
            "A scale a column: the largest over axis 0, and weight / scale.",
        ),
        0.05,
    ),
    Exercise(
        12,
        "softmax_vjp",
        "A sign",
        calls.slopes,
        "    return y * (dy + along)\n",
        "    return y * (dy - along)\n",
        (
            "If all dy of a row are equal, no score matters: dx must be 0. Is it?",
            "With dy = 1 everywhere `along` is 1, so that it has to be subtracted.",
        ),
    ),
)


def exercise(number: int) -> Exercise:
    """The exercise with a number; raises InputError if there is none.

    >>> exercise(8).title
    'Who asks whom'
    """
    if not 1 <= number <= len(EXERCISES):
        raise InputError(f"there is no exercise {number}: choose one from 1 to {len(EXERCISES)}")
    return EXERCISES[number - 1]
