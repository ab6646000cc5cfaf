"""The site has every page, and the page "Which tier, dtype and model" says what was measured."""

import json
import re

from places import ROOT

DOCS = ROOT / "docs"
RESULTS = ROOT / "bench" / "results"


def test_every_page_is_in_the_navigation():
    named = set(re.findall(r'"([^"]+\.md)"', (DOCS / "site" / "zensical.toml").read_text(encoding="utf-8")))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md")}
    assert pages <= named
    assert named >= {"architecture.md", "contributing.md", "changelog.md", "security.md", "bench-report.md"}


def table(name):
    page = (DOCS / "which.md").read_text(encoding="utf-8")
    rows = re.search(rf"<!-- table: {name} -->\n\n(.*?)\n\n<!-- end -->", page, re.S)[1].split("\n")[2:]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)}


def raced(machine, name, work="mixed"):
    path = RESULTS / machine / "encode.json"
    return json.loads(path.read_text(encoding="utf-8"))["results"][work][f"minembed-{name}"]


def started(name):
    """Seconds to the first vector, and the megabytes at their peak, as text."""
    who = json.loads((RESULTS / "zen4" / "coldstart.json").read_text(encoding="utf-8"))["contestants"][name]
    return [f"{who['median_s']:.2f} s", f"{who['peak_mb']:.0f} MB"]


def milliseconds(machine, name):
    result = raced(machine, name, "single")
    return f"{1000 * result['median_s']:.1f} ms"


def test_tiers_are_as_measured():
    for tier, result in (("numba", "float32"), ("numpy", "numpy")):
        speed = [f"{raced('zen5', result)['tokens_per_s']:,.0f}", milliseconds("zen5", result)]
        assert table("tiers")[tier] == speed + started(f"minembed-{result}")
    assert table("tiers")["native"][2:] == started("minembed-float32-native")


def test_dtypes_are_as_measured():
    machines = ("zen5", "intel-amx-480")
    for dtype, said in table("dtypes").items():
        speeds = [f"{raced(machine, dtype)['tokens_per_s']:,.0f}" for machine in machines]
        single = [milliseconds(machine, dtype) for machine in machines]
        cosine = min(raced(machine, dtype)["mean_cosine"] for machine in machines)
        assert said[:4] == speeds + single and said[5:] == started(f"minembed-{dtype}-native")
        assert abs(float(said[4]) - cosine) < 10 ** -len(said[4].partition(".")[2])
