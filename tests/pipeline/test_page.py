"""The status page in a real browser: headless Chromium, where there is one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from octoproof.cli.serve import listening, server
from octoproof.pipeline.limits import Rules
from octoproof.pipeline.request import request_of
from octoproof.pipeline.service import Desk
from octoproof.pipeline.snapshots import Snapshots
from octoproof.pipeline.store import Store
from octoproof.pipeline.threads import StoreThreads
from octoproof.vectors.answers import Session
from octoproof.vectors.query import find
from octoproof.vectors.snapshot import Snapshot

webdriver = pytest.importorskip("selenium.webdriver")
Keys = webdriver.Keys
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("no Chromium with its driver on this machine", allow_module_level=True)

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
LARGE = (1 << 59) + 1  # more than a number of JavaScript holds exactly
TOKEN = b"a-token-of-many-letters"


class Page:
    """A browser at the page; `find` waits for what it looks for."""

    def __init__(self, url: str, profile: Path, width: int = 1280, height: int = 900) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS.split(), f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.url, self.browser = url, webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def open(self, path: str = "/") -> None:
        self.browser.get("about:blank")
        self.browser.get(self.url + path)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def find(self, selector: str, text: str = "") -> Any:
        """The first visible element of the selector that holds the text."""

        def look() -> Any:
            script = """return [...document.querySelectorAll(arguments[0])].find((element) =>
                element.checkVisibility() && element.textContent.includes(arguments[1])) ?? null"""
            return self.run(script, selector, text)

        return until(look)

    def texts(self, selector: str) -> list[str]:
        """Of all elements of the selector, visible or not."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def press(self, key: str) -> None:
        self.browser.switch_to.active_element.send_keys(key)

    def focused(self) -> str:
        """What a screen reader calls the element with the focus."""
        return self.run("const e = document.activeElement; return e.ariaLabel ?? e.textContent")

    def tab_to(self, name: str) -> None:
        """Moves the focus with the tab key alone."""
        for _ in range(100):
            if self.focused() == name:
                return
            self.press(Keys.TAB)
        raise AssertionError(f"the tab key does not lead to {name}")

    def complaints(self) -> list[str]:
        """What the browser had to say, refusals by the content security policy included."""
        return [entry["message"] for entry in self.browser.get_log("browser")]


def until(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.03)
    return found


@contextmanager
def serving(folder: Path, snapshots: dict[str, Path], **rules: Any) -> Iterator[str]:
    with listening("127.0.0.1", 0) as listener, StoreThreads(folder) as threads:
        running = server(Desk(threads, Snapshots(snapshots)), Rules(**rules))
        thread = Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    vectors = np.random.default_rng(7).normal(0, 1, (90, 4)).astype(np.float32)
    labels, ids = [f"w{k}" for k in range(90)], np.arange(90)
    labels[7], ids[89] = HOSTILE, LARGE
    folder = tmp_path_factory.mktemp("page") / "small"
    return Snapshot.build(vectors, folder, segment_rows=40, labels=labels, ids=ids, presets=("bench",))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "store"


@pytest.fixture(scope="module")
def page(snapshot: Snapshot, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with serving(store, {"small": snapshot.folder}) as url:
        found = Page(url, tmp_path_factory.mktemp("browser"))
        try:
            yield found
        finally:
            found.browser.quit()


@pytest.fixture(scope="module")
def proved(snapshot: Snapshot, store: Path) -> str:
    """A verified job about the vector with the hostile label: its id."""
    with Session("bench", threads=1) as session:
        receipt = snapshot.query(label=HOSTILE, k=3, where={}, prove=True, session=session).receipt
    assert receipt is not None
    with Store(store) as opened, opened.runner() as runner:
        job, _ = opened.submit(request_of(snapshot, find(snapshot, label=HOSTILE), k=3, preset="bench"))
        assert opened.take(runner) is not None
        assert opened.finish(job.id, runner, receipt.data)
        return job.id


def test_the_first_paint(page: Page, proved: str) -> None:
    page.open()
    page.find("#table .id", proved[:8])
    paints = page.run("return performance.getEntriesByType('paint').map((entry) => [entry.name, entry.startTime])")
    assert dict(paints)["first-contentful-paint"] < 1000.0
    assert page.complaints() == []


def test_the_proof_of_a_job(page: Page, proved: str, snapshot: Snapshot, store: Path) -> None:
    page.open()
    page.find("#table .id", proved[:8]).click()
    assert "these are exactly the k best rows" in page.find("#proof .proves").text
    assert snapshot.root.hex() in page.find("#proof dl").text
    matches = snapshot.query(label=HOSTILE, k=3).matches
    assert page.texts("#proof .scroll td:nth-child(2)")[:3] == [match.label for match in matches]
    names = ("shape", "commitments", "constraints", "fri commit", "queries", "openings", "fri", "snapshot root")
    assert page.texts("#proof .bars td:first-child") == [f"✓ {name}" for name in names]
    assert len(page.texts("#proof .bars tr:nth-child(7) .bar i")) == 3  # a piece for every part
    # Areas are in proportion to bytes, and fill the map.
    tiles = page.run("""return [...document.querySelectorAll(".map div")].map((tile) =>
        [parseFloat(tile.style.width) * parseFloat(tile.style.height), tile.title])""")
    whole = page.run("const map = document.querySelector('.map'); return map.clientWidth * map.clientHeight")
    assert sum(area for area, _ in tiles) == pytest.approx(whole, rel=0.001)
    for area, title in tiles:
        assert 100 * area / whole == pytest.approx(float(title.split()[-2]), abs=0.06), title
    sizes = [int(text.replace(",", "")) for text in page.texts("#proof table.bytes td:nth-child(3)")]
    with Store(store) as opened:
        assert sum(sizes) == len(opened.artefacts.get(opened.job(proved).receipt or ""))
    assert page.browser.title == "Octoproof jobs"  # and not what the label wants
    assert page.complaints() == []


def test_a_job_from_the_form_to_its_end(page: Page, store: Path) -> None:
    """This test is the runner; the page is never loaded again."""
    page.open()
    page.find("#form [name=value]").send_keys("w5")
    page.find("#form [name=k]").clear()
    page.find("#form [name=k]").send_keys("4")
    page.find("#form [name=where]").send_keys("label=w5")
    page.find("#form button").click()
    told = page.find("#said", "is queued").text
    id = page.find("#table .id", told.split()[1]).get_attribute("aria-label").split()[-1]
    page.find("#table tr", "4 nearest by l2, strict, where label=w5")
    page.find("#table .id", id[:8]).click()
    page.find("#proof-state", "queued")
    with Store(store) as opened, opened.runner() as runner:
        assert opened.job(id).request.where == (("label", "w5"),)
        job = opened.take(runner)
        assert job is not None
        assert job.id == id
        opened.proving(id, runner, 3)
        opened.proven(id, runner, 0, b"a part")
        page.find("#proof-state", "proving 1 of 3")
        page.find("#table .state.proving", "proving 1 of 3")
        assert page.run("return document.querySelector('#table progress').value") == 1
        opened.fail(id, runner, HOSTILE, again=False)
    assert HOSTILE in page.find("#proof-state", "failed").text
    page.find("#table .reason", HOSTILE)
    page.find("#counts", "1 failed")
    assert page.browser.title == "Octoproof jobs"
    assert page.complaints() == []


def test_ids_keep_all_their_digits(page: Page, snapshot: Snapshot, store: Path) -> None:
    page.open()
    page.find("#form [name=by]").send_keys("id")
    page.find("#form [name=value]").send_keys(str(LARGE))
    page.find("#form button").click()
    told = page.find("#said", "is queued").text
    with Store(store) as opened:
        job = opened.job(next(job.id for job in opened.jobs() if job.id.startswith(told.split()[1])))
        assert job.request.query == find(snapshot, id=LARGE).coordinates
    assert page.run(f"""return parse('{{"id": {LARGE}, "label": "\\\\"id\\\\": {LARGE}"}}')""") == {
        "id": str(LARGE),
        "label": f'"id": {LARGE}',
    }


def test_what_is_refused_is_said(page: Page) -> None:
    page.open()
    page.find("#form [name=value]").send_keys("nobody")
    page.find("#form button").click()
    page.find("#said", "label: 'nobody' is not in this snapshot")
    page.run("document.querySelector('#said').textContent = ''")
    page.find("#form [name=where]").send_keys("red")
    page.find("#form button").click()
    page.find("#said", "where: give field=value")
    assert page.run("return document.querySelector('#form [value=ivf]').disabled")  # the snapshot has no cells
    assert page.run("return document.querySelector('#form [value=cosine]').disabled")


def test_cancelled_by_keyboard_alone(page: Page, snapshot: Snapshot, store: Path) -> None:
    with Store(store) as opened:
        job, _ = opened.submit(request_of(snapshot, find(snapshot, id=3), k=2, preset="bench"))
    page.open()
    page.find("#table .id", job.id[:8])
    for label in (f"Cancel job {job.id}", f"Show job {job.id}"):
        page.tab_to(label)
        page.press(Keys.ENTER)
        page.find("#table tr", "cancelled")
    page.find("#proof-title", job.id)
    assert page.run("return document.activeElement.id") == "proof"
    page.tab_to("Close")
    page.press(Keys.ENTER)
    until(lambda: page.focused() == f"Show job {job.id}")
    with Store(store) as opened:
        assert opened.job(job.id).state == "cancelled"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(page: Page, proved: str, scheme: str) -> None:
    """WCAG AA for every text: 4.5 to 1 against what is behind it."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.open(f"/#job={proved}")
    page.find(".map div")
    assert page.run("return matchMedia(`(prefers-color-scheme: ${arguments[0]})`).matches", scheme)
    found = page.run("""
        const colour = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
            .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
        const behind = (element) => {
            for (; element; element = element.parentElement) {
                const [r, g, b, alpha = 1] = colour(getComputedStyle(element).backgroundColor);
                if (alpha === 1) return [r, g, b];
            }
            return [255, 255, 255];
        };
        const written = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        const texts = [...document.querySelectorAll("body :not(option)")].filter((element) =>
            element.checkVisibility() && written(element));
        return texts.map((element) => {
            const [a, b] = [light(colour(getComputedStyle(element).color)), light(behind(element))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.outerHTML.slice(0, 80)];
        });""")
    assert len(found) > 50
    assert [item for item in found if item[0] < 4.5] == []


def test_the_token_is_asked_for(snapshot: Snapshot, tmp_path: Path, page: Page) -> None:
    with serving(tmp_path / "store", {"small": snapshot.folder}, token=TOKEN) as url:
        page.browser.get(url)
        page.find("#token input").send_keys(TOKEN.decode() + Keys.ENTER)
        page.find("#about", "90 vectors of 4 numbers")
        page.find("#none", "No jobs yet")
        assert page.run("return document.querySelector('#token').open") is False
        page.browser.get(f"{url}/#reloaded")
        page.find("#about", "90 vectors of 4 numbers")
    page.complaints()


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone(page: Page, proved: str, width: int) -> None:
    """Nothing is wider than the screen, and what is to be touched is large enough for a finger."""
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    page.open(f"/#job={proved}")
    page.find(".map div")
    page.find("#table .id")
    assert page.run("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]
    small = page.run("""return [...document.querySelectorAll("button, input, select")]
        .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 33)
        .map((element) => element.outerHTML)""")
    assert small == []
