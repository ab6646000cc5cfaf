"""Regular expressions from untrusted files, matched in bounded time: whether they match, not where.

`re` uses backtracking, and a short pattern such as `(a*)*b` can keep it busy for years.  Here a pattern is a function
from the places where it may begin to those where it may end, and no place is visited twice in a repetition.  Supported
is what people use for names of modules; everything else is refused: back references, look-around, flags.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

Places = frozenset[int]
Match = Callable[[str, Places], Places]  # a name, and places in it where a match begins -> where it may end

LONGEST = 4096  # letters of a pattern
DEEPEST = 8  # nested groups, each of which may be repeated
ESCAPES = "dDwWsS"
QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d{0,4})(,?)(\d{0,4})\})\??")
CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


def matches(pattern: str, name: str) -> bool:
    r"""Whether a pattern matches a whole name.

    Raises ValueError for an invalid or unsupported regular expression.

    >>> matches(r".*\.(query|value)", "layer.0.query"), matches("(a*)*b", "a" * 99)
    (True, False)
    """
    return len(name) in _Reader(pattern).whole()(name, frozenset([0]))


@dataclass(slots=True)
class _Reader:
    pattern: str
    at: int = 0
    depth: int = 0

    def whole(self) -> Match:
        if len(self.pattern) > LONGEST:
            raise ValueError(f"it has more than {LONGEST} letters")
        found = self._alternatives()
        if self.at < len(self.pattern):
            raise ValueError(f"there is a ) too many at {self.at}")
        return found

    def _alternatives(self) -> Match:
        branches = [self._sequence()]
        while self.pattern.startswith("|", self.at):
            self.at += 1
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _any_of(branches)

    def _sequence(self) -> Match:
        parts: list[Match] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self._quantified(self._atom()))
        return _one_after_another(parts)

    def _atom(self) -> Match:
        letter = self.pattern[self.at]
        if letter == "(":
            return self._group()
        self.at += 1
        if letter in "^$":
            return _at_the_beginning if letter == "^" else _at_the_end
        if letter in "*+?{":
            raise ValueError(f"nothing comes before {letter} at {self.at - 1}")
        if letter == "\\":
            letter = self.pattern[self.at - 1 : self.at + 1]
            self.at += 1
            if len(letter) < 2 or (letter[1].isalnum() and letter[1] not in ESCAPES):
                raise ValueError(f"{letter!r} is not read here")
        elif letter == "[":
            found = CLASS.match(self.pattern, self.at - 1)
            if found is None:
                raise ValueError(f"the [ at {self.at - 1} is not closed")
            letter, self.at = found[0], found.end()
        return _one(letter if letter[0] in ".[\\" else re.escape(letter))

    def _group(self) -> Match:
        self.at, self.depth = self.at + 1, self.depth + 1
        if self.depth > DEEPEST:
            raise ValueError(f"groups are nested more than {DEEPEST} deep")
        if self.pattern.startswith("?", self.at):
            if not self.pattern.startswith("?:", self.at):
                raise ValueError(f"{self.pattern[self.at - 1 : self.at + 3]!r} is not read here")
            self.at += 2
        found = self._alternatives()
        if not self.pattern.startswith(")", self.at):
            raise ValueError("a ( is not closed")
        self.at, self.depth = self.at + 1, self.depth - 1
        return found

    def _quantified(self, atom: Match) -> Match:
        found = QUANTIFIER.match(self.pattern, self.at)
        if found is None or found[0].startswith("{}"):
            return atom
        if atom in (_at_the_beginning, _at_the_end):
            raise ValueError(f"there is nothing to repeat at {self.at}")
        self.at = found.end()
        if self.pattern[self.at : self.at + 1] in ("*", "+", "?"):
            raise ValueError(f"what is repeated at {self.at} is repeated already")
        if found[1]:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[found[1]]
        else:
            least = int(found[2] or 0)
            most = (int(found[4]) if found[4] else None) if found[3] else least
        if most is not None and most < least:
            raise ValueError(f"{found[0]} repeats from more to fewer times")
        return _repeated(atom, least, most)


def _one(letter: str) -> Match:
    try:
        with_letter = re.compile(letter).fullmatch
    except (re.error, FutureWarning) as error:
        raise ValueError(f"{letter!r}: {error}") from None
    return lambda name, places: frozenset(i + 1 for i in places if i < len(name) and with_letter(name[i]))


def _at_the_beginning(name: str, places: Places) -> Places:
    return places & {0}


def _at_the_end(name: str, places: Places) -> Places:
    return places & {len(name)}


def _any_of(branches: list[Match]) -> Match:
    return lambda name, places: frozenset().union(*(branch(name, places) for branch in branches))


def _one_after_another(parts: list[Match]) -> Match:
    def match(name: str, places: Places) -> Places:
        for part in parts:
            places = part(name, places)
        return places

    return match


def _repeated(part: Match, least: int, most: int | None) -> Match:
    def match(name: str, places: Places) -> Places:
        for _ in range(least):
            before, places = places, part(name, places)
            if places in (before, frozenset()):  # it will not change any more
                break
        ends = new = places
        times = least
        while new and (most is None or times < most):
            new = part(name, new) - ends
            ends |= new
            times += 1
        return ends

    return match
