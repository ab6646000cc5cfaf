"""The beginning of a text, as a line for people."""

import re

PIECE = 1 << 16  # characters that are looked at a time
LONGEST = 10_000  # characters of a text that are printed where it is not asked for whole


def excerpt(text: str, most: int = LONGEST) -> str:
    r"""The first characters of a text on one line, without what a terminal would take for a command.

    Of a text that is longer than `most`, "..." is the end.  No more of it is read than is needed.

    >>> excerpt(" a\n\tb\x1b[2J"), excerpt("a cat on a mat", 10)
    ('a b\ufffd[2J', 'a cat o...')
    """
    line = ""
    for start in range(0, len(text), PIECE):
        line = re.sub(r"\s+", " ", line + text[start : start + PIECE]).lstrip()
        if len(line) > most + 1:  # one may be a space at the end
            break
    line = line.rstrip()
    line = line if len(line) <= most else line[: max(most - 3, 0)] + "..."
    return "".join(c if c.isprintable() else "\ufffd" for c in line)
