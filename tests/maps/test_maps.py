"""Maps: places, trust, groups and stored vectors, against loops and scikit-learn."""

import importlib
import sys

import numpy as np
import pytest
from map_cases import BIDI, blobs, hostile

from minembed.errors import InputError, MinembedWarning, MissingExtraError
from minembed.maps import Groups, Map, measure, pca, project
from minembed.maps import trust as trust_module
from minembed.maps.codes import encode, plan
from minembed.maps.colours import DARK, GREY, KINDS, LIGHT, kind_of
from minembed.maps.groups import typical_words, words_of
from minembed.maps.marks import visible
from minembed.maps.projection import nearest


def needs(package):
    return pytest.importorskip(package, reason=f"needs {package}, of the extra viz")


# --- PCA ------------------------------------------------------------------------------------------------------------

SHAPES = [(41, 7), (7, 41), (13, 13), (2, 5), (200, 3)]


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pca_is_the_singular_value_decomposition(shape, dimensions):
    x = np.random.default_rng(1).normal(0, 1, shape) * np.linspace(3, 0.5, shape[1]) + 5
    points, shares = pca(x, dimensions)
    u, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    for j in range(dimensions):
        there = j < min(shape[0] - 1, shape[1])  # a centred matrix has one rank less than it has rows
        sign = np.sign(vt[j][np.abs(vt[j]).argmax()]) if there else 1
        expected = sign * u[:, j] * s[j] if there else np.zeros(len(x))
        np.testing.assert_allclose(points[:, j], expected, atol=1e-9 * s[0])
        assert abs(shares[j] - (s[j] ** 2 / (s**2).sum() if there else 0)) < 1e-12


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
@pytest.mark.filterwarnings("default")
def test_pca_equals_that_of_scikit_learn(shape):
    needs("sklearn")
    from sklearn.decomposition import PCA

    x = np.random.default_rng(2).normal(0, 1, shape) * np.linspace(2, 0.5, shape[1])
    reference = PCA(3, svd_solver="full").fit(x)
    points, shares = pca(x, 3)
    np.testing.assert_allclose(points, reference.transform(x), atol=1e-5)  # signs too
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, atol=1e-5)


def test_pca_of_nothing_to_see():
    for x in (np.ones((1, 4)), np.ones((3, 4)), np.zeros((5, 2))):
        points, shares = pca(x, 3)
        assert points.shape == (len(x), 3) and not points.any() and not shares.any()
    assert pca(np.array([[1.0], [2.0]]), 2)[0].tolist() == [[-0.5, 0.0], [0.5, 0.0]]  # one column has one axis


# --- t-SNE and UMAP -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_a_seed_gives_the_same_map(method):
    needs("umap" if method == "umap" else "sklearn")
    x, which = blobs(90)
    first, again, other = (project(x, method, seed=seed).points for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert method == "tsne" or (first != other).any()  # t-SNE's start is the PCA: chance has no part
    assert first.shape == (90, 2) and first.dtype == np.float64 and np.isfinite(first).all()
    middles = np.array([first[which == c].mean(axis=0) for c in range(3)])
    own = np.linalg.norm(first[:, None] - middles, axis=2).argmin(axis=1)
    assert (own == which).mean() > 0.95
    assert measure(x, first).trustworthiness > 0.9


def test_umap_takes_the_exact_neighbours_of_many_points(monkeypatch):
    needs("umap")
    from minembed.maps import projection

    monkeypatch.setattr(projection, "SMALL_FOR_UMAP", 50)
    x, _ = blobs(90)
    first, again = (projection.project(x, "umap").points for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert measure(x, first).trustworthiness > 0.9


@pytest.mark.parametrize("method", ["pca", "tsne", "umap"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_few_points_are_shown_by_pca(method, n):
    x = np.eye(4)[:n]
    if method == "pca":
        found = project(x, method)
    else:
        with pytest.warns(MinembedWarning, match="too few for .*: shown by PCA"):
            found = project(x, method)
    assert found.method == "pca" and found.points.shape == (n, 2) and np.isfinite(found.points).all()


def test_equal_points_are_shown_by_pca():
    with pytest.warns(MinembedWarning, match="fewer than 5 different vectors"):
        assert not project(np.ones((100, 3)), "tsne").points.any()


@pytest.mark.parametrize("method", ["tsne", "umap"])
@pytest.mark.parametrize("n", [5, 6, 10])
def test_maps_of_the_smallest_sets(n, method):
    needs("umap" if method == "umap" else "sklearn")
    assert np.isfinite(project(np.eye(n), method).points).all()
    with_equals = np.concatenate([np.eye(n), np.eye(n), np.zeros((2, n))])
    assert np.isfinite(project(with_equals, method).points).all()


def test_progress_is_shown(capsys):
    needs("sklearn")
    project(np.eye(12), "tsne", show_progress_bar=True)
    out, err = capsys.readouterr()
    assert out == "" and "t-SNE:" in err and "1000/1000" in err
    project(np.eye(12), "tsne", show_progress_bar=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("vectors", "options", "message"),
    [
        ([[1.0, np.nan], [0.0, 1.0]], {}, "row 0 of the vectors holds NaN or infinity; leave such rows out"),
        ([[1.0], [np.inf]], {}, "row 1 of the vectors"),
        (np.zeros((0, 3)), {}, "at least one row; got (0, 3)"),
        (np.zeros((3, 0)), {}, "got (3, 0)"),
        ([1.0, 2.0], {}, "shape (N, D)"),
        ([[1.0], [1.0, 2.0]], {}, "vectors of one width"),
        ([["a"]], {}, "vectors must be numbers"),
        (
            np.eye(20),
            {"perplexity": 50},
            "perplexity 50 does not fit 20 points, it may be a third of them: give 1 to 6.333",
        ),
        (np.eye(2), {"perplexity": 5}, "leave it out"),
        (np.eye(20), {"perplexity": float("nan")}, "perplexity nan does not fit"),
        (np.eye(20), {"method": "umap", "neighbours": 20}, "neighbours=20 does not fit 20 points: give 2 to 19"),
        (np.eye(20), {"method": "umap", "perplexity": 5}, "perplexity is a setting of method='tsne'"),
        (np.eye(20), {"method": "pca", "neighbours": 5}, "neighbours is a setting of method='umap'"),
        (np.eye(20), {"method": "mds"}, "method 'mds' is unknown; known: pca, tsne, umap"),
        (np.eye(20), {"dimensions": 3}, "maps have 2, and by method='pca' also 3"),
        (np.eye(20), {"seed": -1}, "seed must be a whole number"),
    ],
)
def test_what_cannot_be_placed(vectors, options, message):
    with pytest.raises(InputError) as error:
        project(vectors, **options)
    assert message in str(error.value)


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5])
def test_seeds_that_are_none(seed):
    with pytest.raises(InputError, match="seed must be a whole number"):
        measure(np.eye(5), np.eye(5), 1, seed=seed)
    with pytest.raises(InputError, match="seed must be a whole number"):
        Groups.found(np.eye(5), np.eye(5), list("abcde"), seed=seed)


def test_the_extra_is_named(monkeypatch):
    for package in ("sklearn", "umap", "matplotlib"):
        monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith(("sklearn.", "umap.", "matplotlib."))]:
        monkeypatch.delitem(sys.modules, name)
    for method, package in (("tsne", "scikit-learn"), ("umap", "umap-learn")):
        with pytest.raises(MissingExtraError, match=rf"needs {package}: pip install 'minembed\[viz\]'"):
            project(np.eye(20), method)
    with pytest.raises(MissingExtraError, match="finding clusters needs scikit-learn"):
        Map.of(np.eye(20), ["a"] * 20, method="pca", clusters="kmeans")
    chart = Map.of(np.eye(20), ["a"] * 20, method="pca")  # "auto" does without
    assert chart.groups.names == ()
    with pytest.raises(MissingExtraError, match="a picture needs matplotlib"):
        importlib.import_module("minembed.maps.picture").figure((1.0, 1.0))


def test_neighbours_leave_the_row_itself_out():
    x = np.ones((6, 2))  # all equal: a row itself need not be among the first
    cosines, rows = nearest(x, 3)
    assert (rows != np.arange(6)[:, None]).all() and abs(cosines - 1).max() < 1e-15
    assert all(len(set(row)) == 3 for row in rows.tolist())
    x, _ = blobs(50)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    near = np.argsort(np.where(np.eye(50, dtype=bool), np.inf, -unit @ unit.T), axis=1)[:, :4]
    np.testing.assert_array_equal(nearest(x, 4)[1], near)
    assert nearest(np.ones((1, 2)), 3)[1].shape == (1, 0)


# --- trust ----------------------------------------------------------------------------------------------------------


def slow_trust(x, y, k):
    """Trustworthiness, continuity and the share of neighbours kept, by loops over every pair."""
    n = len(x)
    unit = [[v / max(sum(w * w for w in row) ** 0.5, 1e-300) for v in row] for row in x.tolist()]

    def order(i, distance):
        return sorted((j for j in range(n) if j != i), key=lambda j: (distance(i, j), j))

    def rank(i, distance):
        return {j: r for r, j in enumerate(order(i, distance), 1)}

    def by_cosine(i, j):
        return round(1 - sum(a * b for a, b in zip(unit[i], unit[j], strict=True)), 12)

    def on_map(i, j):
        return sum((a - b) ** 2 for a, b in zip(y[i].tolist(), y[j].tolist(), strict=True))

    false = lost = kept = 0
    for i in range(n):
        near, seen = rank(i, by_cosine), rank(i, on_map)
        false += sum(near[j] - k for j in seen if seen[j] <= k < near[j])
        lost += sum(seen[j] - k for j in near if near[j] <= k < seen[j])
        kept += sum(near[j] <= k and seen[j] <= k for j in near)
    worst = n * k * (2 * n - 3 * k - 1) / 2
    return 1 - false / worst, 1 - lost / worst, kept / (n * k)


@pytest.mark.parametrize(("n", "k"), [(3, 1), (7, 3), (23, 5), (41, 10)])
@pytest.mark.parametrize("dims", [2, 3])
def test_trust_agrees_with_loops(n, k, dims):
    rng = np.random.default_rng(n)
    x, y = rng.normal(0, 1, (n, 5)), rng.integers(0, 4, (n, dims)).astype(float)  # places that are equal, too
    found = measure(x, y, k)
    np.testing.assert_allclose((found.trustworthiness, found.continuity, found.kept), slow_trust(x, y, k), atol=1e-12)
    assert (found.k, found.rows) == (k, n)


@pytest.mark.filterwarnings("default")
def test_trustworthiness_is_that_of_scikit_learn():
    needs("sklearn")
    from sklearn.manifold import trustworthiness

    x, _ = blobs(150, 11)
    y = pca(x)[0]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    found = measure(x, y, 10)
    assert abs(found.trustworthiness - trustworthiness(x, y, n_neighbors=10, metric="cosine")) < 1e-12
    assert abs(found.continuity - trustworthiness(y, unit, n_neighbors=10)) < 1e-12  # the spaces swapped


def test_trust_is_one_for_the_same_order_and_half_by_chance():
    angles = np.cumsum(np.linspace(0.01, 0.02, 90))
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    best = measure(x, angles[:, None])
    assert (best.trustworthiness, best.continuity, best.kept) == (1, 1, 1)
    rng = np.random.default_rng(0)
    chance = measure(rng.normal(0, 1, (400, 8)), rng.normal(0, 1, (400, 2)))
    assert abs(chance.trustworthiness - 0.5) < 0.03 and abs(chance.continuity - 0.5) < 0.03 and chance.kept < 0.05


def test_trust_of_many_points_is_that_of_a_sample(monkeypatch):
    x, _ = blobs(400)
    y = pca(x)[0]
    whole = measure(x, y)
    monkeypatch.setattr(trust_module, "ALL", 100)
    monkeypatch.setattr(trust_module, "SAMPLE", 200)
    monkeypatch.setattr(trust_module, "BLOCK", 400 * 7)  # blocks that do not divide into the rows
    some = measure(x, y)
    assert some == measure(x, y) and some.rows == 200 and whole.rows == 400
    assert abs(some.trustworthiness - whole.trustworthiness) < 0.03 and abs(some.kept - whole.kept) < 0.05


def test_trust_where_there_is_none():
    assert measure(np.ones((1, 3)), np.zeros((1, 2))) is None and measure(np.eye(2), np.eye(2)) is None
    assert measure(np.eye(5), np.zeros((5, 2)), k=10).k == 2  # as many as five points allow
    with pytest.raises(InputError, match="3 vectors and 2 points"):
        measure(np.eye(3), np.eye(2))
    with pytest.raises(InputError, match="k must be"):
        measure(np.eye(3), np.eye(3), k=0)


# --- groups ---------------------------------------------------------------------------------------------------------

TOPICS = ("the cat and the dog sleep", "the compiler reads the code", "the bread is in the oven")


def test_clusters_are_found_and_named():
    needs("sklearn")
    x, which = blobs(150)
    texts = [f"{TOPICS[c]} {i}" for i, c in enumerate(which)]
    for method, count in (("kmeans", 3), ("hdbscan", None)):
        groups, again = (Groups.found(x, pca(x)[0], texts, method, count) for _ in range(2))
        np.testing.assert_array_equal(groups.labels, again.labels)
        assert len(groups.names) == 3 and groups.counts() == sorted(groups.counts(), reverse=True)
        for group, name in enumerate(groups.names):
            topic = np.bincount(which[groups.labels == group]).argmax()
            assert (which[groups.labels == group] == topic).mean() > 0.9
            words = set(name.split(" · "))
            assert words <= words_of(TOPICS[topic]) and "the" not in words
    assert len(Groups.found(x, x, texts, "kmeans").names) == 2  # of 150 texts, by default


@pytest.mark.parametrize(("method", "count"), [("kmeans", 0), ("kmeans", 151), ("hdbscan", 3), ("other", None)])
def test_clusters_that_cannot_be(method, count):
    with pytest.raises(InputError, match="clusters"):
        Groups.found(np.ones((150, 2)), np.ones((150, 2)), ["a"] * 150, method, count)


def test_clusters_of_equal_points():
    needs("sklearn")
    for method in ("kmeans", "hdbscan"):
        groups = Groups.found(np.ones((20, 3)), np.zeros((20, 2)), ["the same"] * 20, method)
        assert groups.counts() in ([20], [])


def test_labels_are_groups_and_the_rare_ones_are_together():
    values = [f"label {i}" for i in range(40) for _ in range(40 - i)]
    groups = Groups.of_values(values, "kind")
    assert len(groups.names) == KINDS - 1 and groups.rest == "13 more values" and groups.counts()[:2] == [40, 39]
    assert (groups.labels == -1).sum() == sum(values.count(f"label {i}") for i in range(KINDS - 1, 40))
    assert Groups.of_values(["", "b"]).names == ("(empty)", "b")


def test_words_of_any_script():
    assert words_of("Größe, 机器学习 and naïve-café") == {"größe", "机器", "器学", "学习", "and", "naïve-café"}
    texts = ["红茶 很好喝"] * 3 + ["爬山 很好"] * 3
    assert "红茶" in typical_words(texts, np.array([0, 0, 0, 1, 1, 1]), 2)[0]
    assert typical_words(["", "1 2"], np.array([0, 1]), 2) == ("cluster 1", "cluster 2")


def test_hidden_signs_are_seen():
    for text in [*BIDI, "\u2028", "a\x00b", "\ud800", "\u200b"]:
        shown = visible(text)
        assert "⟨" in shown and not any(
            sign in shown for sign in "\u202e\u2066\u2069\u200f\u061c\u2028\x00\ud800\u200b"
        )
    assert visible("שלום\tעולם 👨\u200d👩") == "שלום\tעולם 👨\u200d👩"  # Hebrew needs no marks, families their joiners
    for text in hostile(200):
        visible(text[:5000]).encode()


# --- stored vectors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "size"), [((300, 48), 48), ((300, 48), 30), ((300, 48), 12), ((5, 48), 12), ((1, 3), 9)]
)
def test_cosines_of_stored_vectors(shape, size):
    x = np.random.default_rng(3).normal(0, 1, shape) * np.linspace(2, 0.2, shape[1])
    codes = encode(x, size)
    unit, back = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, codes.decode()))
    off = np.abs(unit @ unit.T - back @ back.T)
    assert codes.rows.shape[0] == len(x) and codes.rows.shape[1] <= max(size, 6) + 2
    if len(x) > 100:
        assert abs(np.quantile(off[~np.eye(len(x), dtype=bool)], 0.95) - codes.error) < 0.3 * codes.error
        assert codes.error < {48: 0.01, 30: 0.12, 12: 0.3}[size]
    assert sum(plan(shape[1], size)) <= shape[1]


# --- colours --------------------------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes (2009), severity 1, on linear light
VISION = {
    "usual": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
}


def seen(colour, vision):
    """A colour as CIELAB, through the eyes of a reader."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    linear = np.clip(VISION[vision] @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / np.array([0.9505, 1, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("palette", [(*LIGHT, GREY[0]), (*DARK, GREY[1])], ids=["light", "dark"])
def test_colours_are_told_apart(palette, vision):
    places = [seen(colour, vision) for colour in palette]
    least = min(np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[:i])
    assert least > 18  # differences of CIELAB; 2.3 is just noticeable


def test_no_two_groups_look_alike():
    assert len({kind_of(group) for group in range(KINDS)}) == KINDS
