"""The page about two texts in headless Chromium, from file://: run by `make test-browser`, not with the other tests."""

import itertools
import re

import numpy as np
import pytest
from chromium import browser, requests_of, settle, shot, text_of, until
from map_cases import hostile
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from minembed import Embedder
from minembed.study import explain, trace
from minembed.study.report import report

WORDS = "the cat sat by a river while seven violins played bread slowly under old trains and rain".split()
SIZES = (12, 128, 512)  # tokens
OTHERS = [" ".join(WORDS[i : i + 6]) for i in range(10)]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def model():
    return Embedder.load("all-MiniLM-L6-v2", max_seq_length=512)


def text(tokens, start):
    return " ".join(itertools.islice(itertools.cycle(WORDS[start:] + WORDS[:start]), tokens - 2))


@pytest.fixture(scope="module")
def pages(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    levels = {12: None, 128: ("output", "input", "deletion"), 512: None}
    made = {}
    for n in SIZES:
        found = report(model, text(n, 0), text(n, 5), levels=levels[n], corpus=OTHERS if n == 12 else None)
        found.save(folder / f"{n}.html")
        made[n] = found, folder / f"{n}.html"
    return made


def open_page(driver, path):
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(path.as_uri())
    until(driver, "return !!window.minembedReport")
    settle(driver)


def check_quiet(driver, path):
    asked = requests_of(driver)
    assert asked[asked.index(path.as_uri()) :] == [path.as_uri()] and driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def dark(driver, on):
    wanted = {"features": [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)


@pytest.mark.parametrize("n", SIZES)
def test_opens_small_and_quiet_at_any_width(n, chromium, pages):
    found, path = pages[n]
    assert path.stat().st_size <= 5_000_000 and len(found.traces[0].pieces) == n
    for width in (1280, 768, 360):
        chromium.set_window_size(max(width, 500), 900)
        chromium.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == 360},
        )
        open_page(chromium, path)
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        assert chromium.find_element(By.ID, "score").text.startswith(f"{found.explanations[0].score:.4f}")
        took = chromium.execute_script("return performance.now()")
        assert took < 5000
        shot(chromium, f"report-{n}-{width}")
        check_quiet(chromium, path)
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.set_window_size(1280, 1800)
    dark(chromium, True)
    open_page(chromium, path)
    shot(chromium, f"report-{n}-dark")
    dark(chromium, False)


@pytest.mark.parametrize("n", SIZES)
def test_pointing_at_a_token_and_at_a_cell(n, chromium, pages):
    found, path = pages[n]
    open_page(chromium, path)
    first = found.explanations[0]
    chips = chromium.find_elements(By.CSS_SELECTOR, "#chips .tokens:first-child button")
    assert [chip.text for chip in chips[:10]] == list(first.a.labels[:10])
    ActionChains(chromium, duration=20).move_to_element(chips[2]).perform()
    assert chips[2].get_attribute("aria-pressed") == "true"
    j = int(np.abs(first.matrix[2]).argmax())
    assert text_of(chromium, "cell").endswith(f"{first.a.labels[2]} · {first.b.labels[j]}")
    canvas = chromium.find_element(By.ID, "matrix")
    chromium.execute_script("arguments[0].focus()", canvas)
    before = text_of(chromium, "cell")
    for key in (Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_DOWN):
        ActionChains(chromium).send_keys(key).perform()
    assert text_of(chromium, "cell") != before
    at = chromium.execute_script("return minembedReport.pairs.at")
    shown = text_of(chromium, "cell").split()[0].replace("\u2212", "-")
    step = np.abs(first.matrix).max() / 32_000
    digits = len(shown.split(".")[1])
    assert abs(float(shown) - first.matrix[at[0], at[1]]) <= step + 10.0**-digits
    check_quiet(chromium, path)


def test_levels_pairs_and_sums(chromium, pages, model):
    found, path = pages[12]
    open_page(chromium, path)
    tabs = chromium.find_elements(By.CSS_SELECTOR, "#levels [role=tab]")
    assert [tab.text for tab in tabs] == ["Output tokens", "Input tokens", "Gradients", "Left out"]
    for tab, one in zip(tabs, found.explanations, strict=True):
        tab.click()
        best = one.pairs(1)[0]
        top = chromium.find_element(By.CSS_SELECTOR, "#top li .pair").text.split()
        assert top == [best[0], "·", best[1]]
        said = text_of(chromium, "sum")
        assert (said == "") == (one.level == "deletion") and (not said or f"{one.sum:.4f}" in said)
        shot(chromium, f"report-level-{one.level}")
    ActionChains(chromium).send_keys(Keys.ARROW_RIGHT).perform()  # from the last tab to the first
    assert chromium.switch_to.active_element.text == "Output tokens"
    chromium.find_elements(By.CSS_SELECTOR, "#top button")[3].click()
    want = found.explanations[0].pairs(4)[3]
    assert text_of(chromium, "cell").endswith(f"{want[0]} · {want[1]}")
    check_quiet(chromium, path)


def test_attention_is_the_models(chromium, pages, model):
    found, path = pages[12]
    open_page(chromium, path)
    canvas = chromium.find_element(By.ID, "grid")
    chromium.execute_script("arguments[0].focus(); minembedReport.attention.choose(0, 0)", canvas)
    ActionChains(chromium).send_keys(Keys.ARROW_DOWN).send_keys(Keys.ARROW_RIGHT).send_keys(Keys.ARROW_RIGHT).perform()
    assert text_of(chromium, "head") == "Layer 1, head 2"
    chips = chromium.find_elements(By.CSS_SELECTOR, "#looks button")
    ActionChains(chromium, duration=20).move_to_element(chips[3]).perform()
    row = trace(model, text(12, 0))["layer.1.probabilities"][2, 3]
    said = text_of(chromium, "gaze")
    pieces = found.traces[0].pieces
    assert said.startswith(f"{pieces[3]} looks at {pieces[int(row.argmax())]} {round(100 * float(row.max()))} %")
    chromium.find_elements(By.CSS_SELECTOR, "#whose [role=tab]")[1].click()
    assert [chip.text for chip in chromium.find_elements(By.CSS_SELECTOR, "#looks button")] == list(
        found.traces[1].pieces
    )
    heads = chromium.find_element(By.ID, "heads")
    chromium.execute_script("arguments[0].focus()", heads)
    ActionChains(chromium).send_keys(Keys.ARROW_LEFT).perform()
    layer, head = chromium.execute_script("return minembedReport.heads.at")
    assert f"head {head} of layer {layer}: {found.explanations[0].score + found.heads[layer, head]:.4f}" in text_of(
        chromium, "effect"
    )
    check_quiet(chromium, path)


def test_two_points_of_the_map_are_explained(chromium, pages, model):
    _, path = pages[12]
    open_page(chromium, path)
    canvas = chromium.find_element(By.ID, "map")
    chromium.execute_script("arguments[0].focus()", canvas)
    chromium.execute_script("arguments[0].scrollIntoView()", canvas)
    for i in (4, 7):
        chromium.execute_script("minembedReport.corpus.point(arguments[0] - 1)", i)
        ActionChains(chromium).send_keys(Keys.ARROW_RIGHT).send_keys(Keys.ENTER).perform()
    assert chromium.execute_script("return minembedReport.corpus.chosen") == [4, 7]
    texts = [text(12, 0), text(12, 5), *OTHERS]
    exact = explain(model, texts[4], texts[7], "output")
    told = re.match(
        r"cosine (\S+) by their output tokens.* is at most (\S+) for 95 % of pairs$", text_of(chromium, "whysum")
    )
    total, off = map(float, told.groups())
    assert abs(total - exact.score) <= 4 * off + 0.001
    best = chromium.find_element(By.CSS_SELECTOR, "#whypairs .pair").text.split()
    assert (best[1], best[3]) in {pair[:2] for pair in exact.pairs(3)}
    x, y = chromium.execute_script("return minembedReport.corpus.places[2]")
    box = canvas.size
    ActionChains(chromium, duration=20).move_to_element_with_offset(
        canvas, round(x - box["width"] / 2), round(y - box["height"] / 2)
    ).click().perform()
    assert 2 in chromium.execute_script("return minembedReport.corpus.chosen")
    shot(chromium, "report-map")
    check_quiet(chromium, path)


def test_a_thousand_hostile_texts_stay_texts(chromium, model, tmp_path):
    texts = hostile(1000)
    corpus = [one[:200] for one in texts]
    for i in range(0, 30, 2):
        path = tmp_path / f"{i}.html"
        more = corpus if i == 0 else None
        report(model, texts[i][:500], texts[i + 1][:500], corpus=more, levels=("output",)).save(path)
        open_page(chromium, path)
        assert chromium.execute_script("return !document.querySelector('main img, main a, main script')")
        for chip in chromium.find_elements(By.CSS_SELECTOR, "#chips button")[:4]:
            ActionChains(chromium, duration=10).move_to_element(chip).perform()
        if i == 0:
            for at in range(0, 1000, 25):
                chromium.execute_script("minembedReport.corpus.choose(arguments[0])", at)
            assert chromium.execute_script("return !document.querySelector('main img, main a, main script')")
        check_quiet(chromium, path)
