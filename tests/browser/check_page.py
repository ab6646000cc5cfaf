"""The page of a map in headless Chromium, from file://: run by `make test-browser`, not with the other tests.

Needs selenium, and Debian's packages chromium and chromium-driver.  Screenshots go to the folder that
MINEMBED_SCREENSHOTS names, for people to look at.
"""

import numpy as np
import pytest
from chromium import browser, requests_of, settle, shot, text_of, until
from map_cases import hostile
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from minembed.maps import Groups, Map, Projection, measure

SIZES = (10, 1_000, 50_000)
LARGEST = 12_000_000  # bytes of a page
TOPICS = ("bread and ovens", "compilers and code", "rivers and rain", "trains and stations", "violins and pianos")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def make(n, width=384, dimensions=2, seed=0):
    """A map of n generated texts on five topics, in clusters; its vectors are as wide as MiniLM's."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, len(TOPICS), n)
    centres = rng.normal(0, 1, (len(TOPICS), width))
    fading = 2 * np.exp(-np.arange(width) / 90)  # as the principal axes of real embeddings do
    vectors = (centres[topic] + rng.normal(0, 1, (n, width))) * fading
    points = 3 * rng.normal(0, 1, (len(TOPICS), dimensions))[topic] + rng.normal(0, 1, (n, dimensions))
    texts = tuple(
        f"Text {i} is about {TOPICS[t]}, and says more than {rng.integers(10**9)} words." for i, t in enumerate(topic)
    )
    groups = Groups.of_values([TOPICS[t] for t in topic], "topic")
    return Map(
        vectors, texts, Projection(points, "tsne", "perplexity 30"), groups, measure(vectors, points), "generated"
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Maps and their pages by size, made when they are asked for."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def page(n, **options):
        key = (n, *options.items())
        if key not in made:
            path = folder / f"{len(made)}.html"
            chart = make(n, **options)
            chart.save(path)
            made[key] = chart, path
        return made[key]

    return page


def open_page(driver, path):
    for kind in ("browser", "performance"):
        driver.get_log(kind)  # what went before
    driver.get(path.as_uri())
    until(driver, "return !!window.minembedMap && minembedMap.frames > 0")


def check_quiet(driver, path):
    """Nothing was asked for but the page itself, and nothing went wrong."""
    asked = requests_of(driver)
    assert asked[asked.index(path.as_uri()) :] == [path.as_uri()]  # before it may be the browser's own first page
    assert driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0


def place(driver, i):
    """Where point i is on the screen, from the middle of the map, as ActionChains counts."""
    script = """const c = minembedMap.camera, i = arguments[0];
        c.project();
        return [Math.round(c.x[i] - c.width / 2), Math.round(c.y[i] - c.height / 2)]"""
    return driver.execute_script(script, i)


def alone(driver, count=3):
    """Points that have their surroundings on the screen to themselves."""
    script = """const a = minembedMap, c = a.camera, found = [];
        for (let i = 0; i < a.data.n && found.length < arguments[0]; i++) {
          if (c.x[i] < 40 || c.y[i] < 40 || c.x[i] > c.width - 80 || c.y[i] > c.height - 160) continue;
          let near = 0;
          for (let j = 0; j < a.data.n; j++) if (Math.hypot(c.x[i] - c.x[j], c.y[i] - c.y[j]) < 7) near++;
          if (near === 1) found.push(i);
        } return found"""
    return driver.execute_script(script, count)


def mouse(driver, i, click=False):
    chain = ActionChains(driver, duration=20).move_to_element_with_offset(
        driver.find_element(By.ID, "marks"), *place(driver, i)
    )
    (chain.click() if click else chain).perform()


def state(driver):
    script = "const { hover, selected, before } = minembedMap.state; return { hover, selected, before }"
    return driver.execute_script(script)


def ink(driver):
    """How many pixels of the map are not paper."""
    script = """const c = document.getElementById("dots");
        const copy = new OffscreenCanvas(c.width, c.height).getContext("2d");
        copy.drawImage(c, 0, 0);
        const p = copy.getImageData(0, 0, c.width, c.height).data;
        let many = 0; for (let i = 0; i < p.length; i += 4) if (p[i] < 240 || p[i + 1] < 240 || p[i + 2] < 240) many++;
        return many"""
    return driver.execute_script(script)


# --- the page at three sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES)
def test_opens_without_a_request_or_an_error(n, chromium, pages):
    chart, path = pages(n)
    assert path.stat().st_size <= LARGEST
    open_page(chromium, path)
    settle(chromium)
    assert ink(chromium) > 10 * min(n, 500)
    assert (
        text_of(chromium, "title") == chart.title == chromium.title and text_of(chromium, "trust") == chart.trust_line
    )
    shot(chromium, f"open-{n}")
    check_quiet(chromium, path)


@pytest.mark.parametrize("n", SIZES)
def test_hover_shows_the_text(n, chromium, pages):
    chart, path = pages(n)
    open_page(chromium, path)
    for i in alone(chromium):
        mouse(chromium, i)
        tip = chromium.find_element(By.ID, "tip")
        assert tip.is_displayed() and tip.text.startswith(chart.texts[i]) and state(chromium)["hover"] == i
    ActionChains(chromium).move_to_element(chromium.find_element(By.ID, "title")).perform()
    assert not chromium.find_element(By.ID, "tip").is_displayed()
    check_quiet(chromium, path)


@pytest.mark.parametrize("n", SIZES)
def test_search_highlights_and_counts(n, chromium, pages):
    chart, path = pages(n)
    open_page(chromium, path)
    field = chromium.find_element(By.ID, "search")
    for wanted in ("PIANOS", "text 7 ", "no such text", "says more"):
        field.clear()
        field.send_keys(wanted)
        many = sum(all(word in text.lower() for word in wanted.lower().split()) for text in chart.texts)
        assert text_of(chromium, "count") == (f"{many:,} matches" if many != 1 else "1 match")
        weights = chromium.execute_script("return [1, 3].map((w) => minembedMap.weight.filter((x) => x === w).length)")
        assert weights == [n - many, many]
    field.clear()
    field.send_keys("pianos")
    settle(chromium)
    shot(chromium, f"search-{n}")
    field.send_keys(Keys.ENTER)
    assert "pianos" in chart.texts[state(chromium)["hover"]]
    field.send_keys(Keys.ESCAPE)
    assert field.get_attribute("value") == "" and text_of(chromium, "count") == ""
    check_quiet(chromium, path)


@pytest.mark.parametrize("n", SIZES)
def test_clicks_show_true_neighbours_and_a_cosine(n, chromium, pages):
    chart, path = pages(n)
    open_page(chromium, path)
    first, second = alone(chromium, 2)
    mouse(chromium, first, click=True)
    assert state(chromium)["selected"] == first and text_of(chromium, "text") == chart.texts[first]
    unit = chart.vectors / np.linalg.norm(chart.vectors, axis=1, keepdims=True)
    cosines = unit @ unit[first]
    cosines[first] = -2
    near = np.argsort(-cosines)[: min(10, n - 1)]
    rows = chromium.find_elements(By.CSS_SELECTOR, "#near tbody tr")
    assert [row.find_element(By.TAG_NAME, "button").text[:12] for row in rows] == [chart.texts[j][:12] for j in near]
    shown = [float(row.find_element(By.TAG_NAME, "td").text) for row in rows]
    np.testing.assert_allclose(shown, cosines[near], atol=6e-4)
    far = np.linalg.norm(chart.projection.points - chart.projection.points[first], axis=1)
    ranks = [int((far < far[j]).sum()) for j in near]  # the point itself is nearer than all
    told = [
        row.find_element(By.TAG_NAME, "small").text.split(", ")[-1].rstrip("stndrh").replace(",", "") for row in rows
    ]
    assert all(
        abs(int(a) - b) <= 1 + n // 2000 for a, b in zip(told, ranks, strict=True)
    )  # places are rounded in a page
    settle(chromium)
    shot(chromium, f"click-{n}")
    mouse(chromium, second, click=True)
    assert state(chromium) == {"hover": second, "selected": second, "before": first}
    assert text_of(chromium, "other") == chart.texts[first]
    told = text_of(chromium, "cosine").split()
    off = float(told[3]) if told[2] == "±" else 0.001
    assert told[0] == "cosine" and abs(float(told[1]) - unit[first] @ unit[second]) <= 3 * off + 0.006
    assert off < 0.08
    settle(chromium)
    shot(chromium, f"pair-{n}")
    rows = chromium.find_elements(By.CSS_SELECTOR, "#near tbody button")
    chromium.execute_script("arguments[0].scrollIntoView()", rows[0])
    rows[0].click()
    assert state(chromium)["before"] == second
    chromium.find_element(By.ID, "closer").click()
    settle(chromium)
    shot(chromium, f"closer-{n}")
    chromium.find_element(By.ID, "clear").click()
    assert state(chromium)["selected"] == -1 and not chromium.find_element(By.ID, "chosen").is_displayed()
    check_quiet(chromium, path)


@pytest.mark.parametrize("n", SIZES)
def test_the_keyboard_reaches_everything(n, chromium, pages):
    chart, path = pages(n)
    open_page(chromium, path)
    body = chromium.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    assert chromium.switch_to.active_element.get_attribute("id") == "search"
    open_page(chromium, path)
    seen, marks = set(), chromium.find_element(By.ID, "marks")
    for _ in range(25):
        ActionChains(chromium).send_keys(Keys.TAB).perform()
        seen.add(chromium.execute_script("const e = document.activeElement; return e.id || e.tagName"))
    assert {"marks", "in", "out", "all", "search", "before", "after", "names", "SUMMARY", "show", "BUTTON"} <= seen
    chromium.execute_script("arguments[0].focus()", marks)
    keys = ActionChains(chromium)
    keys.send_keys(Keys.ARROW_RIGHT).perform()
    visited = [state(chromium)["hover"]]
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ARROW_DOWN):
        ActionChains(chromium).send_keys(key).perform()
        visited.append(state(chromium)["hover"])
    assert len(set(visited)) >= 2 and all(0 <= i < n for i in visited)
    assert text_of(chromium, "status").startswith(chart.texts[visited[-1]])  # told to screen readers
    ActionChains(chromium).send_keys(Keys.ENTER).perform()
    assert state(chromium)["selected"] == visited[-1]
    ActionChains(chromium).send_keys("n" if visited[-1] else "nn").perform()  # the first point, or the second
    ActionChains(chromium).send_keys(" ").perform()
    assert state(chromium)["selected"] == (0 if visited[-1] else 1) and state(chromium)["before"] == visited[-1]
    zoom = "return minembedMap.camera.zoom"
    ActionChains(chromium).send_keys("+").send_keys("+").perform()
    assert chromium.execute_script(zoom) > 1.6
    ActionChains(chromium).send_keys("-").send_keys("0").perform()
    assert chromium.execute_script(zoom) == 1
    before = place(chromium, 0)
    ActionChains(chromium).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    assert abs(place(chromium, 0)[0] - before[0] + 60) <= 1
    ActionChains(chromium).send_keys("z").perform()
    ActionChains(chromium).send_keys(Keys.ESCAPE).perform()
    assert state(chromium)["selected"] == -1
    check_quiet(chromium, path)


@pytest.mark.parametrize("n", SIZES)
def test_pan_zoom_and_the_legend(n, chromium, pages):
    chart, path = pages(n)
    open_page(chromium, path)
    marks = chromium.find_element(By.ID, "marks")
    before = place(chromium, 0)
    chain = ActionChains(chromium, duration=30).move_to_element_with_offset(marks, -300, -250).click_and_hold()
    chain.move_by_offset(50, 30).release().perform()
    after = place(chromium, 0)
    assert (
        abs(after[0] - before[0] - 50) <= 1
        and abs(after[1] - before[1] - 30) <= 1
        and state(chromium)["selected"] == -1
    )
    wheel = """const where = { deltaY: -240, clientX: 300, clientY: 300, cancelable: true };
        arguments[0].dispatchEvent(new WheelEvent("wheel", where))"""
    fixed = """const c = minembedMap.camera;
        return [c.cx + (300 - c.width / 2) / c.scale, c.cy - (300 - c.height / 2) / c.scale]"""
    under = chromium.execute_script(fixed)
    chromium.execute_script(wheel, marks)
    np.testing.assert_allclose(chromium.execute_script(fixed), under, atol=1e-6)  # what is under the pointer stays
    assert chromium.execute_script("return minembedMap.camera.zoom") > 1.4
    chromium.find_element(By.ID, "all").click()
    buttons = chromium.find_elements(By.CSS_SELECTOR, "#legend button")
    assert len(buttons) == len(chart.groups.names)
    chromium.execute_script("document.getElementById('names').click()")
    settle(chromium)
    whole = ink(chromium)
    buttons[0].click()
    settle(chromium)
    assert (
        chromium.execute_script("return minembedMap.weight.filter((w) => w === 0).length") == chart.groups.counts()[0]
    )
    first = chromium.find_element(By.CSS_SELECTOR, "#legend button")
    assert first.get_attribute("aria-pressed") == "false" and ink(chromium) < whole
    chromium.find_element(By.ID, "hide").click()
    settle(chromium)
    assert ink(chromium) == 0
    mouse(chromium, 0)
    assert state(chromium)["hover"] == -1  # what is hidden is not there
    chromium.find_element(By.ID, "show").click()
    settle(chromium)
    assert ink(chromium) == whole
    check_quiet(chromium, path)


FRAMES = """const done = arguments[0], a = minembedMap, times = [];
function step(now) {
  times.push(now);
  if (times.length > 90) return done(times.slice(1).map((t, i) => t - times[i]).sort((x, y) => x - y));
  a.camera.zoomAt(times.length < 45 ? 1.04 : 1 / 1.04, 300, 300);
  a.camera.pan(2, 1);
  a.hit(300 + times.length, 300);
  a.moveEnd();
  requestAnimationFrame(step);
}
requestAnimationFrame(step);"""


def test_fifty_thousand_points_stay_smooth(chromium, pages):
    _, path = pages(50_000)
    open_page(chromium, path)
    between = chromium.execute_async_script(FRAMES)
    print(f"\n50,000 points: {1000 / np.median(between):.0f} frames a second, slowest of 90: {between[-1]:.0f} ms")
    assert np.median(between) < 1000 / 30
    search = "const t = performance.now(); minembedMap.search(arguments[0]); return performance.now() - t"
    chromium.execute_script(search, "warm up")
    assert chromium.execute_script(search, "pianos words") < 100
    chromium.execute_script("minembedMap.search('')")


# --- strangers' texts -----------------------------------------------------------------------------------------------


def test_a_thousand_hostile_strings_are_inert(chromium, tmp_path):
    texts = hostile(1000)
    rng = np.random.default_rng(0)
    made = Map.of(
        rng.normal(0, 1, (1000, 24)), texts, labels=[texts[i % 40] for i in range(1000)], method="pca", model=texts[0]
    )
    made.save(tmp_path / "hostile.html")
    open_page(chromium, tmp_path / "hostile.html")
    kinds = "img, iframe, svg svg, b, base, link, object, embed, meta, script, style"
    count = f"return document.querySelectorAll('{kinds}').length"
    before = chromium.execute_script(count)
    walk = """const a = minembedMap, seen = [];
        for (let i = 0; i < a.data.n; i++) {
          a.hover(i, true); a.select(i);
          const tip = document.getElementById("tip"), text = document.getElementById("text");
          const whole = text.textContent === (a.data.texts[i] || "(empty)");
          const plain = text.childNodes.length === 1 && text.firstChild.nodeType === 3;
          seen.push(whole && plain && tip.firstChild.nodeType === 3);
        }
        return seen.every(Boolean)"""
    assert chromium.execute_script(walk)
    chromium.find_element(By.ID, "search").send_keys("</script>")
    assert int(text_of(chromium, "count").split()[0].replace(",", "")) > 100
    settle(chromium)
    shot(chromium, "hostile")
    shown = chromium.execute_script("return minembedMap.data.texts")
    assert "⟨RLO⟩" in "".join(shown) and not set("\u202e\u2066\u2028\x00") & set("".join(shown))
    assert chromium.execute_script("return window.hacked") is None and chromium.execute_script(count) == before
    assert chromium.execute_script("return document.readyState") == "complete"
    check_quiet(chromium, tmp_path / "hostile.html")


def test_the_policy_refuses_what_is_added(chromium, pages):
    _, path = pages(10)
    open_page(chromium, path)
    added = """const script = document.createElement("script"), image = new Image();
        script.textContent = "window.hacked = 1";
        image.src = "http://192.0.2.1/x.png";
        document.body.append(script, image);
        fetch("http://192.0.2.1/").catch(() => 0)"""
    chromium.execute_script(added)
    settle(chromium)
    assert chromium.execute_script("return window.hacked") is None
    refused = chromium.get_log("browser")
    assert len(refused) >= 3 and all("Content Security Policy" in entry["message"] for entry in refused[:3])


# --- other shapes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["one", "two", "equal"])
def test_hardly_anything(case, chromium, tmp_path):
    vectors = {"one": np.ones((1, 3)), "two": np.eye(2), "equal": np.ones((50, 3))}[case]
    Map.of(vectors, ["a text"] * len(vectors), method="pca", clusters=None).save(tmp_path / "few.html")
    open_page(chromium, tmp_path / "few.html")
    chromium.execute_script("minembedMap.select(0)")
    settle(chromium)
    assert ink(chromium) > 20 and chromium.find_element(By.ID, "chosen").is_displayed()
    assert len(chromium.find_elements(By.CSS_SELECTOR, "#near tbody tr")) == min(10, len(vectors) - 1)
    shot(chromium, f"few-{case}")
    check_quiet(chromium, tmp_path / "few.html")


def test_three_dimensions_turn(chromium, pages):
    _, path = pages(1_000, dimensions=3)
    open_page(chromium, path)
    shot(chromium, "three-dimensions")
    marks, yaw = chromium.find_element(By.ID, "marks"), "return minembedMap.camera.yaw"
    before = chromium.execute_script(yaw)
    chain = ActionChains(chromium, duration=30).move_to_element_with_offset(marks, -300, -250).click_and_hold()
    chain.move_by_offset(50, 0).release().perform()
    assert abs(chromium.execute_script(yaw) - before - 0.4) < 0.02
    check_quiet(chromium, path)


@pytest.mark.parametrize(
    ("name", "width", "height", "flags"),
    [
        ("small", 500, 860, ()),
        ("dark", 1280, 800, ("blink-settings=preferredColorScheme=0",)),
        ("fine", 1280, 800, ("force-device-scale-factor=2",)),
    ],
)
def test_other_windows(name, width, height, flags, pages, tmp_path):
    driver = browser(tmp_path / "profile", width, height, *flags)
    try:
        _, path = pages(1_000)
        open_page(driver, path)
        settle(driver)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        shot(driver, f"{name}-open")
        driver.execute_script("minembedMap.select(5); minembedMap.select(9); minembedMap.hover(7)")
        settle(driver)
        shot(driver, f"{name}-click")
        boxes = driver.execute_script(
            """const box = (id) => document.getElementById(id).getBoundingClientRect().toJSON();
            return ["marks", "panel", "search"].map(box)"""
        )
        assert all(box["width"] > 150 and box["left"] >= 0 and box["right"] <= width for box in boxes)
        assert boxes[0]["height"] > 250
        check_quiet(driver, path)
    finally:
        driver.quit()
