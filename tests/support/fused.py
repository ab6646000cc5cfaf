"""Products and sums of float32 that round once and know no denormals, in exact fractions: what a tile computes."""

from fractions import Fraction

SMALLEST = Fraction(2) ** -126  # the smallest number that is not denormal


def rounded(exact):
    """A fraction as float32, to the nearest, ties to even, however small; 0 below the smallest normal number."""
    if not exact:
        return exact
    power = exact.numerator.bit_length() - exact.denominator.bit_length() - 24
    while abs(exact) >= Fraction(2) ** (power + 24):
        power += 1
    unit = Fraction(2) ** power
    value = round(exact / unit) * unit  # of a Fraction: ties to even
    return value if abs(value) >= SMALLEST else Fraction(0)


def dot(a, b, c):
    """c + a b of one row and one column: even and odd places apart, then their sum, then c."""
    a, b, (c,) = ([Fraction(float(v)) for v in values] for values in (a, b, (c,)))
    a, b, (c,) = ([v if abs(v) >= SMALLEST else Fraction(0) for v in values] for values in (a, b, (c,)))
    sums = [Fraction(0), Fraction(0)]
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        sums[k % 2] = rounded(sums[k % 2] + x * y)
    return float(rounded(c + rounded(sum(sums))))
