"""Build the lessons: run each page's program, and write its outputs and pictures into the page.

    python docs/learn/build.py              write outputs, pictures and answers into the pages (`make lessons`)
    python docs/learn/build.py --check      run them again, and compare every number with the page
    python docs/learn/build.py 03 07        only these lessons

A page is plain Markdown, and its ```python blocks are one program.  The output of a block is below it in ```text.
Code that readers do not need is in comments of the page, and runs in the same program:

    <!-- picture: NAME.svg        the last line is the SVG's text, made by pictures.py
    ... -->
    <!-- answer: within 0.01      the last line is the answer to the question above; the page checks a reader's number
    ... -->                       against it.  "answer: choice" for a letter of the list above

All numbers are compared, within one unit of their last digit, since processors round differently.  Not compared are
numbers after "~", which are times, and lines that begin with "~", which describe the machine.  A number like 3e-05 is
an error: only its order of magnitude is compared, and all below 1e-6 are equal.  A number with a decimal point in the
prose must also be in an output or in the code, so that it stays true.
"""

import argparse
import ast
import contextlib
import io
import math
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CODE = re.compile(
    r"```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<text>.*?)```\n)?"
    r"|<!-- picture: (?P<name>[\w.-]+)\n(?P<drawing>.*?)-->\n"
    r"|<!-- answer: (?P<kind>choice|within (?P<within>[\d.]+))\n(?P<answer>.*?)-->\n"
    r"(?:<details[^\n]*\n(?:\n\*\*[^*\n]+\*\*\n)?)?",
    re.S,
)
NUMBER = re.compile("(?:~ *)? ?[-\N{MINUS SIGN}]?" + r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
SECONDS = 5.0  # of CPU, of a lesson
ROUNDING = 1e-6  # a few roundings of float32, of numbers about 1: below, errors are a matter of the processor


@dataclass
class Built:
    """A page with its outputs, and the pictures that it draws, by their names."""

    page: str
    pictures: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)  # all that was printed, and the code


def pages(wanted=()):
    """The lessons, or those whose numbers are named."""
    found = sorted(HERE.glob("[0-9][0-9]-*.md"))
    return [path for path in found if not wanted or path.name[:2] in wanted]


def value_of(code, space, place):
    """Run all lines, and give the value of the last one."""
    tree = ast.parse(code)
    last = ast.Expression(tree.body.pop().value)
    exec(compile(tree, place, "exec"), space)
    return eval(compile(last, place, "eval"), space)


def build(path):
    """Run a page's program, with the modules beside it in reach; gives the page as it should be."""
    from pictures import bars, dots, heat, lines, picture, strips

    text, space, built = path.read_text(encoding="utf-8"), {"__name__": "__main__"}, Built("")
    drawing = {"bars": bars, "dots": dots, "heat": heat, "lines": lines, "picture": picture, "strips": strips}
    pieces, end = [], 0
    for found in CODE.finditer(text):
        place = f"{path.name}:{text.count(chr(10), 0, found.start()) + 2}"
        pieces.append(text[end : found.start()])
        if found["code"] is not None:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(found["code"], place, "exec"), space)
            out = "\n".join(row.rstrip() for row in printed.getvalue().splitlines())
            pieces.append(f"```python\n{found['code']}```\n" + (f"\n```text\n{out}\n```\n" if out else ""))
            built.said += [found["code"], out]
        elif found["name"]:
            built.pictures[found["name"]] = value_of(found["drawing"], {**space, **drawing}, place)
            pieces.append(f"<!-- picture: {found['name']}\n{found['drawing']}-->\n")
        else:
            answer = value_of(found["answer"], dict(space), place)
            pieces.append(f"<!-- answer: {found['kind']}\n{found['answer']}-->\n" + details(answer, found["within"]))
            built.said += [found["answer"], str(answer)]
        end = found.end()
    built.page = "".join([*pieces, text[end:]])
    return built


def details(answer, within):
    """What opens the answer, which a page's script asks for first, and the answer itself."""
    shown = str(answer) if within is None else f"{answer:.{len(within.partition('.')[2])}f}"
    tolerance = f' data-within="{within}"' if within else ""
    opened = f'<details data-answer="{shown}"{tolerance} markdown="1"><summary>Answer</summary>'
    return f"{opened}\n\n**{shown}**\n"


def number(word):
    """A number's value and how far another may be from it; none of what is a time."""
    if word.startswith("~"):
        return None
    plain = word.strip().replace("\N{MINUS SIGN}", "-").replace(",", "")
    decimals = len(plain.partition(".")[2])
    return float(plain), 1.01 * 10.0**-decimals if decimals else 0.0


def differences(name, old, new):
    """What differs between two texts beyond the tolerance, a line each."""
    found = []
    before, after = old.splitlines(), new.splitlines()
    if len(before) != len(after):
        found.append(f"{name}: {len(before)} lines, now {len(after)}")
    for i, (a, b) in enumerate(zip(before, after, strict=False)):
        left, right = NUMBER.findall(a), NUMBER.findall(b)
        same = len(left) == len(right) and re.sub(r"\s+", " ", NUMBER.sub("#", a)) == re.sub(
            r"\s+", " ", NUMBER.sub("#", b)
        )
        if a.startswith("~") and b.startswith("~"):
            continue
        if not same or not all(map(close, left, right)):
            found.append(f"{name}:{i + 1}:\n  stands: {a}\n  now:    {b}")
    return found


def close(a, b):
    """Whether two numbers, as they are written, are the same to their tolerance."""
    x, y = number(a), number(b)
    if x is None or y is None:
        return x is y
    if "e" in a and "e" in b:
        return abs(math.log10(max(abs(x[0]), ROUNDING) / max(abs(y[0]), ROUNDING))) <= 1
    return abs(x[0] - y[0]) <= max(x[1], y[1])


def old_numbers(built):
    """Decimals of the prose that are neither printed nor in the code."""
    prose = CODE.sub("\n", built.page)
    prose = re.sub(r"```.*?```|<!--.*?-->|\]\([^)]*\)|<[^>]*>|`[^`]*`", " ", prose, flags=re.S)
    known = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", " ".join(built.said).replace(",", ""))]
    said = re.findall(r"(?<![\w.])\d+\.\d+", prose.replace(",", ""))
    return [
        n for n in said if not any(abs(abs(k) - float(n)) <= 0.51 * 10.0 ** -len(n.partition(".")[2]) for k in known)
    ]


def check(path, built):
    """Everything in which a page is not what its program makes of it."""
    wrong = differences(path.name, path.read_text(encoding="utf-8"), built.page)
    wrong += [f"{path.name} says {n}, which its program never prints" for n in old_numbers(built)]
    for name, svg in built.pictures.items():
        if "<!-- times -->" in svg:
            continue
        old = HERE / name
        wrong += differences(name, old.read_text(encoding="utf-8"), svg) if old.exists() else [f"{name} is missing"]
    return wrong


def write(path, built):
    """Put the page and its pictures where they belong."""
    path.write_text(built.page, encoding="utf-8")
    for name, svg in built.pictures.items():
        (HERE / name).write_text(svg, encoding="utf-8")
    return [f"{path.name} says {n}, which its program never prints" for n in old_numbers(built)]


def main(arguments=None):
    """Build or check; the exit status is 1 where something is wrong or slow."""
    from minembed.runtime.threads import single_threaded_blas

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lessons", nargs="*", help="numbers such as 03; all if none")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options, wrong = parser.parse_args(arguments), []
    sys.path.insert(0, str(HERE))
    for path in pages(options.lessons):
        begun, work = time.perf_counter(), time.process_time()
        with single_threaded_blas():  # the same bits on any number of cores, and no thread that waits by spinning
            built = build(path)
        took, work = time.perf_counter() - begun, time.process_time() - work
        found = check(path, built) if options.check else write(path, built)
        if options.check and work > 2 * SECONDS:
            found.append(f"{path.name} took {work:.1f} s of CPU, above {SECONDS} s on two cores")
        print(f"{path.name:28} {took:5.1f} s, {work:5.1f} s of CPU" + (f", {len(found)} wrong" if found else ""))
        wrong += found
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
