"""Checkpoints, caches and wheels made on the spot."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minembed.errors import SourceError
from minembed.weights.sources.mirrored import Mirror, Part

REPO = "sentence-transformers/all-MiniLM-L6-v2"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
FILES = {
    "modules.json": json.dumps(MODULES).encode(),
    "config.json": b'{"model_type": "bert"}',
    "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
    "tokenizer.json": b"{}",
    "model.safetensors": b"the weights" * 1000,
}
VARIABLES = (
    "HF_HUB_CACHE HUGGINGFACE_HUB_CACHE HF_HOME XDG_CACHE_HOME SENTENCE_TRANSFORMERS_HOME HF_HUB_OFFLINE HF_ENDPOINT "
    "TRANSFORMERS_OFFLINE HF_TOKEN HF_HUB_ETAG_TIMEOUT HF_HUB_DISABLE_PROGRESS_BARS MINEMBED_CACHE PYTHONPATH"
).split()
FOLDER = "fake_model/model"  # inside the wheel
PLAIN = {path: content for path, content in FILES.items() if path not in ("modules.json", "1_Pooling/config.json")}


def write(folder: Path, files: dict[str, bytes] = FILES, without: str = "") -> Path:
    for path, content in files.items():
        if path != without:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    return folder


def fill_hub_cache(
    store: Path, repo: str = REPO, files: dict[str, bytes] = FILES, ref: str = "main", sha: str = COMMIT
) -> Path:
    folder = store / f"models--{repo.replace('/', '--')}"
    (folder / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / ref).write_text(sha)
    return write(folder / "snapshots" / sha, files)


def refuse(reason: str) -> Callable[..., Any]:
    def refused(*args: object, **kwargs: object) -> None:
        raise SourceError(reason)

    return refused


def wheel_of(files: dict[str, bytes], extra: Callable[[zipfile.ZipFile], None] = lambda archive: None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fake_model/__init__.py", "raise SystemExit('the wheel was imported')")
        for path, content in files.items():
            archive.writestr(f"{FOLDER}/{path}", content)
        archive.writestr("fake_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: fake-model\nVersion: 1.0\n")
        archive.writestr(
            "fake_model-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("fake_model-1.0.dist-info/RECORD", "")
        extra(archive)
    return buffer.getvalue()


def mirror_of(wheel: bytes) -> Mirror:
    return Mirror(
        name="fake-model",
        parts=(Part("fake-model==1.0", hashlib.sha256(wheel).hexdigest(), len(wheel)),),
        weights_sha256=hashlib.sha256(FILES["model.safetensors"]).hexdigest(),
        folder=FOLDER,
    )


def wheels_of(archive: bytes, count: int = 3) -> dict[str, bytes]:
    """Wheels that carry an archive in pieces of like size, by the names of their files."""
    size = -(-len(archive) // count)
    wheels = {}
    for i in range(count):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(f"pieces/model.zip.{i}", archive[i * size : (i + 1) * size])
            wheel.writestr("pieces/__init__.py", "raise SystemExit('a wheel was imported')")
        wheels[f"fake_part_{i}-1.0-py3-none-any.whl"] = buffer.getvalue()
    return wheels


def mirror_of_parts(wheels: dict[str, bytes]) -> Mirror:
    parts = tuple(
        Part(f"fake-part-{i}==1.0", hashlib.sha256(wheel).hexdigest(), len(wheel), f"pieces/model.zip.{i}")
        for i, wheel in enumerate(wheels.values())
    )
    return Mirror(
        name="fake-parts",
        parts=parts,
        weights_sha256=hashlib.sha256(FILES["model.safetensors"]).hexdigest(),
        folder=FOLDER,
        left_out=("desktop.ini",),
    )


def archive_of(files: dict[str, bytes], extra: Callable[[zipfile.ZipFile], None] = lambda archive: None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in ({"desktop.ini": b"[.ShellClassInfo]"} | files).items():
            archive.writestr(f"{FOLDER}/{path}", content)
        extra(archive)
    return buffer.getvalue()


WHEEL = wheel_of(FILES)
MIRROR = mirror_of(WHEEL)
INCOMPRESSIBLE = FILES | {
    "vocab.txt": hashlib.shake_128(b"words").digest(100_000)
}  # so that every part holds some of it
WHEELS = wheels_of(archive_of(INCOMPRESSIBLE))
PARTS = mirror_of_parts(WHEELS)
ASKED = """
    import pathlib, shutil, sys
    here, number = pathlib.Path(__file__).parent, sys.argv[-3].removeprefix("fake-part-").removesuffix("==1.0")
    with (here / "asked").open("a") as asked:
        asked.write(number + " ")
"""
COPY_PART = (
    ASKED
    + """
    shutil.copy(here / f"fake_part_{number}-1.0-py3-none-any.whl", sys.argv[-1])
"""
)
COPY = """
    import pathlib, shutil, sys
    shutil.copy(pathlib.Path(__file__).with_name("fake_model-1.0-py3-none-any.whl"), sys.argv[sys.argv.index("-d") + 1])
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_untouched(target: Path, *kept: str) -> None:
    assert sorted(path.name for path in target.parent.iterdir()) == [*kept, "other--model"]
    assert contents(target.parent / "other--model") == FILES
