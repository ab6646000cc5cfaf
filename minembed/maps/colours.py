"""Colours and shapes of groups, distinguishable with any kind of colour vision, on light and dark backgrounds.

Seven colours, optimised so that the two closest are as far apart as possible, also for protan, deutan and tritan
readers (a test checks this); from the eighth group on the shape changes, so that no two groups look the same.  Points
in no group are grey.
"""

LIGHT = ("#3f82e0", "#ef7123", "#02b070", "#8a1c4c", "#4412c6", "#ec1a44", "#37550e")
DARK = ("#4b9ef9", "#e6ab2a", "#85f7d2", "#d109b7", "#7d54f7", "#ca4543", "#c6e588")
GREY = ("#8a929b", "#79828d")  # on light, on dark
SHAPES = ("circle", "square", "triangle", "diamond")
MARKERS = ("o", "s", "^", "D")  # matplotlib's names of these shapes
KINDS = len(LIGHT) * len(SHAPES)


def kind_of(group: int) -> tuple[int, int]:
    """The number of a group's colour and that of its shape.

    >>> kind_of(0), kind_of(7)
    ((0, 0), (0, 1))
    """
    return group % len(LIGHT), group // len(LIGHT) % len(SHAPES)
