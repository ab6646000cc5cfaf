"""Inspect, explain and change the inside of the encoder.

In reading order: `rules` (what each kind of step computes), `graph` (the steps of a model, in their order, with axes
and formulas), `tracing` (every number of one text), `backward` (the backward pass over the steps), `gradients`
(gradients with respect to any of these numbers).

Then `explaining` (why two texts are similar), on `frozen` and `parts` (a vector as a sum), `tangents` and `integrated`
(gradients along a path), `deleting` and `putting_to_test` (results without a token); `changes` and `editing` (a model
that computes with changed numbers), `effects`, `importance` and `restoring` (the effects of changes), and lenses:
`lenses` (stopping early), `attention_maps`, `firing` (what activates a neuron or a head), `precision` (where errors
arise), `padding` (the effect of padding).

>>> from minembed import Embedder
>>> from minembed.study import trace
>>> t = trace(Embedder.load("all-MiniLM-L6-v2"), "a cat")  # doctest: +SKIP
>>> t["layer.3.probabilities"].shape, t.steps["layer.3.probabilities"].formula  # doctest: +SKIP
((12, 4, 4), 'softmax(scores) over the keys')
"""

from minembed.study.attention_maps import attention_map, rollout
from minembed.study.changes import (
    Change,
    ablate_head,
    ablate_layer,
    ablate_neuron,
    mean_over,
    patch,
    replace_by,
    scale,
    zero,
)
from minembed.study.editing import Edited, edit
from minembed.study.effects import Effect, effect
from minembed.study.explaining import explain
from minembed.study.explanation import Explanation
from minembed.study.firing import Fired, Firing, fires_most
from minembed.study.gradients import Gradient, grad
from minembed.study.graph import Graph, graph_of
from minembed.study.importance import HeadImportance, head_importance
from minembed.study.lenses import Guess, LayerSimilarity, fill_mask_lens, similarity_by_layer
from minembed.study.padding import Padding, padded
from minembed.study.precision import Precision, precision_errors
from minembed.study.restoring import Restored, causal_trace
from minembed.study.step import Step
from minembed.study.traced import Trace
from minembed.study.tracing import trace

__all__ = ["Explanation", "Gradient", "Graph", "Step", "Trace", "explain", "grad", "graph_of", "trace"]
__all__ += ["Change", "Edited", "ablate_head", "ablate_layer", "ablate_neuron", "edit", "mean_over", "patch"]
__all__ += ["replace_by", "scale", "zero"]
__all__ += ["Effect", "HeadImportance", "Restored", "causal_trace", "effect", "head_importance"]
__all__ += ["Fired", "Firing", "Guess", "LayerSimilarity", "Padding", "Precision", "attention_map", "fill_mask_lens"]
__all__ += ["fires_most", "padded", "precision_errors", "rollout", "similarity_by_layer"]
