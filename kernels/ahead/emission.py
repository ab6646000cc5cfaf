"""Object code of every entry for one variant: Numba types and lowers as usual, but possibly for another CPU.

    python -m minembed.kernels.ahead.emission VARIANT PLATFORM FOLDER

It writes NAME.o for every entry, and about.json.  A process compiles one variant: kernels read their target once.
The compiled code is never run here.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from minembed.kernels.ahead.platforms import PLATFORMS, Platform
from minembed.kernels.compiled.sources import FROZEN, hashes_of, sources
from minembed.kernels.compiled.variants import VARIANTS, Variant
from minembed.kernels.entries import ENTRIES, ON_TILES, Entry

TESTED = {"numba": "0.68.1", "llvmlite": "0.50.0"}

# Arrays come without an owner, so nobody calls it; but Numba leaves in what would give back one that is null
NO_OWNER = "define void @NRT_MemInfo_call_dtor(ptr %p) {\n  ret void\n}\n"
SQUARE_ROOTS = {"@sqrtf(": "@llvm.sqrt.f32(", "@sqrt(": "@llvm.sqrt.f64("}  # calls of libm otherwise


def compile_for(variant: Variant, platform: Platform) -> None:
    """Make Numba and the kernels compile for a variant from now on.  Call it before any kernel is imported."""
    if any(name in sys.modules for name in ("minembed.kernels.tiles.shapes", "minembed.kernels.vectors.emit")):
        raise RuntimeError("kernels are imported: they have asked already what they are compiled for")
    from minembed.kernels.tiles import permission
    from minembed.kernels.vectors import target

    target.TARGET = permission.TARGET = variant.target
    permission.permitted = lambda: True  # tiles are compiled; permission is asked for when they are called
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    from numba.core import codegen

    llvm.get_process_triple = lambda: platform.triple

    class Codegen(codegen.JITCPUCodegen):
        """Numba's code generator without an engine, which would load the code."""

        def _init(self, module: Any) -> None:
            options = {"cpu": variant.cpu, "features": variant.llvm_features, "reloc": "pic", "codemodel": "default"}
            self._tm = llvm.Target.from_triple(platform.triple).create_target_machine(opt=3, **options)
            self._tm_features = variant.llvm_features
            self._target_data = self._tm.target_data
            self._data_layout = str(self._target_data)
            self._loopvect, self._opt_level, self._engine = False, 0, None

        def _add_module(self, module: Any) -> None:
            pass

        def set_env(self, env_name: str, env: Any) -> None:
            pass

    codegen.JITCPUCodegen = Codegen
    codegen.JITCodeLibrary._finalize_specific = lambda self: None
    codegen.JITCodeLibrary.get_pointer_to_function = lambda self, name: 1


def entries_of(variant: Variant) -> dict[str, Entry]:
    """The entries in the library of a variant.

    >>> "run_tiled" in entries_of(VARIANTS["avx512bf16"]), "run_tiled" in entries_of(VARIANTS["avx2"])
    (True, False)
    """
    return {name: entry for name, entry in ENTRIES.items() if variant.target.amx or name not in ON_TILES}


def emit_entry(name: str, entry: Entry) -> tuple[bytes, dict[str, Any]]:
    """Object code of an entry, and its record for the manifest."""
    from numba.core.caching import NullCache

    from minembed.kernels.ahead.wrapper import Wrapper
    from minembed.kernels.compiled.numba_types import signature

    dispatcher = getattr(import_module(f"minembed.kernels.{entry.module}"), entry.function)
    dispatcher._cache = NullCache()
    kinds = signature(name)
    dispatcher.compile(kinds)
    made = dispatcher.overloads[kinds]
    function = made.fndesc.llvm_func_name
    wrapper = Wrapper(name, function, kinds, made.signature.return_type)
    module = _optimised(made.library).clone()
    _check(name, module.get_function(function), wrapper)
    machine = made.library.codegen._tm
    module = _alone(module, f"minembed_{name}", wrapper.text, machine)
    return machine.emit_object(module), {"words": wrapper.words, "returns": wrapper.returns}


def _optimised(library: Any) -> Any:
    from numba.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:
        library._ensure_finalized()  # links what it calls
    return library._final_module


def _check(name: str, function: Any, wrapper: Any) -> None:
    """Check the types, since LLVM would link a wrapper that calls the function with any arguments."""
    takes = [str(argument.type) for argument in function.arguments]
    if takes != wrapper.arguments:
        raise TypeError(f"{name} takes {takes}, the wrapper gives {wrapper.arguments}")


def _alone(module: Any, kept: str, wrapper: str, machine: Any) -> Any:
    """The module with a wrapper and only what this needs; fails if a library would be needed."""
    from llvmlite.binding import newpassmanagers as passes

    head = f'target triple = "{module.triple}"\ntarget datalayout = "{module.data_layout}"\n'
    module.link_in(llvm.parse_assembly(head + wrapper))
    if any(function.name == "NRT_MemInfo_call_dtor" for function in module.functions):
        module.link_in(llvm.parse_assembly(head + NO_OWNER))
    for part in (*module.functions, *module.global_variables):
        if not part.is_declaration:
            part.linkage = "external" if part.name == kept else "internal"
    _rename(module)
    if "windows" in module.triple:  # otherwise the linker would export every constant
        module.get_function(kept).storage_class = "dllexport"
    manager = passes.create_new_module_pass_manager()
    manager.add_global_dead_code_eliminate_pass()
    manager.add_strip_dead_prototype_pass()
    manager.run(module, passes.create_pass_builder(machine, passes.create_pipeline_tuning_options(2)))
    text = str(module)
    for call, instruction in SQUARE_ROOTS.items():
        text = text.replace(call, instruction)
    module = llvm.parse_assembly(text)
    module.verify()
    outside = {f.name for f in module.functions if f.is_declaration and not _is_instruction(f.name)}
    if outside := outside - ALLOWED:
        raise ValueError(f"{kept} calls what no library of ours has: {', '.join(sorted(outside))}")
    return module


def _rename(module: Any) -> None:
    """Number what is internal: Numba's names count what it compiled before, and equal code would differ in them."""
    for i, part in enumerate((*module.functions, *module.global_variables)):
        if part.linkage.name == "internal":
            part.name = f"part.{i}"


def _is_instruction(name: str) -> bool:
    """Whether LLVM compiles an intrinsic to instructions, not to a call of libm."""
    first, _, rest = name.partition(".")
    return first == "llvm" and rest.partition(".")[0] not in LIBM


LIBM = {"exp", "exp2", "exp10", "log", "log2", "log10", "pow", "powi", "sin", "cos", "tan", "sincos", "ldexp", "frexp"}
NOT_COMPILED = ("kernels/ahead/", "kernels/compiled/", "kernels/libraries.py", "kernels/vectors/detect.py")
NOT_COMPILED += ("kernels/encoder/packing.py",)  # Python alone, imported for an array that begins at a cache line
ALLOWED = {"memset", "memcpy", "memmove"}  # of the C library, which every Python process has


def emit(variant: Variant, platform: Platform, folder: Path) -> None:
    """Write the objects of a variant, and their records for the manifest."""
    compile_for(variant, platform)
    about = {}
    for name, entry in entries_of(variant).items():
        code, about[name] = emit_entry(name, entry)
        (folder / f"{name}.o").write_bytes(code)
        print(f"  {variant.name}: {name}, {len(code):,} bytes", flush=True)
    from minembed.kernels.tiles.shapes import BFLOAT16_ROWS, BYTE_ROWS, PANEL, TILE_ROWS

    constants = {"panel": PANEL, "tile_rows": TILE_ROWS, "byte_rows": BYTE_ROWS, "bfloat16_rows": BFLOAT16_ROWS}
    told = {"constants": constants, "entries": about, "sources": hashes_of(compiled_from())}
    (folder / "about.json").write_text(json.dumps(told))


def compiled_from() -> set[str]:
    """The sources of the code compiled in this process: all imported kernels, without the compiling modules."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    kernels = {name for name, path in sources().items() if str(path) in files}
    return {name for name in kernels if not name.startswith(NOT_COMPILED)} | set(FROZEN)


if __name__ == "__main__":
    emit(VARIANTS[sys.argv[1]], PLATFORMS[sys.argv[2]], Path(sys.argv[3]))
