"""The built site of the docs in headless Chromium, from file://: run by `make test-site`, not with the other tests.

Needs selenium, and Debian's packages chromium and chromium-driver.  Screenshots go to the folder that
MINEMBED_SCREENSHOTS names, for people to look at.
"""

import pytest
from chromium import browser, requests_of, shot, until
from places import ROOT
from selenium.webdriver.common.action_chains import ActionChains

SITE = ROOT / "site"
WIDTHS = (360, 768, 1400)
SCHEMES = ("light", "dark")
PAGES = ("index", "start", "which", "guide", "how-it-works", "kernels", "models", "bench-report")
PAGES += ("reference/models", "reference/book", "reference/command-line", "source/kernels/index")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("profile"), 1400, 1000)
    yield driver
    driver.quit()


def open_page(driver, name, width=1400, scheme="light"):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get_log("browser")  # what went before
    driver.get((SITE / f"{name}.html").as_uri())
    until(driver, "return document.readyState === 'complete'")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_and_asks_nobody(chromium, name, width, scheme):
    requests_of(chromium)
    open_page(chromium, name, width, scheme)
    shot(chromium, f"{name.replace('/', '-')}-{width}-{scheme}")
    assert chromium.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert [asked for asked in requests_of(chromium) if not asked.startswith(("file:", "data:", "chrome"))] == []
    assert chromium.get_log("browser") == []
    broken = "return [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert chromium.execute_script(broken) == []


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_system_says_light_or_dark(chromium, scheme, dark):
    open_page(chromium, "index", scheme=scheme)
    until(chromium, "return document.body.hasAttribute('data-md-color-scheme')")
    assert (chromium.execute_script("return document.body.dataset.mdColorScheme") == "slate") is dark


@pytest.mark.parametrize(
    ("words", "page"),
    [("anisotropic", "cosine.html"), ("AMX tiles", "kernels.html"), ("truncate_embeddings", "reference/texts.html")],
)
def test_search_finds_without_a_server(chromium, words, page):
    open_page(chromium, "index")
    chromium.execute_script("document.querySelector('.md-search__button').click()")
    inside = "let a = document.activeElement; while (a.shadowRoot) a = a.shadowRoot.activeElement;"
    until(chromium, f"{inside} return a && a.tagName === 'INPUT'")
    ActionChains(chromium).send_keys(words).perform()
    found = f"[...a.getRootNode().querySelectorAll('a')].some(link => link.href.includes('{page}'))"
    until(chromium, f"{inside} return a.value === '{words}' && {found}")
