"""Fit the polynomial behind the float32 GELU of `minembed/transformer/ops.py`; run it to print the coefficients.

GELU leaves x through the tail of the normal distribution, Q(t) = erfc(t / sqrt 2) / 2:

    gelu(x) = max(x, 0) - |x| Q(|x|)        since  1 - Q(x) = Q(-x)

and 2 Q(t) = exp(P) with P smooth, zero at zero and roughly parabolic, so a short polynomial in a = |x| / 2 follows it:

    gelu(x) = (x / 2 + a) - a exp(P(a)),    P(a) = log erfc(sqrt 2 a)

An error dP costs |x| Q(|x|) dP in the result; that product is the weight of the fit. It has vanished (1e-11) at
|x| = 7, where the fit ends; beyond it P need only keep falling, so that exp takes the term to zero.
"""

import math

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.polynomial.chebyshev import chebvander

DEGREE = 8  # even, so that P falls on both of its ends; 6 leaves 8e-8, which is as much as float32 itself rounds away
END = 7.0  # |x| where the fit ends; the answer does not move between 6 and 10


def log_tail(t: np.ndarray) -> np.ndarray:
    """Return log(2 Q(t))."""
    return np.array([math.log(math.erfc(v / math.sqrt(2))) for v in t])


def weighted_tail(t: np.ndarray) -> np.ndarray:
    """Return t Q(t)."""
    return np.array([v * math.erfc(v / math.sqrt(2)) / 2 for v in t])


def fit(degree: int = DEGREE, end: float = END, nodes: int = 4000, rounds: int = 200) -> tuple[Polynomial, float]:
    """Return P as a polynomial in a = |x| / 2 with P(0) = 0, and the largest error it causes in GELU on |x| <= end.

    Lawson's iteration: least squares whose weights grow where the error is largest converges to the minimax fit.
    """
    t = end / 2 * (1 + np.cos(np.linspace(0, np.pi, nodes, endpoint=False)))  # Chebyshev-spaced, without t = 0
    target, weight = log_tail(t), weighted_tail(t)
    basis = t[:, None] * chebvander(2 * t / end - 1, degree - 1)  # the factor t keeps P(0) = 0
    importance = np.ones(nodes)
    best, largest = np.zeros(degree), math.inf
    for _ in range(rounds):
        w = np.sqrt(importance) * weight
        coef, *_ = np.linalg.lstsq(basis * w[:, None], target * w, rcond=None)
        error = np.abs(basis @ coef - target) * weight
        if error.max() < largest:
            best, largest = coef, float(error.max())
        importance *= error / error.max() + 1e-3
        importance /= importance.max()
    in_t = Polynomial([0, 1]) * Chebyshev(best, domain=[0, end]).convert(kind=Polynomial)
    return in_t(Polynomial([0, 2])), largest


def float32_error(coef: list[np.float32], end: float = 4.0) -> float:
    """Return the largest error of the float32 formula on |x| <= end; the coefficients stand highest power first."""
    x = np.linspace(-end, end, 400_001).astype(np.float32)
    h = x / 2
    a = np.abs(h)
    p = np.full_like(a, coef[0])
    for c in coef[1:]:
        p = p * a + c
    value = (h + a) - a * np.exp(p * a)
    exact = x.astype(np.float64)
    return float(np.max(np.abs(value - (np.maximum(exact, 0) - weighted_tail(np.abs(exact))))))


def main() -> None:
    """Print the coefficients of P(a) / a, highest power first, as float32 literals, and what they achieve."""
    polynomial, largest = fit()
    coef = [np.float32(c) for c in polynomial.coef[:0:-1]]
    falling = not [r for r in polynomial.deriv().roots() if abs(r.imag) < 1e-9 and r.real > 0]
    print(f"# P(a) = a * (c7 a^7 + ... + c0), a = |x| / 2; P falls for every a > 0: {falling}")
    print(f"# largest error in GELU: fit {largest:.2e}, float32 formula on |x| <= 4 {float32_error(coef):.2e}")
    print("(" + ", ".join(repr(float(str(c))) for c in coef) + ")")


if __name__ == "__main__":
    main()
