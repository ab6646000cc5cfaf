"""Headless Chromium, driven by selenium: common functions of the checks of pages."""

import json
import os
import shutil
import time
from pathlib import Path

from selenium import webdriver

FLAGS = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
FLAGS += ("disable-component-update", "disable-sync", "hide-scrollbars")


def browser(folder, width=1280, height=800, *flags):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"window-size={width},{height}", f"user-data-dir={folder}", *flags):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def until(driver, condition, seconds=30):
    end = time.monotonic() + seconds
    while not driver.execute_script(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.02)


def requests_of(driver):
    """The addresses that a page requested; without those of the browser's own first page, which may come late."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith(("chrome://", "chrome-untrusted://"))]


def shot(driver, name):
    folder = os.environ.get("MINEMBED_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(Path(folder) / f"{name}.png"))


def text_of(driver, name):
    return driver.execute_script("return document.getElementById(arguments[0]).textContent", name)


def settle(driver):
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))")
