"""OpenVINO as it compiles for shapes: one model whose lengths stay open, or one for every shape that occurs.

With fixed shapes, lengths are rounded up to a few steps, as people do who compile for fixed shapes: each (texts, padded
length) has a compiled model of its own, made before anything is timed. What that gains over open lengths, or loses to
padding, depends on the texts, so that both are settings.
"""

from bisect import bisect_left
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock

# About an eighth apart, so that little is padded; a shape that does not occur is never compiled.
STEPS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512)


def padded_length(length: int) -> int:
    """The step that a length is padded to; its own beyond the last one."""
    at = bisect_left(STEPS, length)
    return STEPS[at] if at < len(STEPS) else length


class FixedShapes:
    """Compiled models by shape, each with as many requests as there are streams."""

    def __init__(self, read: Callable, compile_model: Callable, inputs: list[str], streams: int):
        self.read, self.compile_model, self.inputs, self.streams = read, compile_model, inputs, streams
        self.requests: dict[tuple[int, int], SimpleQueue] = {}
        self.lock = Lock()  # streams may ask for a new shape at the same time

    def compiled(self, shape: tuple[int, int]) -> SimpleQueue:
        """The requests of a shape's model, which is compiled at its first use."""
        with self.lock:
            if shape not in self.requests:
                self.requests[shape] = self.make(shape)
            return self.requests[shape]

    def make(self, shape: tuple[int, int]) -> SimpleQueue:
        model = self.read()
        model.reshape({name: list(shape) for name in self.inputs})
        compiled, waiting = self.compile_model(model), SimpleQueue()
        for _ in range(self.streams):
            waiting.put(compiled.create_infer_request())
        return waiting
