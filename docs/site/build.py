"""Build the site of the docs: python docs/site/build.py STAGE OUT, which `make docs` runs in an environment of its own.

Pages are plain Markdown that also reads well in a checkout, where they link to source files and to pages outside of
docs/.  So they are copied to STAGE first, where each link is changed to its target on the site
(links.py), beside pages that are generated (sources.py, reference.py).  zensical builds STAGE, strictly, and
check.py reads what came of it with other eyes.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import check
import links
import reference
import sources

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CONFIG = HERE / "zensical.toml"


def stage(folder: Path) -> None:
    """Write everything that zensical reads into the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    linked: set[Path] = set()
    for page, place in links.pages(ROOT).items():
        text = (ROOT / page).read_text(encoding="utf-8")
        write(folder / "docs" / place, links.rewrite(text, page, ROOT, linked))
    for name, text in {**reference.pages(), **sources.pages(linked, ROOT)}.items():
        write(folder / "docs" / name, text)
    for path in linked:
        if links.is_asset(path):
            target = folder / "docs" / links.place(path, ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, target)
    shutil.copytree(HERE / "assets", folder / "docs" / "assets")
    shutil.copyfile(HERE / "fences.py", folder / "fences.py")
    shutil.copyfile(CONFIG, folder / "zensical.toml")


def write(path: Path, text: str) -> None:
    """Write a page, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def build(folder: Path, out: Path) -> None:
    """Run zensical on a staged folder; a warning is an error."""
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="")
    if done.returncode or "warning" in done.stdout.lower():
        sys.exit("the site was not built: see above")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder / "site", out)


if __name__ == "__main__":
    staged, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    stage(staged)
    build(staged, out)
    wrong = check.problems(out, CONFIG, links.pages(ROOT).values())
    if wrong:
        sys.exit("\n".join(["the site was built, but:", *wrong]))
    print(f"{sys.argv[2]}/index.html: {len(list(out.rglob('*.html')))} pages, every link and anchor leads somewhere")
