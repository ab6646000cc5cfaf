"""Self-contained HTML pages: their parts, their content security policy, and the style that all of them share."""

import base64
import hashlib
from importlib.resources import files


def part_of(package: str, name: str) -> str:
    """A file of a package's folder web, with normalised line ends, so that its hash is the same everywhere.

    >>> "--ink" in part_of("minembed.runtime", "base.css")
    True
    """
    return (files(package) / "web" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


BASE = part_of("minembed.runtime", "base.css")  # colours, light and dark, buttons and fields
DOM = part_of("minembed.runtime", "dom.js")  # small helpers of scripts


def policy(script: str, style: str, *more: str) -> str:
    """The content security policy that allows only this script, this style, and what `more` says.

    >>> policy("alert(1)", "").split("; ")[:2]
    ["default-src 'none'", "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"]
    >>> policy("", "", "connect-src 'self'").split("; ")[-1]
    "connect-src 'self'"
    """

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    kept = f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(style)}"
    return "; ".join([kept, "base-uri 'none'", "form-action 'none'", *more])


def fill(template: str, values: dict[str, str]) -> str:
    """Replace each {{name}} by its value; placeholders inside values are not replaced.

    >>> fill("<{{a}}>", {"a": "{{b}}", "b": "no"})
    '<{{b}}>'
    """
    pieces = template.split("{{")
    done = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        done += [values[name], rest]
    return "".join(done)
