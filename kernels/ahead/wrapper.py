"""The C signature of an entry: `int64_t minembed_NAME(const int64_t *words)`, for all kinds of arguments.

Words are the arguments in order: of an array its address, then its shape; of a tuple its members; integers as they are;
a float's bits and a bool's 0 or 1 in the low bytes.  It returns the entry's result, or 0 if it has none; FAILED if
Numba would raise (a division by zero), without the kind of error.
"""

from typing import Any

from numba.core import types

from minembed.kernels.libraries import FAILED


class Wrapper:
    """The IR of an entry, and the number of words it reads."""

    def __init__(self, name: str, function: str, kinds: tuple[Any, ...], returns: Any) -> None:
        plain: Any = types.unliteral
        returns = plain(returns)
        if returns not in (types.none, types.int64):
            raise TypeError(f"{name} returns {returns}, which has no word")
        self.words = 0
        self._lines: list[str] = []
        self._arguments: list[str] = []
        self._values = 0
        for kind in kinds:
            self._take(kind)
        self.returns = "none" if returns == types.none else "int64"
        self.arguments = ["ptr", "ptr", *(text.split()[0] for text in self._arguments)]  # LLVM's types
        self.text = self._assemble(name, function)

    def _assemble(self, name: str, function: str) -> str:
        place, nothing = ("ptr", "null") if self.returns == "none" else ("i64", "0")
        result = "0" if self.returns == "none" else "%result"
        body = "\n  ".join(self._lines)
        return (
            f'declare i32 @"{function}"({", ".join(self.arguments)})\n'
            f"define i64 @minembed_{name}(ptr %words) {{\n  %place = alloca {place}\n  %raised = alloca ptr\n"
            f"  store {place} {nothing}, ptr %place\n  {body}\n"
            f'  %status = call i32 @"{function}"(ptr %place, ptr %raised, {", ".join(self._arguments)})\n'
            + (f"  %result = load {place}, ptr %place\n" if result == "%result" else "")
            + f"  %well = icmp eq i32 %status, 0\n  %answer = select i1 %well, i64 {result}, i64 {FAILED}\n"
            "  ret i64 %answer\n}\n"
        )

    def _word(self) -> str:
        here = self._value(f"getelementptr i64, ptr %words, i64 {self.words}")
        self.words += 1
        return self._value(f"load i64, ptr {here}")

    def _value(self, expression: str) -> str:
        self._values += 1
        self._lines.append(f"%v{self._values} = {expression}")
        return f"%v{self._values}"

    def _take(self, kind: Any) -> None:
        if isinstance(kind, types.Array):
            self._take_array(kind)
        elif hasattr(kind, "types"):  # a tuple's
            for part in kind.types:
                self._take(part)
        elif kind == types.int64:
            self._arguments.append(f"i64 {self._word()}")
        elif kind == types.boolean:
            self._arguments.append(f"i8 {self._value(f'trunc i64 {self._word()} to i8')}")
        elif kind == types.float64:
            self._arguments.append(f"double {self._value(f'bitcast i64 {self._word()} to double')}")
        elif kind == types.float32:
            low = self._value(f"trunc i64 {self._word()} to i32")
            self._arguments.append(f"float {self._value(f'bitcast i32 {low} to float')}")
        else:
            raise TypeError(f"{kind} has no words")

    def _take_array(self, kind: Any) -> None:
        """Numba's struct of an array without an owner: two nulls, items, itemsize, address, shape, strides."""
        address = self._value(f"inttoptr i64 {self._word()} to ptr")
        shape, size = [self._word() for _ in range(kind.ndim)], kind.dtype.bitwidth // 8
        items, strides = shape[0], [str(size)]
        for length in shape[1:]:
            items = self._value(f"mul i64 {items}, {length}")
        for length in reversed(shape[1:]):
            strides.insert(0, self._value(f"mul i64 {strides[0]}, {length}"))
        fields = ("ptr null", "ptr null", f"i64 {items}", f"i64 {size}", f"ptr {address}")
        self._arguments += [*fields, *(f"i64 {word}" for word in (*shape, *strides))]
