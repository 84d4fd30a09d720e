"""The web page in a real browser: Debian's Chromium, without a screen."""

import contextlib
import json
import shutil

import numpy as np
import pytest

selenium = pytest.importorskip("selenium", reason="needs selenium")
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from tests.serving.test_web_app import served, server  # noqa: E402, F401
from tests.test_conditional_runs import digits, mnist_labels, run  # noqa: E402, F401

pytestmark = pytest.mark.skipif(
    not shutil.which("chromium") or not shutil.which("chromedriver"),
    reason="needs Debian's chromium and chromium-driver",
)


@contextlib.contextmanager
def opened(port, downloads):
    """The page in a browser, with its first images."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1000,1400"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options, service) as driver:
        driver.get(f"http://127.0.0.1:{port}/")
        wait(driver, lambda: len(tiles(driver)) == 16)
        yield driver


@pytest.fixture
def browser(server, tmp_path):  # noqa: F811
    with opened(server, tmp_path) as driver:
        yield driver


def wait(driver, condition):
    # The page may replace an image between its being found and its being read.
    stale = [StaleElementReferenceException]
    WebDriverWait(driver, 30, ignored_exceptions=stale).until(lambda _: condition())


def tiles(driver):
    return driver.find_elements(By.CSS_SELECTOR, "#grid button")


def source(driver, name):
    return driver.find_element(By.ID, name).get_attribute("src")


def loaded(driver):
    """Whether every picture of the page has arrived."""
    return driver.execute_script(
        "return [...document.images].every((i) => i.complete && i.naturalWidth > 0)"
    )


def test_click_select_slide_and_save(browser, tmp_path):
    wait(browser, lambda: loaded(browser))
    before = tiles(browser)[0].find_element(By.TAG_NAME, "img").get_attribute("src")
    browser.find_element(By.ID, "new").click()

    def changed():
        first = tiles(browser)[0].find_element(By.TAG_NAME, "img")
        return first.get_attribute("src") != before

    wait(browser, changed)
    for i in (4, 9, 2):
        tiles(browser)[i].click()
    assert "from=4&to=9&fraction=0.5" in source(browser, "interpolation")
    assert "a=4&b=9&c=2" in source(browser, "arithmetic")
    fraction = browser.find_element(By.ID, "fraction")
    fraction.send_keys(Keys.ARROW_RIGHT)
    assert "fraction=0.501" in source(browser, "interpolation")
    epoch = browser.find_element(By.ID, "epoch")
    epoch.send_keys(Keys.HOME)
    assert source(browser, "frame").endswith("epoch=0")
    wait(browser, lambda: loaded(browser))
    browser.find_element(By.CSS_SELECTOR, "#grid a").click()
    wait(browser, lambda: list(tmp_path.glob("seed_*_image_0.png")))
    messages = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert messages == []


def first_image(driver):
    return tiles(driver)[0].find_element(By.TAG_NAME, "img")


def test_class_with_two_spaces_in_its_name(run, tmp_path):  # noqa: F811
    copy = shutil.copytree(run, tmp_path / "run")
    config = json.loads((copy / "config.json").read_text())
    counts = config["images"]["classes"].values()
    config["images"]["classes"] = dict(zip(["two  spaces", *"123456789"], counts))
    (copy / "config.json").write_text(json.dumps(config))
    with served(copy) as port, opened(port, tmp_path) as driver:
        Select(driver.find_element(By.ID, "label")).select_by_index(1)
        alt = "generated image 0 of seed 0, class two  spaces"
        wait(driver, lambda: first_image(driver).get_attribute("alt") == alt)


def test_class_is_chosen_and_interpolated_between(run, tmp_path):  # noqa: F811
    with served(run) as port, opened(port, tmp_path) as driver:
        choice = Select(driver.find_element(By.ID, "label"))
        assert [option.text for option in choice.options] == ["any", *map(str, range(10))]
        sources = {}
        for label, place in (("7", 4), ("3", 9)):
            choice.select_by_visible_text(label)
            alt = f"generated image 0 of seed 0, class {label}"
            wait(driver, lambda alt=alt: first_image(driver).get_attribute("alt") == alt)
            sources[label] = first_image(driver).get_attribute("src")
            tiles(driver)[place].click()
        assert sources["7"] != sources["3"]
        assert "from=4&to=9&from_label=7&to_label=3" in source(driver, "interpolation")
        caption = driver.find_element(By.ID, "interpolation-caption")
        assert caption.text == "A = 4 (7) to B = 9 (3): 0.5"
        pressed = driver.find_elements(By.CSS_SELECTOR, "#grid [aria-pressed=true]")
        assert [each.get_attribute("data-number") for each in pressed] == ["9"]
        wait(driver, lambda: loaded(driver))
        driver.find_element(By.CSS_SELECTOR, "#grid a").click()
        wait(driver, lambda: (tmp_path / "seed_0_image_0_3.png").exists())
        assert [each for each in driver.get_log("browser") if each["level"] == "SEVERE"] == []


def test_page_of_a_run_without_classes_has_no_choice(browser):
    assert not browser.find_element(By.ID, "classes").is_displayed()


def test_keyboard_alone_selects_images(browser):
    first = tiles(browser)[0]
    first.send_keys(Keys.ENTER)
    assert first.get_attribute("aria-pressed") == "true"
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "save"


def test_a_phones_width_needs_no_scrolling_sideways(browser):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True},
    )
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360


def test_dark_mode_and_alternative_texts(browser):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    script = (
        "const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});"
        "c.fillStyle = getComputedStyle(document.querySelector('button')).backgroundColor;"
        "c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]"
    )
    assert np.mean(browser.execute_script(script)[:3]) < 100
    images = browser.find_elements(By.TAG_NAME, "img")
    assert len(images) >= 20 and all(image.get_attribute("alt") for image in images)
