"""The web page in a real browser: Debian's Chromium, without a screen."""

import base64
import itertools
import json
import re
import shutil
import urllib.request

import imageio.v3 as iio
import numpy as np
import pytest

selenium = pytest.importorskip("selenium", reason="needs selenium")
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from tests.serving.test_web_app import served, server  # noqa: E402, F401
from tests.test_conditional_runs import digits, run  # noqa: E402, F401

pytestmark = pytest.mark.skipif(
    not shutil.which("chromium") or not shutil.which("chromedriver"),
    reason="needs Debian's chromium and chromium-driver",
)

# Before the page's own script: requests are written down and take a while, and what the page does
# every five seconds it does at once. `described` changes what /api/run says.
WATCHED = """
window.asked = [];
window.mostAtOnce = {};
window.under = {};
const send = window.fetch.bind(window), every = window.setInterval;
window.setInterval = (task, wait) => every(task, wait / 20);
window.fetch = async (url, ...options) => {
  const path = url.split("?")[0];
  window.asked.push(url);
  under[path] = (under[path] ?? 0) + 1;
  window.mostAtOnce[path] = Math.max(window.mostAtOnce[path] ?? 0, under[path]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const response = await send(url, ...options).finally(() => under[path]--);
  const changes = JSON.parse(sessionStorage.getItem("described"));
  if (path !== "/api/run" || !changes || !response.ok) return response;
  return Response.json({ ...await response.json(), ...changes });
};
"""

# How much lighter a color of the page is than another, as WCAG 2 computes contrast.
LIGHTER = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const luminance = (color) => {
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const colorOf = (name) => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
};
const [one, other] = [...arguments].map((name) => luminance(colorOf(name)) + 0.05);
return one / other;
"""


@pytest.fixture(scope="module")
def chromium():
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox"):
        options.add_argument(argument)
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        driver.execute_cdp_cmd("Page.enable", {})
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCHED})
        yield driver


@pytest.fixture
def open_page(chromium, tmp_path):
    """Opens the page at a port with its first images, and checks for hidden errors afterwards."""
    behavior = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", behavior)
    set_width(chromium, 1000)
    prefer(chromium, "light")

    def opened(port):
        chromium.get(f"http://127.0.0.1:{port}/")
        wait(chromium, lambda: is_loaded(chromium))
        return chromium

    yield opened
    messages = [entry["message"] for entry in chromium.get_log("browser")]
    # A test may end the server, or take the run away.
    refused = re.compile(r"/api/(run|interpolation|\S* - .*: net::ERR_)")
    assert [each for each in messages if not refused.search(each)] == []
    chromium.get("about:blank")


@pytest.fixture
def browser(open_page, server):  # noqa: F811
    return open_page(server)


def set_width(driver, width):
    size = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(driver, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def wait(driver, condition):
    """Waits until something is so, of elements that may be replaced meanwhile."""
    replaced = [StaleElementReferenceException]
    WebDriverWait(driver, 30, 0.05, replaced).until(lambda _: condition())


def is_loaded(driver):
    """Whether every picture of the page has arrived."""
    return driver.execute_script(
        "return [...document.images].every((i) => i.closest('[hidden]') || i.naturalWidth > 0)"
    )


def is_answered(driver):
    """Whether the page has all pictures that it asked for."""
    return driver.execute_script(
        "return Object.entries(under).every(([path, count]) => !count || path === '/api/run')"
    )


def find(driver, name):
    return driver.find_element(By.ID, name)


def tiles(driver):
    return driver.find_elements(By.CSS_SELECTOR, "#grid button")


def first_picture(driver):
    """The URL of the first tile's picture, in one call because the page may redraw its tiles."""
    return driver.execute_script("return document.querySelector('#grid button img').src")


def picture_of(element):
    return element.find_element(By.TAG_NAME, "img").get_attribute("src")


def letters(driver):
    """The letters on the tiles by their numbers: on those that were chosen, and on others."""
    found = {"true": {}, "false": {}}
    shown = driver.execute_script(
        "return [...document.querySelectorAll('#grid button')]"
        ".map((each) => [each.ariaPressed, each.innerText])"
    )
    for number, (pressed, letter) in enumerate(shown):
        if letter:
            found[pressed][number] = letter
    return found["true"], found["false"]


def address(driver, name):
    """What the picture of a name was asked for by."""
    return find(driver, f"{name}-save").get_attribute("href")


def shows(driver, name, picture):
    """Whether an image of the page shows the pixels of a file."""
    script = (
        "const image = document.getElementById(arguments[0]);"
        "const canvas = document.createElement('canvas');"
        "canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;"
        "canvas.getContext('2d').drawImage(image, 0, 0);"
        "return canvas.toDataURL().split(',')[1]"
    )
    shown = base64.b64decode(driver.execute_script(script, name))
    if not shown:  # one picture is about to take the place of another
        return False
    found, expected = (iio.imread(each, plugin="pillow", mode="RGB") for each in (shown, picture))
    return np.array_equal(found, expected)


def test_chosen_tiles_have_letters_and_a_second_click_removes_one(browser):
    assert letters(browser) == ({}, {0: "A", 1: "B", 2: "C"})
    for number in (4, 9, 1):
        tiles(browser)[number].click()
    assert letters(browser) == ({4: "A", 9: "B", 1: "C"}, {})
    assert "from=4&to=9&" in address(browser, "interpolation")
    assert "a=4&b=9&c=1" in address(browser, "arithmetic")
    ends = browser.find_elements(By.CSS_SELECTOR, ".path [data-place], .sum [data-place]")
    shown = [picture_of(tiles(browser)[number]) for number in (4, 9, 4, 9, 1)]
    assert [end.get_attribute("src") for end in ends] == shown
    tiles(browser)[9].click()
    assert letters(browser) == ({4: "A", 1: "C"}, {0: "B"})
    assert "a=4&b=0&c=1" in address(browser, "arithmetic")
    tiles(browser)[7].click()
    assert letters(browser) == ({4: "A", 7: "B", 1: "C"}, {})
    tiles(browser)[11].click()
    assert letters(browser) == ({4: "A", 7: "B", 11: "C"}, {})
    find(browser, "clear").click()
    assert letters(browser) == ({}, {0: "A", 1: "B", 2: "C"})
    tiles(browser)[3].click()
    find(browser, "new").click()  # other images: what was chosen is not among them
    wait(browser, lambda: picture_of(tiles(browser)[4]) != shown[0])
    assert letters(browser) == ({}, {0: "A", 1: "B", 2: "C"})


def test_slider_asks_for_one_image_at_a_time_and_shows_the_last(browser, server):  # noqa: F811
    browser.execute_script(
        "asked.length = 0;"
        "for (let i = 0; i <= 100; i++) {"
        "  document.getElementById('fraction').value = i / 200 + 0.25;"
        "  document.getElementById('fraction').dispatchEvent(new Event('input')); }"
    )
    last = f"http://127.0.0.1:{server}/api/interpolation.png?seed=0&from=0&to=1&fraction=0.75"
    with urllib.request.urlopen(last) as answer:
        expected = answer.read()
    wait(browser, lambda: shows(browser, "interpolation", expected))
    asked = [url for url in browser.execute_script("return asked") if url.startswith("/api/int")]
    assert [url.rpartition("=")[2] for url in asked] == ["0.25", "0.75"]
    assert browser.execute_script("return mostAtOnce")["/api/interpolation.png"] == 1
    assert not any("arithmetic" in url for url in browser.execute_script("return asked"))


def test_epochs_slide_and_images_are_saved(browser, server, finished_run, tmp_path):  # noqa: F811
    assert find(browser, "epoch-shown").text == "epoch 2"
    find(browser, "epoch").send_keys(Keys.HOME)
    untrained = (finished_run / "samples" / "init.png").read_bytes()
    wait(browser, lambda: shows(browser, "frame", untrained))
    assert find(browser, "epoch-shown").text == "untrained"
    browser.find_elements(By.CSS_SELECTOR, "#grid a")[3].click()
    path = tmp_path / "seed_0_image_3.png"
    wait(browser, path.exists)
    url = f"http://127.0.0.1:{server}/api/image.png?seed=0&number=3&zoom=8"
    with urllib.request.urlopen(url) as answer:
        assert path.read_bytes() == answer.read()


def test_page_follows_a_run_that_trains(open_page, finished_run, tmp_path):
    copy = shutil.copytree(finished_run, tmp_path / "run")
    checkpoints, samples = copy / "checkpoints", copy / "samples"
    kept = shutil.copytree(checkpoints, tmp_path / "kept")
    for path in checkpoints.glob("ckpt-12.*"):
        path.unlink()

    def options():
        # In one call: the page may replace its options between two.
        script = (
            "return [...document.querySelectorAll('#checkpoint option')].map(each => each.text)"
        )
        return browser.execute_script(script)

    with served(copy) as port:
        browser = open_page(port)
        assert options() == ["newest: step 10", "step 10", "step 8"]
        before = first_picture(browser)
        tiles(browser)[5].click()
        shutil.copy(samples / "init.png", samples / "epoch_0003.png")
        shutil.copy(samples / "reals.png", tmp_path / "losses.png")
        (tmp_path / "losses.png").replace(copy / "losses.png")
        (checkpoints / "best").write_text("8\n")
        for path in kept.glob("ckpt-12.*"):
            shutil.copy(path, checkpoints)
        wait(browser, lambda: find(browser, "epoch-shown").text == "epoch 3")
        wait(browser, lambda: first_picture(browser) != before)
        assert options() == ["newest: step 12", "step 12", "step 10", "step 8, best"]
        assert letters(browser)[0] == {5: "A"}
        newest = (samples / "epoch_0003.png").read_bytes()
        wait(browser, lambda: shows(browser, "frame", newest))
        browser.execute_script("document.querySelector('#plots img').id = 'losses'")
        plot = (copy / "losses.png").read_bytes()
        wait(browser, lambda: shows(browser, "losses", plot))

        # What one looks at stays: an older epoch, an older checkpoint.
        find(browser, "epoch").send_keys(Keys.HOME)
        Select(find(browser, "checkpoint")).select_by_visible_text("step 10")
        wait(browser, lambda: first_picture(browser) == before)
        shutil.copy(samples / "init.png", samples / "epoch_0004.png")
        (checkpoints / "best").unlink()
        wait(browser, lambda: find(browser, "epoch").get_attribute("max") == "4")
        wait(browser, lambda: options()[-1] == "step 8")
        assert find(browser, "epoch-shown").text == "untrained"
        assert first_picture(browser) == before
        wait(browser, lambda: is_answered(browser))
        drawn = [find(browser, name) for name in ("interpolation", "arithmetic")]
        old = [image.get_attribute("src") for image in drawn]
        for path in checkpoints.glob("ckpt-10.*"):  # until the training deletes it
            path.unlink()
        wait(browser, lambda: first_picture(browser) != before)
        # Else what the page still asks for would be refused, once the run is away.
        for image, src in zip(drawn, old):
            wait(browser, lambda image=image, src=src: image.get_attribute("src") != src)
        assert find(browser, "checkpoint").get_attribute("value") == ""
        assert find(browser, "message").text == ""
        config = (copy / "config.json").rename(tmp_path / "config.json")
        wait(browser, lambda: "is not a run directory" in find(browser, "message").text)
        find(browser, "fraction").send_keys(Keys.HOME)  # is refused now, and made up for later
        wait(browser, lambda: browser.execute_script("return failures.size") == 2)
        config.rename(copy / "config.json")
        wait(browser, lambda: find(browser, "message").text == "")
        wait(browser, lambda: find(browser, "interpolation").get_attribute("alt")[-4:] == "at 0")
    wait(browser, lambda: "is dcgan web still running?" in find(browser, "message").text)


def alt(driver):
    return tiles(driver)[0].find_element(By.TAG_NAME, "img").get_attribute("alt")


def test_class_with_two_spaces_in_its_name(open_page, run, tmp_path):  # noqa: F811
    copy = shutil.copytree(run, tmp_path / "run")
    config = json.loads((copy / "config.json").read_text())
    counts = config["images"]["classes"].values()
    config["images"]["classes"] = dict(zip(["two  spaces", *"123456789"], counts))
    (copy / "config.json").write_text(json.dumps(config))
    with served(copy) as port:
        browser = open_page(port)
        Select(find(browser, "label")).select_by_index(1)
        wait(browser, lambda: alt(browser) == "Image 0 of seed 0, class two  spaces")


def test_class_is_chosen_and_interpolated_between(open_page, run, tmp_path):  # noqa: F811
    with served(run) as port:
        browser = open_page(port)
        choice = Select(find(browser, "label"))
        assert [option.text for option in choice.options] == ["any", *map(str, range(10))]
        sources = []
        for label, place in (("7", 4), ("3", 9)):
            choice.select_by_visible_text(label)
            wait(browser, lambda label=label: alt(browser) == f"Image 0 of seed 0, class {label}")
            sources.append(picture_of(tiles(browser)[place]))
            tiles(browser)[place].click()
        assert "from=4&to=9&from_label=7&to_label=3" in address(browser, "interpolation")
        assert find(browser, "interpolation-caption").text == "4 (7) to 9 (3)"
        ends = browser.find_elements(By.CSS_SELECTOR, ".path [data-place]")
        assert [end.get_attribute("src") for end in ends] == sources
        assert letters(browser) == ({9: "B"}, {0: "C"})
        # Another checkpoint draws both anew, also the one whose class is not shown.
        Select(find(browser, "checkpoint")).select_by_visible_text("step 8")
        wait(browser, lambda: ends[0].get_attribute("src") != sources[0])
        assert ends[1].get_attribute("src") == picture_of(tiles(browser)[9]) != sources[1]
        browser.find_elements(By.CSS_SELECTOR, "#grid a")[0].click()
        wait(browser, lambda: (tmp_path / "seed_0_image_0_3.png").exists())


def test_page_of_a_run_without_classes_has_no_choice(browser):
    assert not find(browser, "classes").is_displayed()


def test_keyboard_reaches_everything_with_a_visible_focus(browser):
    def press(key):
        browser.switch_to.active_element.send_keys(key)
        focused = browser.switch_to.active_element
        style = "return getComputedStyle(arguments[0]).outlineStyle"
        assert browser.execute_script(style, focused) == "solid"
        return focused

    find(browser, "seed").send_keys(Keys.NULL)
    assert press(Keys.TAB) == find(browser, "new")
    assert press(Keys.TAB) == tiles(browser)[0]
    assert press(Keys.ARROW_RIGHT) == tiles(browser)[1]
    assert press(Keys.ARROW_DOWN) == tiles(browser)[9]
    assert press(Keys.ARROW_DOWN) == tiles(browser)[9]  # it is the last row
    assert press(Keys.ENTER).text == "A"
    assert press(Keys.TAB).accessible_name == "Save image 9"
    assert press(Keys.TAB) == find(browser, "interpolation-save")
    assert press(Keys.SHIFT + Keys.TAB).accessible_name == "Save image 9"
    assert press(Keys.HOME) == tiles(browser)[0]
    assert press(Keys.END) == tiles(browser)[15]
    names = [press(Keys.TAB).accessible_name for _ in range(7)]
    assert names == [
        "Save image 15",
        "Save the interpolation",
        "Fraction of the path from A to B",
        "Save the result",
        "Epoch",
        "Plot of the losses during training",
        "HTTP API",
    ]
    assert not find(browser, "api").get_property("open")
    press(Keys.ENTER)
    assert "/api/arithmetic.png" in find(browser, "api").text


@pytest.mark.parametrize("width, columns", [(360, 4), (700, 8), (1000, 8), (1400, 8)])
def test_every_width_is_filled_without_scrolling_sideways(browser, width, columns):
    set_width(browser, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    tops = [tile.location["y"] for tile in tiles(browser)]
    rows = [len([*row]) for _, row in itertools.groupby(tops)]
    assert rows == [columns] * (16 // columns)
    cards = browser.find_elements(By.CSS_SELECTOR, ".card")
    assert max(card.rect["x"] + card.rect["width"] for card in cards) >= width - 40
    beside = find(browser, "training").location["y"] == find(browser, "images").location["y"]
    assert beside == (width == 1400)


def test_tiles_have_the_shape_of_the_images_on_a_checkered_ground(open_page, server):  # noqa: F811
    browser = open_page(server)
    browser.execute_script("sessionStorage.setItem('described', '{\"shape\": [28, 56, 4]}')")
    try:
        browser.refresh()
        wait(browser, lambda: is_loaded(browser))
        for image in browser.find_elements(By.CSS_SELECTOR, ".generated img"):
            size = image.size
            assert size["width"] / size["height"] == pytest.approx(2, rel=0.05)
        grounds = browser.execute_script(
            "return [...document.querySelectorAll('.generated .picture')]"
            ".map((each) => getComputedStyle(each).backgroundImage)"
        )
        assert len(grounds) == 16 + 3 + 4
        assert all(ground.startswith("conic-gradient") for ground in grounds)
    finally:
        browser.execute_script("sessionStorage.clear()")


def test_colors_of_both_schemes_can_be_read(browser):
    for scheme in ("light", "dark"):
        prefer(browser, scheme)
        pairs = itertools.product(("ground", "card", "field"), ("text", "quiet", "accent"))
        for ground, text in [*pairs, ("on-accent", "accent")]:
            lighter = browser.execute_script(LIGHTER, ground, text)
            assert (lighter if scheme == "light" else 1 / lighter) >= 4.5, (scheme, ground, text)


def test_everything_has_a_name_and_nothing_is_from_outside(browser, server):  # noqa: F811
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ["button", "link", "image", "combobox", "spinbutton", "slider", "region"]
    names = {role: [] for role in roles}
    for node in nodes:
        if not node["ignored"] and node["role"]["value"] in roles:
            names[node["role"]["value"]].append(node["name"]["value"])
    assert all(name for named in names.values() for name in named), names
    assert names["combobox"] == ["Checkpoint"] and names["spinbutton"] == ["Seed"]
    assert names["slider"] == ["Fraction of the path from A to B", "Epoch"]
    assert "Image 1 of seed 0 B" in names["button"] and len(names["link"]) == 16 + 2 + 1
    assert "Latent arithmetic: 0 − 1 + 2" in names["image"] and len(names["image"]) >= 9
    asked = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    own = (f"http://127.0.0.1:{server}/api/", f"blob:http://127.0.0.1:{server}/", "data:")
    assert len(asked) >= 5 and all(url.startswith(own) for url in asked)
