"""Make untrusted texts safe to view: invisible characters and changes of direction become visible marks."""

import re

# controls, line and paragraph separators, marks and overrides of direction, invisible operators, tags, lone surrogates
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
JOINERS = "\u200c\u200d"  # scripts and emoji are written with them
NAMES = {
    "\u200e": "LRM", "\u200f": "RLM", "\u061c": "ALM", "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF",
    "\u202d": "LRO", "\u202e": "RLO", "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI",
    "\x00": "NUL", "\x1b": "ESC", "\u2028": "LSEP", "\u2029": "PSEP", "\ufeff": "BOM", "\u200b": "ZWSP",
    "\xad": "SHY", "\r": "CR", "\x7f": "DEL",
}  # fmt: skip


def visible(text: str) -> str:
    r"""Write hidden characters as their names in brackets; tabs, line breaks and joiners stay.

    >>> visible("user\u202etxt.exe"), visible("a\u2028b\ud800"), visible("two\nlines")
    ('user⟨RLO⟩txt.exe', 'a⟨LSEP⟩b⟨U+D800⟩', 'two\nlines')
    """
    return HIDDEN.sub(_mark, text.replace("\r\n", "\n"))


def _mark(found: re.Match[str]) -> str:
    sign = found[0]
    return sign if sign in JOINERS else f"⟨{NAMES.get(sign, f'U+{ord(sign):04X}')}⟩"
