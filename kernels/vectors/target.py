"""The features of this CPU.

An instruction that the CPU does not have raises no error: it ends the process.  So the instructions that are emitted,
and the library that is opened, are decided here: by what the CPU and the system report (detect.py), by what LLVM finds,
or by NUMBA_CPU_NAME and NUMBA_CPU_FEATURES if the user compiles for another machine.
"""

from importlib.util import find_spec
from typing import Any

from minembed.errors import BackendError
from minembed.kernels.vectors.detect import detect_target
from minembed.kernels.vectors.disabled import disabled_features
from minembed.kernels.vectors.instruction_sets import Target
from minembed.kernels.vectors.known_cpus import features_of
from minembed.runtime.backend import numba_settings


def read_target() -> Target:
    """Find the target of the kernels: this CPU, or the one that Numba is set to compile for.

    >>> read_target().tile[1] in (1, 2)
    True
    """
    if not numba_settings():
        try:
            return detect_target()
        except BackendError:  # no libraries here to detect it: ask LLVM
            if not find_spec("numba"):
                raise
    return target_of_numba()


def target_of_numba(config: Any = None) -> Target:
    """Find the target that Numba compiles for: this CPU, or the one in the user's settings.

    Raises InputError if MINEMBED_DISABLE has an unknown name.

    >>> target_of_numba().tile[1] in (1, 2)
    True
    """
    import llvmlite.binding as llvm
    from numba.core import config as numba_config

    settings = numba_config if config is None else config
    host = llvm.get_host_cpu_name()
    found = {name for name, there in dict(llvm.get_host_cpu_features()).items() if there}
    cpu = settings.CPU_NAME or host
    if cpu != host:
        found &= features_of(cpu)
    for item in filter(None, (settings.CPU_FEATURES or "").split(",")):
        if item[0] == "+":
            found.add(item[1:])
        else:  # LLVM also disables what depends on it
            rests = {"avx": "avx", "avx2": "avx", "avx512f": "avx512"}.get(item[1:], item[1:])
            found = {name for name in found if not name.startswith(rests) or (name, item[1:]) == ("avx", "avx2")}
    if not settings.ENABLE_AVX:
        found = {name for name in found if not name.startswith("avx")}
    without = disabled_features()
    machine = llvm.get_process_triple().partition("-")[0]
    return Target(machine, frozenset(found - without), cpu, without)


TARGET: Target = read_target()
