"""The type of a vector of 16 lanes in Numba, its arithmetic, and how a function of IR becomes one that kernels call."""

import operator
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from minembed.kernels.vectors.emit import VF, VI
from minembed.kernels.vectors.target import LANES


class Vector(types.Type):
    """Numba's type of 16 lanes of float32, int32 or float64."""

    def __init__(self, dtype: str) -> None:
        super().__init__(name=f"vector({dtype} x {LANES})")


floats, ints = Vector("float32"), Vector("int32")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        super().__init__(dmm, fe_type, VF if fe_type is floats or fe_type == floats else VI)


# --- what is written between vectors: + - * /


def arithmetic(function: Callable[..., Any], kind: Vector, emit: str) -> None:
    """Let Numba compile an operator between two vectors of a kind to an instruction of IR."""

    @infer_global(function)
    class _Template(ConcreteTemplate):
        cases = (signature(kind, kind, kind),)

    @lower_builtin(function, kind, kind)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, emit)(*args)


for _function, _emit in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    arithmetic(_function, floats, _emit)
arithmetic(operator.truediv, floats, "fdiv")
arithmetic(operator.add, ints, "add")


def emitted(result: Any, *parameters: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make an intrinsic of a function of (builder, arguments) whose types are fixed; None takes any pointer."""

    def wrap(emit: Callable[..., Any]) -> Any:
        names = ", ".join(f"a{i}" for i in range(len(parameters)))

        def build(typing_context: Any, *args: Any) -> Any:
            wanted = [a if p is None else p for a, p in zip(args, parameters, strict=True)]

            def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
                made = emit(builder, *values)
                return context.get_dummy_value() if made is None else made

            return signature(args[0] if result is None else result, *wanted), generate

        scope: dict[str, Any] = {"build": build}  # Numba reads the names of an intrinsic's parameters
        exec(f"def {emit.__name__}(typing_context, {names}): return build(typing_context, {names})", scope)
        scope[emit.__name__].__doc__ = emit.__doc__
        return intrinsic(scope[emit.__name__])

    return wrap
