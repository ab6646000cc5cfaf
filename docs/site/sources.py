"""Pages that show the source files and the folders that the docs link to."""

import ast
from pathlib import Path

from links import is_asset

SHOWN = ("minembed", "kernels", "weights")  # folders of these show their files; of others, only names are listed
LANGUAGES = {".py": "python", ".toml": "toml", ".js": "javascript", ".css": "css"}
HEAD = "---\nsearch:\n  exclude: true\nhide:\n  - navigation\n---\n\n"


def pages(linked: set[Path], root: Path) -> dict[str, str]:
    """A page for each linked file and folder, and for the files of such a folder."""
    found: dict[str, str] = {}
    waiting = [path for path in sorted(linked) if not is_asset(path)]
    while waiting:
        path = waiting.pop()
        if (root / path).is_dir():
            children = [child for child in listed(root / path)]
            found[f"source/{path.as_posix()}/index.md"] = folder_page(path, children)
            if path.parts[0] in SHOWN:
                waiting += [path / child.name for child in children]
        else:
            found[f"source/{path.as_posix()}.md"] = file_page(path, (root / path).read_text(encoding="utf-8"))
    return found


def listed(folder: Path) -> list[Path]:
    """The files and folders of a folder that people read, folders first."""
    children = [p for p in folder.iterdir() if not p.name.startswith((".", "__pycache__", "native"))]
    readable = [p for p in children if p.is_dir() or p.suffix in LANGUAGES]
    return sorted(readable, key=lambda p: (p.is_file(), p.name))


def file_page(path: Path, text: str) -> str:
    """A listing, with line numbers."""
    language = LANGUAGES.get(path.suffix, "text")
    return f'{HEAD}# {path.as_posix()}\n\n````{language} linenums="1"\n{text.rstrip()}\n````\n'


def folder_page(path: Path, children: list[Path]) -> str:
    """A table: each file, and the first line of its docstring."""
    rows = []
    for child in children:
        name = f"{child.name}/" if child.is_dir() else child.name
        target = f"{name}index.md" if child.is_dir() else f"{name}.md"
        shown = f"[`{name}`]({target})" if path.parts[0] in SHOWN else f"`{name}`"
        rows.append(f"| {shown} | {summary(child)} |")
    return "\n".join([f"{HEAD}# {path.as_posix()}/\n", "| file | what |", "|---|---|", *rows, ""])


def summary(path: Path) -> str:
    """The first line of a module's or a package's docstring."""
    file = path / "__init__.py" if path.is_dir() else path
    if file.suffix != ".py" or not file.exists():
        return ""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("|", "\\|")
