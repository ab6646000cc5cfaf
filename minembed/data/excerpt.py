"""The beginning of a text on one line, for messages and terminals."""

import re

PIECE = 1 << 16  # characters that are processed at a time
LONGEST = 10_000  # characters of a text that are printed, unless the whole text is requested


def excerpt(text: str, most: int = LONGEST) -> str:
    r"""The first characters of a text on one line, without control characters for a terminal.

    A text that is longer than `most` ends in "...".  Only as much of it is read as is needed.

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
