"""The page of a server in headless Chromium: run by `make test-browser`, not with the other tests.

Needs selenium, and Debian's packages chromium and chromium-driver.  Screenshots go to the folder that
MINEMBED_SCREENSHOTS names, for people to look at.
"""

import re
import subprocess
import sys

import numpy as np
import pytest
from chromium import browser, requests_of, settle, shot, text_of, until
from command import MODULE
from map_cases import hostile
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tiny import write_tiny_checkpoint

from minembed import Embedder, Index, cosine_similarity
from minembed.errors import TruncationWarning

KEY = "a-key-of-this-test"
READY = "return !!window.minembedPage && minembedPage.isReady === true"
DRAWN = f"{READY} && document.querySelectorAll('.tokens').length === 2"
NOTES = ["the cat in the house", "a dog in the rain", "bread and sun", "a train to the river"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    own = {"prompts": {"query": "index: ", "document": ""}, "similarity_fn_name": "cosine"}
    return write_tiny_checkpoint(tmp_path_factory.mktemp("page") / "tiny", sentence_transformers=own)


@pytest.fixture(scope="module")
def model(folder):
    return Embedder.load(folder, backend="numpy")


def serve(*options):
    """A server as a process, and its URL."""
    command = [*MODULE, "serve", "--port", 0, "--backend", "numpy", "--access-log", "none", *options]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    return process, re.search(r"http://\S+", process.stderr.readline()).group() + "/"


def stop(process):
    process.terminate()
    process.communicate(timeout=30)


@pytest.fixture(scope="module")
def notes(model, tmp_path_factory):
    """The folder of an index, some of whose texts are hostile."""
    index = tmp_path_factory.mktemp("indexes") / "notes"
    hits = [*NOTES, *hostile(40)[:30]]
    fields = [{"topic": text[:40]} for text in hits]
    with pytest.warns(TruncationWarning):
        Index.build(model, [text or "empty" for text in hits], fields=fields).save(index)
    return index


@pytest.fixture(scope="module")
def url(folder, notes):
    process, address = serve(f"tiny={folder}", f"second={folder}", "--index", f"notes={notes}", "--max-body", 400_000)
    yield address
    stop(process)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def open_page(driver, url, ready=DRAWN):
    driver.get("about:blank")
    for kind in ("browser", "performance"):
        driver.get_log(kind)  # what went before
    driver.get(url)
    until(driver, ready)


def check_quiet(driver, url):
    """Nothing was asked of anybody but this server, and nothing went wrong."""
    asked = requests_of(driver)
    assert asked[0] == url and all(one.startswith((url, "data:image/svg+xml")) for one in asked), asked
    assert driver.get_log("browser") == []


def write(driver, name, text):
    """Put a text into a field as a paste would, and wait for what comes of it."""
    script = """const field = document.getElementById(arguments[0]), page = minembedPage;
        field.value = arguments[1];
        const done = arguments[2];
        (arguments[0] === "query" ? page.search : page.compare).run().then(() => done(field.value))"""
    return driver.execute_async_script(script, name, text)


def matrix_of(driver):
    script = """return [...document.querySelectorAll("#heat tbody tr")].map(
        (row) => [...row.cells].slice(1).map((cell) => cell.textContent))"""
    return np.array([[float(cell.replace("\u2212", "-")) for cell in row] for row in driver.execute_script(script)])


def test_it_opens_and_compares(chromium, url, model):
    open_page(chromium, url)
    rows, columns = (text_of_box(chromium, box).split("\n") for box in ("left", "right"))
    expected = cosine_similarity(model.encode(rows), model.encode(columns))
    np.testing.assert_allclose(matrix_of(chromium), expected, atol=0.00501)
    assert text_of(chromium, "cosine") == f"{expected[0, 0]:.4f}".replace("-", "\u2212")
    n_tokens = int(model.tokenize([*rows, *columns]).lengths().sum())
    assert text_of(chromium, "timing").startswith(f"{len(rows) + len(columns)} texts, {n_tokens} tokens, ")
    assert "32 numbers per vector" in text_of(chromium, "facts")
    shot(chromium, "serve-open")
    check_quiet(chromium, url)


def text_of_box(driver, box):
    return driver.execute_script("return document.getElementById(arguments[0]).value", box)


def test_typing_draws_anew(chromium, url, model):
    open_page(chromium, url)
    box = chromium.find_element(By.ID, "left")
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("the rain", Keys.ENTER, Keys.ENTER, "  ", Keys.ENTER, "the rain", Keys.ENTER, "a cat")
    until(chromium, "return document.querySelector('#heat tbody tr:last-child th').textContent === 'a cat'")
    expected = cosine_similarity(
        model.encode(["the rain", "the rain", "a cat"]), model.encode(text_of_box(chromium, "right").split("\n"))
    )
    np.testing.assert_allclose(matrix_of(chromium), expected, atol=0.00501)
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.DELETE)
    until(chromium, "return document.getElementById('map').hidden")
    check_quiet(chromium, url)


def test_prompts_and_models(chromium, url, model):
    open_page(chromium, url)
    chromium.execute_script(
        """const prompt = document.getElementById("left-prompt");
        prompt.value = "query"; prompt.dispatchEvent(new Event("change"))"""
    )
    rows, columns = (text_of_box(chromium, box).split("\n") for box in ("left", "right"))
    expected = cosine_similarity(model.encode_query(rows), model.encode(columns))
    until(chromium, f"return document.querySelectorAll('#heat td')[1].textContent === '{shown(expected[0, 0])}'")
    np.testing.assert_allclose(matrix_of(chromium), expected, atol=0.00501)
    chromium.find_element(By.ID, "tab-python").click()
    assert 'prompt_name="query"' in text_of(chromium, "code")
    assert chromium.execute_script("return [...document.getElementById('model').options].map(o => o.value)") == [
        "tiny",
        "second",
    ]
    check_quiet(chromium, url)


def shown(value):
    text = f"{value:.2f}"
    return text.replace("-", "" if float(text) == 0 else "\u2212")


def test_what_is_cut_is_shown(chromium, url):
    open_page(chromium, url)
    write(chromium, "left", "cat " * 50)
    until(chromium, "return document.querySelectorAll('.tokens .beyond').length === 20")
    assert chromium.find_element(By.CSS_SELECTOR, ".cut").text == "52 tokens, of which 32 are read"
    assert chromium.find_elements(By.CSS_SELECTOR, "#sides > :first-child .tokens span")[-1].text == "[SEP]"
    shot(chromium, "serve-cut")
    check_quiet(chromium, url)


def test_the_keyboard_reaches_everything(chromium, url):
    open_page(chromium, url)
    seen = set()
    for _ in range(20):
        ActionChains(chromium).send_keys(Keys.TAB).perform()
        seen.add(chromium.execute_script("const e = document.activeElement; return e.id || e.tagName"))
    assert {"model", "A", "tab-compare", "left", "left-prompt", "right", "TD", "tab-curl", "copy", "code"} <= seen
    cells = "const e = document.activeElement; return e.dataset.row ? [+e.dataset.row, +e.dataset.column] : null"
    chromium.execute_script("document.querySelector('#heat td[tabindex=\"0\"]').focus()")
    visited = []
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT, Keys.END, Keys.ARROW_UP, Keys.ARROW_UP, Keys.HOME):
        ActionChains(chromium).send_keys(key).perform()
        visited.append(chromium.execute_script(cells))
    assert visited == [[0, 1], [1, 1], [1, 0], [1, 3], [0, 3], [0, 3], [0, 0]]
    chromium.execute_script("document.getElementById('tab-curl').focus()")
    ActionChains(chromium).send_keys(Keys.ARROW_RIGHT).perform()
    assert chromium.execute_script("return document.activeElement.id") == "tab-python"
    assert text_of(chromium, "code").startswith("from minembed import Embedder")
    named = """return [...document.querySelectorAll("button, input, select, textarea")].filter((e) =>
        !(e.textContent.trim() && e.tagName === "BUTTON") && !e.labels.length && !e.ariaLabel).length"""
    assert chromium.execute_script(named) == 0
    check_quiet(chromium, url)


def test_search_as_it_is_typed(chromium, url, model, notes):
    open_page(chromium, url)
    chromium.find_element(By.ID, "tab-search").click()
    for key in "a dog in the rain":
        chromium.find_element(By.ID, "query").send_keys(key)
    until(chromium, "return minembedPage.search.asked === 'a dog in the rain'")
    assert len(chromium.find_elements(By.CSS_SELECTOR, "#hits li")) == 10
    hits = Index.load(notes, model).search("a dog in the rain", k=10)
    scores = chromium.execute_script("return [...document.querySelectorAll('#hits .score')].map((e) => e.textContent)")
    found = [float(score.replace("\u2212", "-")) for score in scores]
    np.testing.assert_allclose(found, [hit.score for hit in hits], atol=0.000501)
    assert text_of(chromium, "found").startswith("10 hits, ")
    assert "v1/search" in text_of(chromium, "code")
    shot(chromium, "serve-search")
    check_quiet(chromium, url)


def test_the_calls_give_what_is_shown(chromium, url, model):
    """The curl call for /bin/sh, and the Python call for this interpreter, with texts made to break out of quotes."""
    open_page(chromium, url)
    texts = ['it\'s $HOME `id` \\ "quoted"', "the \u202e cat \u2028 x"]
    write(chromium, "left", "\n".join(texts))
    write(chromium, "right", texts[0])
    code = {}
    for language in ("curl", "python"):
        chromium.find_element(By.ID, f"tab-{language}").click()
        code[language] = text_of(chromium, "code")
    assert "\u202e" not in code["curl"] + code["python"]
    printed = subprocess.run([sys.executable, "-c", code["python"]], capture_output=True, text=True, check=True).stdout
    found = np.array([float(number) for number in re.findall(r"-?\d+\.\d*", printed)])
    expected = cosine_similarity(model.encode(texts), model.encode(texts[:1])).ravel()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    fake = 'curl() { for last; do :; done; printf %s "$last"; }\n'  # what a shell makes of the body
    sent = subprocess.run(["sh", "-c", fake + code["curl"]], capture_output=True, text=True)
    assert chromium.execute_script("return JSON.parse(arguments[0]).input", sent.stdout) == [*texts, texts[0]]


def test_a_thousand_hostile_strings_are_inert(chromium, url):
    open_page(chromium, url)
    count = "return document.querySelectorAll('img, iframe, b, base, object, embed, meta, script, style, link').length"
    before = chromium.execute_script(count)
    texts = [text.replace("\n", " ").replace("\r", " ")[:20_000] for text in hostile(1000) if text.strip()]
    whole = """const heads = [...document.querySelectorAll("#heat tbody th > span, #sides .text, .tokens span")];
        return heads.length > 2 && heads.every((e) => e.childNodes.length <= 1 && !e.firstElementChild)"""
    for start in range(0, len(texts), 60):
        write(chromium, "left", "\n".join(texts[start : start + 60]))
        assert text_of(chromium, "failed") == ""
        n = chromium.execute_script("return linesOf('left').texts.length")  # one that is but a hidden sign is none
        assert len(matrix_of(chromium)) == n >= len(texts[start : start + 60]) - 3
        assert chromium.execute_script(whole)
    shot(chromium, "serve-hostile")
    chromium.find_element(By.ID, "tab-search").click()
    write(chromium, "query", texts[0])
    assert len(chromium.find_elements(By.CSS_SELECTOR, "#hits li")) == 10
    assert chromium.execute_script("return window.hacked") is None and chromium.execute_script(count) == before
    seen = chromium.execute_script("return document.querySelector('main').innerText")
    assert not set("\u202e\u2066\u200f\x00") & set(seen)
    check_quiet(chromium, url)


def test_errors_are_told(chromium, url):
    open_page(chromium, url)
    write(chromium, "left", "\n".join(["bread " * 1_200] * 64))
    assert "the body has more than" in text_of(chromium, "failed")
    write(chromium, "left", "x")
    assert not chromium.find_element(By.ID, "failed").is_displayed()


def test_the_policy_refuses_what_is_added(chromium, url):
    open_page(chromium, url)
    chromium.execute_script(
        """const script = document.createElement("script"), image = new Image();
        script.textContent = "window.hacked = 1";
        image.src = "http://192.0.2.1/x.png";
        document.body.append(script, image);
        fetch("http://192.0.2.1/").catch(() => 0)"""
    )
    settle(chromium)
    assert chromium.execute_script("return window.hacked") is None
    refused = chromium.get_log("browser")
    assert len(refused) >= 3 and all("Content Security Policy" in entry["message"] for entry in refused[:3])


def test_a_key_is_asked_for_and_kept_nowhere(chromium, folder, tmp_path):
    (tmp_path / "keys").write_text(KEY)
    process, url = serve(f"tiny={folder}", "--api-key-file", tmp_path / "keys")
    try:
        open_page(chromium, url, "return !!window.minembedPage && !document.getElementById('gate').hidden")
        assert KEY not in chromium.page_source and not chromium.find_element(By.ID, "tools").is_displayed()
        shot(chromium, "serve-key")
        field = chromium.find_element(By.ID, "key")
        field.send_keys("wrong", Keys.ENTER)
        until(chromium, "return document.getElementById('refused').textContent !== ''")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(KEY, Keys.ENTER)
        until(chromium, DRAWN)
        assert not chromium.find_element(By.ID, "gate").is_displayed()
        assert "$MINEMBED_KEY" in text_of(chromium, "code") and KEY not in chromium.page_source
        kept = "return localStorage.length + sessionStorage.length + document.cookie.length"
        assert chromium.execute_script(kept) == 0 and chromium.current_url == url
        asked = requests_of(chromium)
        assert all(one.startswith((url, "data:image/svg+xml")) for one in asked) and KEY not in "".join(asked)
        assert all("401" in entry["message"] for entry in chromium.get_log("browser"))  # Chromium's own note of them
    finally:
        stop(process)


@pytest.mark.parametrize(
    ("name", "width", "height", "flags"),
    [("phone", 360, 1400, ()), ("dark", 1280, 1000, ("blink-settings=preferredColorScheme=0",))],
)
def test_other_windows(name, width, height, flags, url, tmp_path):
    driver = browser(tmp_path / "profile", max(width, 500), height, *flags)
    try:
        shape = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
        open_page(driver, url)
        settle(driver)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        shot(driver, f"serve-{name}")
        write(driver, "left", "\n".join(["the cat and a dog"] * 14))
        write(driver, "right", "\n".join(["x" * 200, *["bread " * 9] * 15]))
        settle(driver)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        shot(driver, f"serve-{name}-many")
        driver.find_element(By.ID, "tab-search").click()
        write(driver, "query", "the house")
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        shot(driver, f"serve-{name}-search")
        check_quiet(driver, url)
    finally:
        driver.quit()
