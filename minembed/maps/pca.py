"""Principal components: the linear projection that keeps the most variance.

Deterministic, including signs: in each component the largest loading (by absolute value) is positive, which is also
scikit-learn's rule.
"""

import numpy as np

from minembed.types import Array


def pca(vectors: Array, dimensions: int = 2) -> tuple[Array, Array]:  # (N, D) -> (N, dimensions), (dimensions,)
    """Project onto the first principal components; returns the points, and each component's share of the variance.

    Missing components (fewer vectors or columns than dimensions, or no variance) are zeros.

    >>> points, shares = pca(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
    >>> points.round(6).tolist(), shares.round(6).tolist()
    ([[-5.0, 0.0], [0.0, 0.0], [5.0, 0.0]], [1.0, 0.0])
    """
    x = np.asarray(vectors, np.float64)
    x = x - x.mean(axis=0)
    total = float((x**2).sum())
    points, shares = np.zeros((len(x), dimensions)), np.zeros(dimensions)
    axes = principal_axes(x, dimensions)
    if total > 0:
        scores = x @ axes.T
        keep = (scores**2).sum(axis=0) > total * 1e-24  # the rest is rounding, and has no direction
        points[:, : len(axes)] = np.where(keep, scores, 0)
        shares[: len(axes)] = (points[:, : len(axes)] ** 2).sum(axis=0) / total
    return points, shares


def principal_axes(x: Array, count: int) -> Array:  # (N, D) -> (min(count, N, D), D)
    """The directions in which rows vary most about zero, as unit rows with fixed signs.

    They are the eigenvectors of the smaller of the two Gram matrices, that of the columns or that of the rows.

    >>> principal_axes(np.array([[0.0, -2.0], [0.0, 1.0]]), 1).tolist()
    [[0.0, 1.0]]
    """
    N, D = x.shape
    count = min(count, N, D)
    if D <= N:
        _, columns = np.linalg.eigh(x.T @ x)  # smallest first
        axes = columns[:, ::-1][:, :count].T
    else:
        values, columns = np.linalg.eigh(x @ x.T)
        axes = (x.T @ columns[:, ::-1][:, :count]).T
        lengths = np.sqrt((axes**2).sum(axis=1, keepdims=True))
        axes = axes / np.where(lengths > 1e-12 * np.sqrt(max(values[-1], 0)), lengths, np.inf)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    fixed: Array = np.where(largest < 0, -axes, axes) + 0.0
    return fixed
