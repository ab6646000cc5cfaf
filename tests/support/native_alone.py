"""Tests of kernels where there is no Numba: what they ask it to compile comes from the libraries of this installation.

Most tests call the kernels through `JIT`, by the names in kernels/entries.py, and so are tests of the native kernels
too.  Those that compile functions of their own, or build libraries, need Numba.
"""

from importlib.util import find_spec

from minembed.runtime.backend import has_native

ALONE = not find_spec("numba") and has_native()
RUN = (  # of tests/kernels
    *("test_kernel_backends.py", "test_kernel_calling.py", "test_kernel_encoder.py", "test_kernel_fenced.py"),
    *("test_kernel_sharing.py", "test_kernel_tier.py", "test_kernel_training.py"),
)


def use_native() -> None:
    """Let `JIT` hand out native functions from now on."""
    from minembed.kernels.compiled.ahead_of_time import open_native
    from minembed.kernels.compiled.just_in_time import JustInTime

    for name in ("__getitem__", "bind", "compile", "is_compiled"):
        setattr(JustInTime, name, lambda self, *given, name=name: getattr(open_native(), name)(*given))
