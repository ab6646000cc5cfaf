"""The platforms that libraries are built for, and how they are linked; object files for all can be made anywhere."""

import os
import platform as here
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from minembed.errors import BackendError

MEMORY = frozenset({"memset", "memcpy", "memmove"})  # of the C library, which every Python process has
APPLE = frozenset(  # of libSystem, in every process
    {"_memset", "_memcpy", "_memmove", "_bzero", "_memset_pattern16", "dyld_stub_binder"}
)
ELF = ("-nostdlib", "-Wl,--gc-sections", "-Wl,-s", "-Wl,-z,noexecstack", "-Wl,--build-id=none")
SYMBOL_TABLES = (2, 11)  # sections of an ELF file: of what is linked, of what is loaded
MACH_O_SYMBOLS = 2  # the load command of a Mach-O file's symbol table


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and a machine."""

    name: str
    machine: str
    triple: str  # LLVM's
    suffix: str  # of a library's name
    compilers: tuple[str, ...]  # commands that can link for it; the first one found is used
    zig: str  # Zig's name for it; its compiler links for all platforms (pip install ziglang)
    flags: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()  # symbols that every process there has

    def linker(self) -> list[str]:
        """The command that links a library for this platform.

        Raises BackendError if none is found.
        """
        for command in self.compilers:
            if shutil.which(command):
                return [command]
        if find_spec("ziglang"):
            return [sys.executable, "-m", "ziglang", "cc", "-target", self.zig]
        wanted = ", or ".join((*self.compilers, "Zig's (pip install ziglang)"))
        raise BackendError(f"nothing here links libraries for {self.name}: install a C compiler, {wanted}")


def _native(machine: str, *others: str) -> tuple[str, ...]:
    """Compilers, with the native one first if this machine is of that kind."""
    own = sys.platform == "linux" and here.machine() == machine
    return (os.environ.get("CC", "cc"), *others) if own else others


PLATFORMS: dict[str, Platform] = {
    platform.name: platform
    for platform in (
        Platform(
            *("linux-x86_64", "x86_64", "x86_64-unknown-linux-gnu", ".so"),
            *(_native("x86_64", "x86_64-linux-gnu-gcc"), "x86_64-linux-gnu.2.17", ELF, MEMORY),
        ),
        Platform(
            *("linux-aarch64", "aarch64", "aarch64-unknown-linux-gnu", ".so"),
            *(_native("aarch64", "aarch64-linux-gnu-gcc"), "aarch64-linux-gnu.2.17", ELF, MEMORY),
        ),
        Platform(
            *("macos-arm64", "aarch64", "arm64-apple-macosx11.0", ".dylib", ()),
            *("aarch64-macos.11.0", ("-Wl,-s",), APPLE),
        ),
        Platform(
            *("windows-x86_64", "x86_64", "x86_64-pc-windows-msvc", ".dll", ()),
            *("x86_64-windows-gnu", ("-nostdlib", "-Wl,-s")),
        ),
    )
}


def link(platform: Platform, objects: Sequence[Path], library: Path) -> None:
    """Link objects, in the order of their names, into a library that needs no other.

    Raises BackendError if there is no linker, or it fails, or a symbol is missing.
    """
    names = sorted(map(str, objects))
    command = [*platform.linker(), "-shared", *platform.flags, "-o", str(library), *names]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BackendError(f"{library.name} could not be linked: {done.stderr.strip()[-2000:]}")
    if platform.suffix == ".dll":
        _take_time_away(library)
    outside = set() if platform.suffix == ".dll" else undefined(library.read_bytes())  # else the linker refuses
    if outside := outside - platform.given:
        raise BackendError(f"{library.name} needs what is in no library of ours: {', '.join(sorted(outside))}")


def _take_time_away(library: Path) -> None:
    """Clear the link time of a Windows library, the only difference between two builds."""
    content = bytearray(library.read_bytes())
    (header,) = struct.unpack_from("<I", content, 0x3C)
    struct.pack_into("<I", content, header + 8, 0)
    library.write_bytes(content)


def undefined(library: bytes) -> set[str]:
    """The undefined symbols of a library or an object file: ELF or Mach-O, 64-bit, little-endian."""
    names = _undefined_in_elf(library) if library.startswith(b"\x7fELF") else _undefined_in_mach_o(library)
    return {library[place : library.index(b"\0", place)].decode() for place in names}


def _undefined_in_elf(elf: bytes) -> Iterator[int]:
    """The offsets of the names."""
    (sections,), (size, count) = struct.unpack_from("<Q", elf, 0x28), struct.unpack_from("<HH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, sections + i * size) for i in range(count)]
    for _, kind, _, _, offset, length, strings, *_ in headers:
        if kind in SYMBOL_TABLES:
            for place in range(offset, offset + length, 24):
                name, _, _, section, _, _ = struct.unpack_from("<IBBHQQ", elf, place)
                if name and not section:
                    yield headers[strings][4] + name


def _undefined_in_mach_o(library: bytes) -> Iterator[int]:
    (commands,), place = struct.unpack_from("<I", library, 16), 32
    for _ in range(commands):
        kind, size = struct.unpack_from("<II", library, place)
        if kind == MACH_O_SYMBOLS:
            symbols, count, strings, _ = struct.unpack_from("<IIII", library, place + 8)
            for i in range(count):
                name, flags, _, _, _ = struct.unpack_from("<IBBHQ", library, symbols + 16 * i)
                if flags & 0xE0 == 0 and flags & 0x0E == 0:  # not for debugging, in no section
                    yield strings + name
        place += size
