"""The rows of `make proof`: what is tried, how often, and by which tests.

A row is run in pieces, each under a seed of its own, until `total` is reached; where it is 0, once, and what its tests
count is what was tried.  The sizes are those of the tests themselves (`amounts.py`), so there is nothing here to copy.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A promise, and the tests that try it."""

    name: str
    what: str
    unit: str
    tests: tuple[str, ...]  # files of tests/, files::functions, or files::functions[case]
    total: int = 0
    piece: int = 0  # at once
    needs: frozenset[str] = frozenset()  # features of the CPU
    tool: str = ""  # a program beside Python
    settings: dict[str, str] = field(default_factory=dict)  # environment
    flags: tuple[str, ...] = ()  # of Python
    python: str = ""  # "3.12": in an environment of its own
    native: bool = False  # needs compiled libraries in the checkout: make native
    make: str = ""  # a target of the Makefile that runs the tests, in an environment that it makes
    oldest: str = ""  # "3.10": the Python that the target makes its environment of
    usual: bool = False  # without the heavy tests


NUMBERS = [
    Row(
        f"vectors-{tier}-{dtype}",
        f"vectors of the real model in random batchings, orders and numbers of threads: {tier}, {dtype}",
        "vectors, to the bit",
        (f"models/test_concurrency.py::test_2000_texts_in_20_batchings_give_the_same_bits[{tier}-{dtype}]",),
        100_000,
        10_000,
        native=tier == "native",
    )
    for tier in ("numpy", "numba", "native")
    for dtype in ("float32", "bfloat16", "int8")
] + [
    Row(
        "strings-kinds",
        "strings spliced of all sorts, in five kinds of tokenizers, against `tokenizers`",
        "strings, each id",
        ("text/test_tokenizer_kinds.py::test_spliced_strings",),
        100_000,
        20_000,
    ),
    Row(
        "strings-minilm",
        "the same with the real model's tokenizer, and strings of 2,000 to 30,000 characters",
        "strings, each id",
        ("text/test_token_parity.py::test_spliced_strings", "text/test_token_parity.py::test_long_strings"),
        100_000,
        20_000,
    ),
    Row(
        "long-texts",
        "texts of 10 million characters: words, one word, CJK, emoji, spaces, `[MASK]`",
        "texts and kinds of tokenizers",
        (
            "text/test_prefix.py::test_ten_million_characters",
            "text/test_long_texts.py::test_ten_million_characters",
        ),
    ),
    Row(
        "memory",
        "texts of random length, in calls of 1 to 400, in both tiers: the process grows by less than 10 MB",
        "texts",
        ("models/test_processes.py::test_memory_is_flat_over_random_lengths",),
        2_000_000,
        2_000_000,
    ),
]
FILES = [
    Row(
        "weights",
        "mutated files of weights: parameters or a named error, and nothing that safetensors refuses",
        "files",
        ("weights/test_weights_faults.py::test_many_mutated_files",),
        100_000,
        10_000,
    ),
    Row(
        "settings",
        "mutated settings (config, modules, pooling, length, prompts, Dense, LayerNorm): a named error, or the vectors "
        "of what a second reader makes of them",
        "files",
        ("weights/test_directory_faults.py::test_many_mutated_settings",),
        100_000,
        6_400,
    ),
    Row(
        "tokenizers",
        "mutated tokenizers of every kind: a named error, or the ids of `tokenizers`",
        "files",
        (
            "text/test_tokenizer_faults.py::test_many_damaged_tokenizer_json",
            "text/test_tokenizer_faults.py::test_many_damaged_older_files",
            "weights/test_directory_faults.py::test_many_mutated_tokenizers",
        ),
        100_000,
        10_000,
    ),
    Row(
        "adapters",
        "mutated LoRA adapters: a named error, or (the first 5,000) the vectors of peft",
        "folders",
        ("weights/test_adapter_mutations.py::test_mutated_adapters",),
        100_000,
        10_000,
    ),
    Row(
        "indexes",
        "mutated indexes, also with checksums that fit: a named error, or the right answers",
        "folders",
        ("search/test_index_files.py::test_many_mutants",),
        100_000,
        10_000,
    ),
    Row(
        "jobs",
        "mutated plans and manifests of jobs: a named error, or every row is there once with its bytes",
        "files",
        ("jobs/test_job_faults.py::test_damaged_plans_and_manifests[2000-2]",),
        100_000,
        10_000,
    ),
    Row(
        "checkpoints",
        "mutated checkpoints of trainings: a named error, or the state that was written",
        "folders",
        ("train/test_train_checkpoints.py::test_mutants_are_refused[2000-2]",),
        100_000,
        10_000,
    ),
    Row(
        "libraries",
        "damaged libraries of compiled kernels and their manifests: refused by name; what is opened has the bytes, and "
        "what is used has the signature, that it was built with",
        "folders",
        ("kernels/test_kernel_libraries.py::test_whatever_is_damaged_is_refused[2000]",),
        100_000,
        10_000,
    ),
    Row(
        "nothing-outside",
        "nothing imported, opened outside or connected to on a file's word (audit hook)",
        "tests",
        (
            "weights/test_directory_faults.py::test_loading_touches_nothing_outside_the_folder",
            "weights/test_directory_faults.py::test_nothing_is_imported_by_a_name_from_a_file",
            "weights/test_directory_faults.py::test_the_tokenizer_has_no_settings_that_lead_out",
        ),
    ),
]
MEMORY = [
    Row(
        "fences",
        "every array of every compiled function of encoders (random architectures), searches and trainings ends, and "
        "then begins, at a page that nobody may touch; compiled for this processor and lesser ones",
        "encodings, searches and steps",
        ("kernels/test_kernel_fenced.py",),
    ),
    Row(
        "parts",
        "each part of the encoder's workspaces ends, and then begins, at a page that nobody may touch, in each type: "
        "every number of rows up to 600 in 12 architectures, as one text and as several, on one core and two, and on "
        "emulated tiles; filled with garbage of two kinds: the same bits",
        "encodings",
        (
            "kernels/test_kernel_apart.py::test_no_part_is_left",
            "kernels/test_kernel_apart.py::test_no_part_is_left_on_tiles",
        ),
    ),
    Row(
        "valgrind",
        "compiled libraries (AVX2, SSE 4.1) under valgrind's memcheck: encoders of random architectures and of a real "
        "shape, on one core and two, searches, training steps: no error with a function of ours in its stack, and "
        "every bit of a result defined",
        "encoders, searches and steps",
        ("kernels/test_kernel_memcheck.py::test_memcheck_finds_nothing",),
        tool="valgrind",
    ),
    Row(
        "helper-delayed",
        "single queries on two cores, with random delays around each atomic step of both: the same bits",
        "queries",
        ("kernels/test_kernel_delays.py::test_delays_change_no_bit",),
        10_000,
        10_000,
    ),
]
MEMORY += [
    Row(
        "helper-late",
        "single queries whose second core comes at a random moment, or must share the caller's core: the same bits",
        "queries",
        tuple(
            f"kernels/test_kernel_sharing.py::test_a_helper_that_comes_at_any_moment[{dtype}-4000]"
            for dtype in ("float32", "bfloat16", "int8")
        ),
        10_000,
        2_500,
    ),
]
SAVERS = {
    "model": ("a model is saved", "weights/test_saving.py::test_many_kills"),
    "index": ("an index is saved over another", "search/test_index_files.py::test_many_kills"),
    "checkpoint": ("a training's checkpoint is saved", "train/test_train_checkpoints.py::test_many_kills"),
    "job": ("the shards of a job are saved", "jobs/test_job_faults.py::test_many_kills"),
}
FAULTS = [
    Row(f"kills-{name}", f"SIGKILL at random moments while {what}: whole, or as before", "kills", (test,))
    for name, (what, test) in SAVERS.items()
]
FAULTS = [Row(row.name, row.what, row.unit, row.tests, 1000, 250) for row in FAULTS]
FAULTS += [
    Row(
        "failing-calls",
        "each write, fsync, rename, mkdir and open fails in turn while a model, an index, a checkpoint or a job is "
        "saved, or a model pulled, by up to five kinds of errors: a named error, and nothing is lost or left behind",
        "calls",
        (
            "weights/test_saving.py::test_the_nth_call_fails",
            "search/test_index_files.py::test_a_call_that_fails",
            "train/test_train_checkpoints.py::test_a_call_that_fails",
            "jobs/test_job_faults.py::test_every_call_that_fails",
            "weights/sources/test_pull_faults.py::test_a_failure_at_any_write_leaves_nothing",
        ),
    ),
    Row(
        "moments",
        "KeyboardInterrupt at every moment at which CPython raises it (single queries, searches of an index), or at "
        "every third to twenty-first (batches, top_k, trainings, saving): nothing is held, the same bits",
        "calls",
        ("models/test_each_moment.py",),
    ),
    Row(
        "interrupts",
        "KeyboardInterrupt at random moments: queries, batches, searches, top_k, trainings, and saving: nothing is "
        "lost or held, the same bits",
        "interrupts",
        (
            "models/test_interrupts.py::test_single_queries",
            "models/test_interrupts.py::test_batches",
            "models/test_interrupts.py::test_searches",
            "models/test_interrupts.py::test_top_k",
            "train/test_train_interrupts.py::test_training_steps",
            "search/test_index_files.py::test_interrupts_lose_no_index",
            "weights/test_saving.py::test_interrupts_leave_a_whole_model_or_none",
            "train/test_train_checkpoints.py::test_interrupts_lose_no_checkpoint",
        ),
        50_000,
        5_000,
    ),
    Row(
        "processes",
        "fork, spawn and forkserver after the first use, in both tiers: the same bytes, no hang",
        "starts of pools of two",
        ("models/test_processes.py::test_processes_started_after_the_first_use",),
        300,
        60,
    ),
]
SERVER = [
    Row(
        "server-hostile",
        "hostile requests to a real server: no 500, no hang, memory stays flat",
        "requests",
        ("serve/check_hostile.py::test_hostile_requests",),
        20_000,
        20_000,
    ),
    Row(
        "server-many",
        "200 clients at once: each answer has the bits of `encode` of its text alone",
        "requests",
        ("serve/check_many.py::test_no_byte_is_wrong_for_200_clients",),
        20_000,
        20_000,
    ),
    Row(
        "server-others",
        "slow, silent and killed clients, kills and signals",
        "tests",
        (
            "serve/check_hostile.py::test_slow_clients_are_not_waited_for",
            "serve/check_hostile.py::test_a_byte_at_a_time",
            "serve/check_hostile.py::test_clients_that_do_not_read",
            "serve/check_hostile.py::test_a_killed_server_can_be_started_again_at_once",
            "serve/check_hostile.py::test_a_second_signal_ends_it_at_once",
            "serve/check_many.py::test_clients_that_are_killed_disturb_nobody",
        ),
    ),
]
KERNELS = ("kernels",)
EXACTNESS = ("models/test_concurrency.py", "models/test_parity.py", "transformer")
SETS = {  # by LLVM's name of a CPU that has them
    "x86-64": ("SSE2", set()),
    "haswell": ("AVX2", {"avx2", "fma"}),
    "skylake-avx512": ("AVX-512 without VNNI", {"avx512f", "avx512vl"}),
    "cascadelake": ("AVX-512 with VNNI", {"avx512_vnni"}),
    "cooperlake": ("AVX-512 with VNNI and BF16", {"avx512_bf16"}),
}
MACHINES = [
    Row(
        f"cpu-{cpu}",
        f"{name} (Numba compiles for {cpu})",
        "tests",
        KERNELS + EXACTNESS,
        needs=frozenset(features),
        settings={"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""},
        usual=True,
    )
    for cpu, (name, features) in SETS.items()
]
ROOMS = ("models", "transformer", "text", "weights", "search", "runtime", "data", "jobs", "train")
MACHINES += [
    Row(
        "dev-mode", "`python -X dev`: Python's checks in debug builds", "tests", ROOMS, flags=("-X", "dev"), usual=True
    ),
    Row(
        "debug-malloc",
        "`PYTHONMALLOC=debug`: bytes around each block of memory",
        "tests",
        ROOMS,
        settings={"PYTHONMALLOC": "debug"},
        usual=True,
    ),
]
MACHINES += [
    Row(f"python-{version}", f"CPython {version}", "tests", ROOMS, python=version, usual=True)
    for version in ("3.10", "3.11", "3.12", "3.13", "3.14")
]
MACHINES += [
    Row("wheel", "this platform's wheel alone: its native kernels, no Numba", "tests", (), make="test-wheel"),
    Row("oldest", "the oldest versions that pyproject.toml allows", "tests", (), make="test-oldest", oldest="3.10"),
    Row(
        "arm",
        "aarch64 under QEMU, by its wheel: Cortex-A53 (NEON) and Neoverse N1 (dot products)",
        "tests",
        (),
        make="test-arm",
        tool="qemu-aarch64-static",
    ),
]
GROUPS = {
    "Numbers and texts": NUMBERS,
    "Files": FILES,
    "Memory and threads": MEMORY,
    "Interruptions": FAULTS,
    "The server": SERVER,
}
ROWS = {row.name: row for group in (*GROUPS.values(), MACHINES) for row in group}
NEVER = (
    "an ARM processor (only under qemu: `make test-arm`)",
    "macOS",
    "Windows",
    "musl",
    "PyPy",
    "a big-endian machine",
)
