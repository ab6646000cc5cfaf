"""One step of a model, and its place in the source."""

import linecache
import re
from dataclasses import dataclass
from pathlib import Path

import minembed
from minembed.study.rules import Rule

FOLDER = str(Path(minembed.__file__).parent / "transformer")
ELSEWHERE = {  # steps that the encoder itself does not report: the file, and the beginning of the line
    "query": ("attention_seen.py", 'q = see(f"query'),
    "key": ("attention_seen.py", "k = np.ascontiguousarray(see("),
    "value": ("attention_seen.py", 'v = see(f"value'),
    "scores": ("attention_seen.py", 'p = see(f"scores'),
    "probabilities": ("attention_seen.py", 'p = see(f"probabilities'),
    "pooled": ("pooling.py", "def pool("),
    "module": ("modules.py", "def transform("),
    "vector": ("vectors.py", "def truncate_embeddings("),
}
COMPUTES = re.compile(r"see\(|normalize\(|^def ")  # lines that compute, not only name a result


@dataclass(frozen=True, slots=True)
class Step:
    """One intermediate result: its name, and how it is computed."""

    name: str  # "layer.0.qkv"
    inputs: tuple[str, ...]  # the names of the steps that it is computed from
    axes: tuple[str, ...]  # ("N", "D")
    shape: tuple[int, ...]
    formula: str  # in the notation of the encoder: "x W + b"
    rule: Rule
    source: str = ""  # "minembed/transformer/encoder.py:60", where it is computed

    def __str__(self) -> str:
        axes = ", ".join(self.axes)
        return f"{self.name}  ({axes}) = {self.shape}  {self.formula}  {self.source}"


def source_of(name: str, pre_norm: bool) -> str:
    """The place where a step is computed: "minembed/transformer/encoder.py:60".

    Steps of both forms of a layer occur twice in the encoder: first for pre-norm, then for post-norm.

    >>> source_of("layer.3.scores", pre_norm=False).split(":")[0]
    'minembed/transformer/attention_seen.py'
    """
    part = re.sub(r"^layer\.\d+\.", "", name)
    file, begin = ELSEWHERE.get(part.split(".")[0], ("encoder.py", f'"{part}"'))
    if re.fullmatch(r"layer\.\d+", name):
        begin = 'ops.see(f"layer.{i}"'
    lines = linecache.getlines(f"{FOLDER}/{file}")
    places = [i for i, line in enumerate(lines, 1) if begin in line and COMPUTES.search(line)]
    return f"minembed/transformer/{file}:{places[0 if pre_norm else -1]}"
