"""Atomic operations on words that threads share, sequentially consistent."""

from typing import Any

from numba import types
from numba.core.typing.templates import signature
from numba.extending import intrinsic

_words = types.CPointer(types.int64)


def _atomic(name: str, emit: Any, result: Any, *parameters: Any) -> Any:
    names = ", ".join(f"a{i}" for i in range(len(parameters)))

    def build(*_: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            made = emit(builder, *args)
            return context.get_dummy_value() if made is None else made

        return signature(result, *parameters), generate

    scope: dict[str, Any] = {"build": build}
    exec(f"def {name}(typing_context, {names}): return build({names})", scope)
    return intrinsic(scope[name])


def _swap(builder: Any, pointer: Any, expected: Any, wanted: Any) -> Any:
    pair = builder.cmpxchg(pointer, expected, wanted, "seq_cst", "seq_cst")
    return builder.extract_value(pair, 1)


read = _atomic("read", lambda b, p: b.load_atomic(p, "seq_cst", 8), types.int64, _words)
write = _atomic("write", lambda b, p, v: b.store_atomic(v, p, "seq_cst", 8), types.void, _words, types.int64)
add = _atomic("add", lambda b, p, v: b.atomic_rmw("add", p, v, "seq_cst"), types.int64, _words, types.int64)
swap = _atomic("swap", _swap, types.boolean, _words, types.int64, types.int64)
