"""Colours and shapes of groups: told apart with any kind of colour vision, on light and on dark.

Seven colours, most of them Okabe and Ito's; from the eighth group on the shape changes too, so that no two groups look
alike.  Points in no group are grey.
"""

LIGHT = ("#0072b2", "#d55e00", "#00805d", "#c25a94", "#7a4fbf", "#a07800", "#4aa8dd")
DARK = ("#4ba3e3", "#f08040", "#2fbf95", "#e79ac4", "#ab8cf0", "#e0b030", "#8fd3ff")
GREY = ("#8a929b", "#79828d")  # on light, on dark
SHAPES = ("circle", "square", "triangle", "diamond")
MARKERS = ("o", "s", "^", "D")  # the same shapes, as matplotlib calls them
KINDS = len(LIGHT) * len(SHAPES)


def kind_of(group: int) -> tuple[int, int]:
    """The number of a group's colour and that of its shape.

    >>> kind_of(0), kind_of(7)
    ((0, 0), (0, 1))
    """
    return group % len(LIGHT), group // len(LIGHT) % len(SHAPES)
