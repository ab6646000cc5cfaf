"""The Numba type of a vector of 16 lanes, its arithmetic, and turning functions that emit IR into intrinsics.

Four vectors are a type too, `fours`: arithmetic and functions of vectors accept it, also mixed with vectors, which are
then repeated for each of the four.  A formula of fours compiles to that of four vectors, interleaved step by step: a
CPU looks some hundred instructions ahead, too few to reach the next vector by itself, and would wait for each result.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from minembed.kernels.vectors.emit import VF, VI
from minembed.kernels.vectors.instruction_sets import LANES

FOUR = 4


class Vector(types.Type):
    """Numba's type of 16 lanes of float32, int32 or float64, or of four times as many."""

    def __init__(self, dtype: str, lanes: int = LANES) -> None:
        self.lanes = lanes
        super().__init__(name=f"vector({dtype} x {lanes})")


floats, ints = Vector("float32"), Vector("int32")
fours, int_fours = Vector("float32", FOUR * LANES), Vector("int32", FOUR * LANES)
_of_four = {floats: fours, ints: int_fours}


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        element = (VF if fe_type in (floats, fours) else VI).element
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))


def widen(builder: Any, value: Any) -> Any:
    """A vector, four times; anything else is returned unchanged."""
    if not isinstance(value.type, ir.VectorType) or value.type.count != LANES:
        return value
    places = ir.Constant(ir.VectorType(ir.IntType(32), FOUR * LANES), [lane % LANES for lane in range(FOUR * LANES)])
    return builder.shuffle_vector(value, value, places)


# --- operators between vectors: + - * /


def arithmetic(function: Callable[..., Any], kind: Vector, emit: str) -> None:
    """Make Numba compile an operator between two vectors of a kind to an IR instruction."""

    wide = _of_four.get(kind)
    mixed = [] if wide is None else [(wide, wide), (wide, kind), (kind, wide)]

    @infer_global(function)
    class _Template(ConcreteTemplate):
        cases = (signature(kind, kind, kind), *(signature(wide, *pair) for pair in mixed))

    @lower_builtin(function, kind, kind)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, emit)(*args)

    def _lower_four(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, emit)(*(widen(builder, value) for value in args))

    for pair in mixed:
        lower_builtin(function, *pair)(_lower_four)


for _function, _emit in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    arithmetic(_function, floats, _emit)
arithmetic(operator.truediv, floats, "fdiv")
arithmetic(operator.add, ints, "add")


def emitted(result: Any, *parameters: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make an intrinsic of a function of (builder, arguments) with fixed types; None accepts any pointer.

    If one argument that should be a vector is `fours`, all vectors become `fours`, and so does the result.
    """

    def wrap(emit: Callable[..., Any]) -> Any:
        names = ", ".join(f"a{i}" for i in range(len(parameters)))

        def build(typing_context: Any, *args: Any) -> Any:
            four = any(p in _of_four and a == _of_four[p] for a, p in zip(args, parameters, strict=True))
            wanted = [a if p is None or (four and p in _of_four) else p for a, p in zip(args, parameters, strict=True)]
            made_of = _of_four.get(result, result) if four else result

            def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
                made = emit(builder, *(widen(builder, value) for value in values) if four else values)
                return context.get_dummy_value() if made is None else made

            return signature(args[0] if result is None else made_of, *wanted), generate

        scope: dict[str, Any] = {"build": build}  # Numba reads the names of an intrinsic's parameters
        exec(f"def {emit.__name__}(typing_context, {names}): return build(typing_context, {names})", scope)
        scope[emit.__name__].__doc__ = emit.__doc__
        return intrinsic(scope[emit.__name__])

    return wrap
