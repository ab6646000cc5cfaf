"""A map: points, texts, groups and trust, ready for viewing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict

from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.maps.extra import has
from minembed.maps.groups import Groups, shorten
from minembed.maps.projection import Projection, check_vectors, project
from minembed.maps.trust import NEAR, Trust, measure
from minembed.runtime.checks import whole_number
from minembed.runtime.columns import as_labels, as_texts
from minembed.runtime.keywords import takes_options_of
from minembed.types import Array, MapMethod

if TYPE_CHECKING:
    from typing_extensions import Unpack

Tell = Callable[[str], None]


class ProjectOptions(TypedDict, total=False):
    """The options of `project` that `Map.of` takes as well."""

    method: MapMethod
    dimensions: int
    perplexity: float | None
    neighbours: int | None
    show_progress_bar: bool | None


@dataclass(frozen=True, slots=True)
class Map:
    """The content of a map; `Map.of` makes one, `save` writes it to a file."""

    vectors: Array  # (N, D) float64
    texts: tuple[str, ...]
    projection: Projection
    groups: Groups
    trust: Trust | None  # None for fewer than three points
    model: str = ""  # the source of the vectors

    @classmethod
    @takes_options_of(project, ProjectOptions)
    def of(
        cls,
        vectors: ArrayLike,
        texts: Iterable[str],
        *,
        labels: Iterable[Any] | None = None,
        clusters: str | int | None = "auto",
        label_name: str = "label",
        model: str = "",
        seed: int = 0,
        tell: Tell = lambda stage: None,
        **options: "Unpack[ProjectOptions]",
    ) -> "Map":
        """Place vectors (N, D) of texts on a map, and measure how far it can be trusted.

        `texts` and `labels` have one entry per vector; a label may also be a number, a bool or missing.  Groups are the
        values of `labels`, if given, else clusters: `clusters` is a number (for k-means), "kmeans", "hdbscan", "none",
        or "auto": k-means if scikit-learn is installed.  `method` and the other settings are those of `project`; `tell`
        is called with the name of each stage.

        >>> Map.of([[0.0, 1.0], [1.0, 0.0]], ["up", "right"], method="pca", clusters=None).trust is None
        True
        """
        x = check_vectors(vectors)
        texts = _one_each("texts", as_texts(texts, one=True), len(x))
        names = None if labels is None else _one_each("labels", as_labels(labels), len(x))
        tell(f"placing {len(x):,} points")
        found = project(x, seed=seed, **options)
        tell("measuring how far the map can be trusted")
        trust = measure(x, found.points, NEAR, seed=seed)
        if names is not None:
            groups = Groups.of_values(names, label_name)
        elif clusters in (None, "none") or len(x) < 3 or (clusters == "auto" and not has("sklearn")):
            groups = Groups.none(len(x))
        else:
            tell("finding clusters")
            count = whole_number(clusters)
            by = "kmeans" if count is not None or clusters == "auto" else str(clusters)
            groups = Groups.found(x, found.points, texts, by, count, seed)
        return cls(x, tuple(texts), found, groups, trust, model)

    @property
    def title(self) -> str:
        """What the map shows, in one line."""
        n = len(self.texts)
        model = shorten(self.model, 60) if self.model else ""
        parts = [f"{n:,} texts" if n != 1 else "1 text", self.projection.name, model]
        return " · ".join(part for part in parts if part)

    @property
    def trust_line(self) -> str:
        """How far it can be trusted, in one line."""
        parts = [str(self.trust)] if self.trust else ["too few points to measure trust"]
        if self.projection.shares:
            shown = sum(self.projection.shares)
            parts.insert(0, f"shows {shown:.1%} of the variance" if shown else "all points are equal")
        return " · ".join(parts)

    def save(self, path: str | Path) -> None:
        """Write a page (.html) or a picture (.png, .svg); raises InputError for another ending."""
        from minembed.maps.saving import save  # late: it imports this module

        save(self, Path(path))

    def write(self, file: BinaryIO, kind: str) -> None:
        """Write a page or a picture to an open file: kind is "html", "png" or "svg"."""
        from minembed.maps.saving import write

        write(self, file, kind)


def _one_each(name: str, values: list[str], n: int) -> list[str]:
    if len(values) != n:
        raise InputError(f"every vector needs one of {name}: there are {n:,} vectors and {len(values):,} {name}")
    return values
