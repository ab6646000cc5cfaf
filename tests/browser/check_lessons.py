"""The questions of the lessons on the built site, in headless Chromium: run by `make test-site`."""

import pytest
from chromium import browser, requests_of, shot, until
from places import ROOT
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

SITE = ROOT / "site"
LESSONS = sorted(path.stem for path in (ROOT / "docs" / "learn").glob("[0-9][0-9]-*.md"))
TOLD = "return [...document.querySelectorAll('.lesson-question')][{}].querySelector('output').textContent"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("profile"), 1200, 1000)
    yield driver
    driver.quit()


def open_lesson(driver, name, width=1200, scheme="light"):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get_log("browser")
    driver.get((SITE / "learn" / f"{name}.html").as_uri())
    until(driver, "return document.readyState === 'complete'")


def questions(driver):
    """Of each question: the answer, how far another may be from it (None for a letter), and whether it shows."""
    found = "[...document.querySelectorAll('details[data-answer]')]"
    return driver.execute_script(f"return {found}.map(d => [d.dataset.answer, d.dataset.within || null, d.open])")


def answer(driver, n, said, letter):
    """By the keyboard alone: into the question, the answer, and Enter."""
    first = driver.find_elements("css selector", ".lesson-question")[n].find_elements("css selector", "input")
    driver.execute_script("arguments[0].focus()", first[0])
    keys = ActionChains(driver)
    if letter:
        place = [radio.get_attribute("value") for radio in first].index(said)
        keys.send_keys(Keys.SPACE, *[Keys.ARROW_DOWN] * place)
    else:
        keys.key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(said)
    keys.send_keys(Keys.ENTER).perform()
    return driver.execute_script(TOLD.format(n))


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_asks_and_checks(chromium, name):
    requests_of(chromium)
    open_lesson(chromium, name)
    assert [opened for _, _, opened in questions(chromium)] == [False, False]
    for n, (right, within, _) in enumerate(questions(chromium)):
        if within is None:
            wrong = [answer(chromium, n, letter, True) for letter in "abc" if letter != right]
            assert wrong == ["Not yet."] * len(wrong) and answer(chromium, n, right, True) == "Right."
        else:
            far = float(right) + 3 * float(within) + 1
            assert answer(chromium, n, "a lot", False) == "A number, please."
            assert answer(chromium, n, f"{far}", False) == "Not yet." and not questions(chromium)[n][2]
            assert answer(chromium, n, right.replace(".", ","), False) == "Right."
        assert questions(chromium)[n][2]
    assert chromium.get_log("browser") == []
    assert [asked for asked in requests_of(chromium) if not asked.startswith(("file:", "data:", "chrome"))] == []
    chromium.execute_script("document.querySelector('.lesson-question').scrollIntoView({block: 'center'})")
    shot(chromium, f"lesson-{name}-questions")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_fits(chromium, name, width, scheme):
    open_lesson(chromium, name, width, scheme)
    assert chromium.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    broken = "return [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert chromium.execute_script(broken) == []
    chromium.execute_script("document.querySelector('img[src$=\".svg\"]').scrollIntoView({block: 'center'})")
    shot(chromium, f"lesson-{name}-{width}-{scheme}")
