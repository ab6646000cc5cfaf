"""Fit the polynomials of `kernels/encoder/elementwise.py`; run it to print the coefficients.

exp(x) = 2^n 2^f with n the nearest whole number of x log2(e), so |f| <= 1/2: E has six coefficients, and errs by
little more than float32 rounds.  T has four, for what is rounded to bfloat16 next; there n is the whole number below,
and 0 <= f < 1.  The error that counts is relative.  E begins with exactly 1: the largest weight of a softmax is then
1, and no coefficient near 1 is rounded by half a unit.

gelu(x) = x (1/2 + c P(c^2 - 8)) with c = x cut to [-4, 4]: P has nine coefficients and follows (Phi(c) - 1/2) / c.  An
error of c P costs |x| times as much in the result; |x| is the weight of the fit.  In powers of c^2 itself the terms
would reach 6 and cancel, which costs 2e-5 in float32; around the middle, 8, they do not.  Beyond 4 the result errs by
as much relative to |x| as the cut leaves, 3.2e-5, give or take what the polynomial adds.

S is P with six coefficients and a cut at 3.5, for what is rounded to bfloat16 next.  There an error of c S is to be as
small as it can be: it is the error relative to |x|.  At the cut c S is 1/2 and nothing else, so that far beyond it GELU
is x, or 0, and not a small part of a large number.  That leaves 2.3e-4, of x = -3.5; a cut at 3.7 would leave 2.8e-4.
"""

import math

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.polynomial.chebyshev import chebpts1, chebvander

END = 4.0  # |x| where P ends
MIDDLE = END * END / 2  # of c^2
SHORT_END = 3.5


def lawson(basis: np.ndarray, target: np.ndarray, weight: np.ndarray, rounds: int = 300) -> tuple[np.ndarray, float]:
    """Return the coefficients whose largest weighted error is least, and that error.

    Least squares whose weights grow where the error is largest converge to the minimax fit.
    """
    importance = np.ones(len(target))
    best, largest = np.zeros(basis.shape[1]), math.inf
    for _ in range(rounds):
        w = np.sqrt(importance) * weight
        coef, *_ = np.linalg.lstsq(basis * w[:, None], target * w, rcond=None)
        error = np.abs(basis @ coef - target) * weight
        if error.max() < largest:
            best, largest = coef, float(error.max())
        importance *= error / error.max() + 1e-3
        importance /= importance.max()
    return best, largest


def fit_power(count: int, exact: bool, low: float = -0.5, nodes: int = 1000) -> tuple[np.ndarray, float]:
    """Return `count` coefficients of 2^f from `low` to 1 more, lowest power first, and the largest relative error.

    Where `exact`, the first is 1.
    """
    f = low + (1 + chebpts1(nodes)) / 2
    target = np.exp2(f)
    basis = np.vander(2 * f, count, increasing=True)
    if exact:
        rest, largest = lawson(basis[:, 1:], target - 1, 1 / target)
        scaled = np.array([1.0, *rest])
    else:
        scaled, largest = lawson(basis, target, 1 / target)
    return scaled * 2.0 ** np.arange(count), largest


def centre(x: np.ndarray) -> np.ndarray:
    """Return Phi(x) - 1/2."""
    return np.array([math.erf(v / math.sqrt(2)) / 2 for v in x])


def fit_gelu(count: int = 9, nodes: int = 1000) -> tuple[np.ndarray, float]:
    """Return `count` coefficients of P, lowest power first, and the largest error in GELU for |x| <= 4."""
    x = END / 2 * (1 + chebpts1(nodes))  # P is even: the positive side is enough
    coef, largest = lawson(x[:, None] * chebvander(x * x / MIDDLE - 1, count - 1), centre(x), x)
    return Chebyshev(coef, domain=[-MIDDLE, MIDDLE]).convert(kind=Polynomial).coef, largest


def fit_short_gelu(count: int = 6, end: float = SHORT_END, nodes: int = 1000) -> tuple[np.ndarray, float]:
    """Return `count` coefficients of S, lowest power first, and the largest error in GELU relative to |x|."""
    x, middle = end / 2 * (1 + chebpts1(nodes)), end * end / 2
    u, at_cut = x * x / middle - 1, 0.5 / end  # S = at_cut + (u - 1) Q(u), and u is 1 at the cut
    basis = (x * (u - 1))[:, None] * chebvander(u, count - 2)
    coef, largest = lawson(basis, centre(x) - x * at_cut, np.ones(nodes))
    Q = Chebyshev(coef, domain=[-middle, middle]).convert(kind=Polynomial)
    return (Polynomial([at_cut]) + Polynomial([-1, 1 / middle]) * Q).coef, largest


def horner(coef: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Evaluate in float32; the coefficients stand lowest power first."""
    value = np.full_like(x, np.float32(coef[-1]))
    for c in coef[-2::-1]:
        value = value * x + np.float32(c)
    return value


def power_error(coef: np.ndarray, low: float = -0.5) -> float:
    """Return the largest relative error of a float32 polynomial as 2^f, evaluated in float64."""
    f = np.linspace(low, low + 1, 100_003)
    return float(np.max(np.abs(Polynomial(np.float32(coef).astype(np.float64))(f) / np.exp2(f) - 1)))


def gelu_error(coef: np.ndarray) -> float:
    """Return the largest error of the float32 formula of GELU for |x| <= 4."""
    x = np.linspace(-END, END, 100_003).astype(np.float32)
    value = x * (np.float32(0.5) + x * horner(coef, x * x - np.float32(MIDDLE)))
    exact = x.astype(np.float64)
    return float(np.max(np.abs(value - exact * (0.5 + centre(exact)))))


def short_gelu_error(coef: np.ndarray) -> float:
    """Return the largest error of the float32 formula with S, relative to |x|."""
    x = np.linspace(-9, 9, 100_004).astype(np.float32)
    c = x.clip(-SHORT_END, SHORT_END)
    value = c * horner(coef, c * c - np.float32(SHORT_END**2 / 2))
    return float(np.max(np.abs(value - centre(x.astype(np.float64)))))


def main() -> None:
    """Print the coefficients as float32 literals, and what they achieve."""
    for name, (coef, largest), error in (
        ("E", fit_power(6, exact=True), power_error),
        ("T", fit_power(4, exact=False, low=0), lambda coef: power_error(coef, low=0)),
        ("P", fit_gelu(), gelu_error),
        ("S", fit_short_gelu(), short_gelu_error),
    ):
        print(f"# {name}: largest error of the fit {largest:.2e}, of its float32 coefficients {error(coef):.2e}")
        order = coef[::-1] if name in "PS" else coef  # P0 is that of the highest power
        print("(" + ", ".join(str(np.float32(c)) for c in order) + ")")


if __name__ == "__main__":
    main()
