"""Common functions of the tests of faults: checkpoint files written by hand, read back, and damaged at random."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np

from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params

SMALL = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
SMALL |= {"max_position_embeddings": 8, "max_seq_length": 8}
ODD = [0, 1, -1, 3, 2.0, 4e0, True, None, "F32", [], {}, 2**31, 2**53, 2**63, 2**64, 10**30, [0, 4], [4, 0], "\ud800"]
DTYPES = ["F32", "F16", "BF16", "F64", "I64", "U8", "BOOL", "F99", "F8_E4M3", "F4", "", "f32"]


def parameters(folder):
    """The parameters of a checkpoint folder."""
    return read_params(read_checkpoint(folder))


def arrays(tree):
    """All arrays of a tree of parameters, in order."""
    if isinstance(tree, np.ndarray):
        return [tree]
    if tree is None:
        return []
    branches = tree if isinstance(tree, tuple) else [getattr(tree, field.name) for field in fields(tree)]
    return [array for branch in branches for array in arrays(branch)]


def assert_same(params, expected):
    """Assert that two trees of parameters have the same bits, ready for use."""
    for a, b in zip(arrays(params), arrays(expected), strict=True):
        assert a.dtype == np.float32 and a.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(a, b, strict=True)


def write_raw(path, tensors, header=None, metadata=None):
    """Write a safetensors file by hand, tensors as {name: (dtype, shape, bytes)}: all dtypes, and wrong files too."""
    data, entries = b"", {} if metadata is None else {"__metadata__": metadata}
    for name, (dtype, shape, content) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    raw = json.dumps(entries).encode() if header is None else header
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)


def edit_header(dice, header):
    """Change one thing of the parsed header; sometimes the result is text that json.dumps could not have made."""
    entries = json.loads(header)
    names = [name for name in entries if name != "__metadata__"]
    name, other = dice.choice(names), dice.choice(names)
    entry = entries[name]
    kind = dice.randrange(12)
    if kind == 0:
        entry["dtype"] = dice.choice(DTYPES)
    elif kind == 1:
        entry["shape"] = dice.choice(
            [entry["shape"][::-1], [1, *entry["shape"]], [*entry["shape"], 1], dice.choice(ODD)]
        )
    elif kind == 2 and entry["shape"]:
        entry["shape"][dice.randrange(len(entry["shape"]))] = dice.choice(ODD)
    elif kind == 3:
        entry["data_offsets"][dice.randrange(2)] += dice.choice([-8, -4, -1, 1, 2, 4, 8, 2**31])
    elif kind == 4:
        entry["data_offsets"] = dice.choice(
            [entries[other]["data_offsets"], dice.choice(ODD), entry["data_offsets"][::-1]]
        )
    elif kind == 5:
        entries[name], entries[other] = entries[other], entries[name]
    elif kind == 6:
        entries[dice.choice(["x", "bert." + name, "pooler.x", "__metadata__", name + "\0", ""])] = entries.pop(name)
    elif kind == 7:
        del entry[dice.choice(list(entry))]
    elif kind == 8:
        entry[dice.choice(["extra", "dtype ", "offset"])] = dice.choice(ODD)
    elif kind == 9:
        entries["__metadata__"] = dice.choice([*ODD, {"a": dice.choice(ODD)}, {"format": "pt"}])
    text = json.dumps(entries, indent=dice.choice([None, None, 1]))
    if kind == 10:
        return text[:-1] + f", {json.dumps(name)}: {json.dumps(entries[dice.choice([name, other])])}}}"
    if kind == 11:
        return dice.choice([text + " " * 7, " \n" + text, text + "\0", text.replace("[", "[NaN,", 1), text * 2])
    return text


def mutate_safetensors(dice, content):
    """Damage the bytes of a safetensors file in one way."""
    end = 8 + int.from_bytes(content[:8], "little")
    kind, data = dice.randrange(8), bytearray(content)
    if kind < 3:
        header = edit_header(dice, content[8:end]).encode("utf-8", "surrogatepass")
        length = len(header) + (dice.choice([-1, 1, 8, 1 << 40]) if dice.random() < 0.05 else 0)
        return length.to_bytes(8, "little") + header + content[end:]
    if kind == 3:  # flips of single bits, in the header as often as in the data
        for _ in range(dice.choice([1, 1, 2, 8])):
            data[dice.randrange(dice.choice([8, end, len(data)]))] ^= 1 << dice.randrange(8)
    elif kind == 4:
        at = dice.randrange(dice.choice([end, len(data)]))
        del data[at : at + dice.choice([1, 4, 100, len(data)])]
    elif kind == 5:  # a piece of the file once more, somewhere else
        at, source = dice.randrange(len(data)), dice.randrange(len(data))
        piece = content[source : source + dice.choice([1, 4, 100, 4000])]
        data[at : at + dice.choice([0, len(piece)])] = piece
    elif kind == 6:
        at = dice.randrange(end)
        data[at : at + dice.randrange(4)] = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 5)))
    else:
        data += dice.choice([b"\0", bytes(4), content, b"PK\x05\x06" + bytes(18)])
    return bytes(data)


STRANGE = [
    None,
    True,
    False,
    0,
    1,
    -1,
    3,
    1 << 31,
    1 << 70,
    0.5,
    -0.0,
    1e400,
    float("nan"),
    "",
    "x",
    "\0",
    "..",
    "gelu",
]
STRANGE += [[], {}, [None], {"a": 1}, [["a", 1]], "[UNK]", "[CLS]", "WordLevel", "Whitespace", "BertNormalizer", 10**9]


def mutate_json(dice, content):
    """Damage a JSON file: its values most often, its text sometimes."""
    if dice.random() < 0.15:
        data = bytearray(content.encode())
        at = dice.randrange(len(data))
        kind = dice.randrange(3)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del data[at : at + dice.choice([1, 5, 50, len(data)])]
        else:
            data[at:at] = data[dice.randrange(len(data)) :][:50]
        return bytes(data)
    value = json.loads(content)
    for _ in range(dice.choice([1, 1, 2])):
        branch = _branch(dice, value)
        if not branch:
            continue
        key = dice.choice(list(branch)) if isinstance(branch, dict) else dice.randrange(len(branch))
        kind = dice.randrange(4)
        if kind == 0:
            del branch[key]
        elif kind == 1 and isinstance(branch, dict):
            branch[dice.choice(["x", "type", key + "s", "max_seq_length"])] = branch.pop(key)
        elif kind == 2 and isinstance(branch[key], int | float) and not isinstance(branch[key], bool):
            branch[key] += dice.choice([-1, 1, 100, 0.5, 1 << 40])
        else:
            branch[key] = copy.deepcopy(dice.choice(STRANGE))  # what is changed next must not be shared
    return json.dumps(value, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


def _branch(dice, value):
    """A list or object somewhere in a JSON value, large ones (a vocabulary) as seldom as small ones."""
    while True:
        values = list(value.values()) if isinstance(value, dict) else value
        inner = [v for v in values if isinstance(v, list | dict) and v]
        if not inner or dice.random() < 0.25:
            return value
        value = dice.choice(inner)


def start(script, *arguments):
    """Start a process that says "ready", and then waits for a line."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    """Give it the line."""
    process.stdin.write("\n")
    process.stdin.flush()


def failing(real, n, code, counts):
    """As `real`, but call n of those that count is an OSError of this code; and the list of these calls."""
    calls = []

    def fail(*args, **kwargs):
        if counts(args):
            calls.append(args)
            if len(calls) == n + 1:
                raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    return fail, calls


def _worked(process):
    """The CPU seconds of a process if the system shows them, otherwise its age."""
    try:
        return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return time.monotonic()


def kill_at_work(process, dice, longest=0.05):
    """Let it work for up to `longest` seconds of a core, however busy the machine is, and kill it."""
    begin, wanted = _worked(process), dice.uniform(0, longest)
    go(process)
    until = time.monotonic() + 100 * wanted
    time.sleep(wanted)
    while _worked(process) - begin < wanted and time.monotonic() < until:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
