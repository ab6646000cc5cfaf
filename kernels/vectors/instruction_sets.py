"""Instruction sets: what the kernels can use, and the best tile shape.

Vectors have 16 lanes everywhere; LLVM splits them into the available registers (one of AVX-512, two of AVX2, four of
NEON or SSE), so only the shape of a tile and the dot product of bytes differ between instruction sets.
"""

from dataclasses import dataclass

from minembed.kernels.vectors.disabled import ALL_TILES

LANES = 16
TILES = {"amx-tile", "amx-bf16", "amx-int8"}


@dataclass(frozen=True, slots=True)
class Target:
    """An instruction set.

    >>> Target("x86_64", frozenset({"avx2", "fma"})).tile
    (6, 1)
    """

    machine: str  # first part of LLVM's triple
    features: frozenset[str]  # LLVM's names
    cpu: str = ""  # LLVM's name
    disabled: frozenset[str] = frozenset()  # the features that MINEMBED_DISABLE took away

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and vectors of the largest register tile: sums, one row of B and a broadcast fill the registers."""
        if "avx512f" in self.features:
            return 14, 2  # 28 + 2 + 1 of 32 registers of 16 lanes
        if "avx2" in self.features or self.machine in ("aarch64", "arm64"):
            return 6, 1  # 12 + 2 + 1 of 16 registers of 8 lanes; 24 + 4 + 1 of 32 of 4 lanes
        return 2, 1  # 8 + 4 + 1 of 16 registers of 4 lanes

    @property
    def byte_rows(self) -> int:
        """Rows of the largest tile of bytes.

        >>> Target("x86_64", frozenset({"avx2", "fma"})).byte_rows
        4
        """
        return self._rows_apart if self.dot_bytes in ("pmaddwd", "plain") else self.tile[0]

    @property
    def bfloat16_rows(self) -> int:
        """Rows of the largest tile of bfloat16."""
        return self.tile[0] if self.dot_bfloat16 else self._rows_apart

    @property
    def _rows_apart(self) -> int:
        """Rows of a tile whose numbers are split first: both halves of B and of A, and a mask, need registers."""
        return {14: 12, 6: 4}.get(self.tile[0], self.tile[0])  # 24 + 4 + 2 + 1 of 32; 8 + 4 + 2 + 1 of 16

    @property
    def dot_bytes(self) -> str:
        """The method to sum four unsigned bytes times four signed bytes into an int32 lane."""
        if {"avx512f", "avx512vnni"} <= self.features:
            return "vnni512"
        if "avxvnni" in self.features:
            return "vnni256"
        if "avx2" in self.features:
            return "pmaddwd"
        if "dotprod" in self.features and self.machine in ("aarch64", "arm64"):
            return "sdot"
        return "plain"

    @property
    def dot_bfloat16(self) -> bool:
        """Whether pairs of bfloat16 are multiplied and summed into float32 by one instruction, vdpbf16ps.

        Only if that is faster.  AMD's cores (Zen 4, Zen 5) start as many of them as multiply-adds of float32, so
        products are twice as fast.  Intel's start a quarter as many: measured on an Emerald Rapids, 87 GFLOP/s
        against 160 in float32.  LLVM names each Zen; the name of a virtual Intel CPU says little about it.

        >>> Target("x86_64", frozenset({"avx512f", "avx512bf16"}), "sapphirerapids").dot_bfloat16
        False
        """
        return self.has_bfloat16 and self._is_zen

    @property
    def has_bfloat16(self) -> bool:
        """Whether one instruction, vcvtneps2bf16, rounds 16 floats to bfloat16."""
        return {"avx512f", "avx512bf16"} <= self.features

    @property
    def is_far(self) -> bool:
        """Whether the cache with the weights has such a latency that all types of weights should be prefetched.

        On an Intel server this makes a query of 8 to 20 tokens a sixth to a third faster, in int8 and bfloat16.
        Zen's third level is near: there prefetching rounded weights costs time.  Without AVX-512 it was not measured.

        >>> Target("x86_64", frozenset({"avx512f"}), "icelake-server").is_far
        True
        """
        return "avx512f" in self.features and not self._is_zen

    @property
    def _is_zen(self) -> bool:
        return self.cpu.startswith("znver")

    @property
    def amx(self) -> bool:
        """Whether LLVM can compile tiles: to run them, the process must ask Linux as well (tiles/permission.py)."""
        return self.has_bfloat16 and self.features >= TILES

    def describe(self) -> str:
        """Name the instruction sets in use.

        >>> Target("x86_64", frozenset({"avx2"})).describe()
        'AVX2'
        """
        named = [("avx512f", "AVX-512"), ("avx512vnni", "VNNI"), ("avx512bf16", "BF16")]
        if "avx512f" not in self.features:
            named = [("avx2", "AVX2"), ("avxvnni", "AVX-VNNI"), ("neon", "NEON"), ("dotprod", "DotProd")]
        there = [label for feature, label in named if feature in self.features] + ["AMX"] * self.amx
        without = ", ".join(sorted({"amx" if name in ALL_TILES else name for name in self.disabled}))
        return (" ".join(there) or f"{self.machine}, plain") + (without and f" (MINEMBED_DISABLE: no {without})")
