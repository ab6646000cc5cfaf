"""Small object files written in LLVM IR, so that no C compiler and no C library is needed.

One queries the features of an x86 CPU; others define symbols that are missing without a C library.
"""

from pathlib import Path

import llvmlite.binding as llvm

from minembed.kernels.ahead.platforms import Platform

# cpuid writes eax, ebx, ecx and edx of a leaf and a subleaf; xgetbv reads which state the system saves (XCR0)
DETECTOR = """
define void @minembed_cpuid(i32 %leaf, i32 %subleaf, ptr %out) {
  %r = call { i32, i32, i32, i32 } asm sideeffect "cpuid",
    "={ax},={bx},={cx},={dx},{ax},{cx},~{dirflag},~{fpsr},~{flags}"(i32 %leaf, i32 %subleaf)
  store { i32, i32, i32, i32 } %r, ptr %out
  ret void
}
define i64 @minembed_xgetbv() {
  %r = call { i32, i32 } asm sideeffect "xgetbv", "={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}"(i32 0)
  %low = extractvalue { i32, i32 } %r, 0
  %high = extractvalue { i32, i32 } %r, 1
  %a = zext i32 %low to i64
  %d = zext i32 %high to i64
  %upper = shl i64 %d, 32
  %both = or i64 %a, %upper
  ret i64 %both
}
"""
# LLVM generates calls of these; volatile, or LLVM would turn the loop into a call of the function itself
MEMSET = """
define hidden ptr @memset(ptr %to, i32 %value, i64 %count) {
  %byte = trunc i32 %value to i8
  br label %test
test:
  %i = phi i64 [ 0, %0 ], [ %next, %more ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %done, label %more
more:
  %place = getelementptr i8, ptr %to, i64 %i
  store volatile i8 %byte, ptr %place
  %next = add i64 %i, 1
  br label %test
done:
  ret ptr %to
}
"""
COPY = """
define hidden ptr @NAME(ptr %to, ptr %from, i64 %count) {
  %a = ptrtoint ptr %to to i64
  %b = ptrtoint ptr %from to i64
  %apart = sub i64 %a, %b
  %backward = icmp ult i64 %apart, %count
  br label %test
test:
  %i = phi i64 [ 0, %0 ], [ %next, %more ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %done, label %more
more:
  %next = add i64 %i, 1
  %mirrored = sub i64 %count, %next
  %at = select i1 %backward, i64 %mirrored, i64 %i
  %source = getelementptr i8, ptr %from, i64 %at
  %byte = load volatile i8, ptr %source
  %target = getelementptr i8, ptr %to, i64 %at
  store volatile i8 %byte, ptr %target
  br label %test
done:
  ret ptr %to
}
"""
MEMORY = MEMSET + COPY.replace("NAME", "memmove") + COPY.replace("NAME", "memcpy")
# On Windows: the entry point, called when the library is opened, and the marker of code that uses floats
WINDOWS = """
@_fltused = global i32 0
define i32 @DllMainCRTStartup(ptr %library, i32 %reason, ptr %reserved) {
  ret i32 1
}
"""


def emit_detector(platform: Platform, file: Path) -> None:
    """Write the object that queries the CPU."""
    exported = "define dllexport" if platform.suffix == ".dll" else "define"
    _emit(platform, DETECTOR.replace("define", exported), file)


def emit_missing(platform: Platform, file: Path) -> None:
    """Write the object of what a C library would define: Windows has several of them, so none is required."""
    _emit(platform, MEMORY + WINDOWS if platform.suffix == ".dll" else "", file)


def _emit(platform: Platform, text: str, file: Path) -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    target = llvm.Target.from_triple(platform.triple)
    cpu = "x86-64" if platform.machine == "x86_64" else "generic"
    machine = target.create_target_machine(cpu=cpu, reloc="pic", codemodel="default")
    head = f'target triple = "{platform.triple}"\ntarget datalayout = "{machine.target_data}"\n'
    file.write_bytes(machine.emit_object(llvm.parse_assembly(head + text)))
