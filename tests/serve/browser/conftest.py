"""A station with small results, and a browser that notes whatever should not happen."""

import base64
import gzip
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
from made import Made, make

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWING = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
PATIENCE_MS = 60_000
"""Pictures are drawn without a graphics card here."""
DROP = """files => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  const how = { bubbles: true, cancelable: true, dataTransfer: transfer };
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", how));
}"""
LOUD = ("error", "warning")
POLICY = "content-security-policy"
QUIET = ("GPU stall", "GL Driver Message", "Automatic fallback to software WebGL")
"""Chromium's remarks about drawing without a graphics card."""


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    return make(tmp_path_factory.mktemp("station"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Fail, do not skip, where there is no browser: `make browser` installs one."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).is_file():
            pytest.fail("no browser for the tests of pages: run `make browser`", pytrace=False)
        browser = playwright.chromium.launch(executable_path=found, args=DRAWING)
        yield browser
        browser.close()


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """Run `hale serve` on a folder, and give the address to open."""
    command = [sys.executable, "-c", "from hale.cli import main; main()", "serve", str(folder)]
    command += ["--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield re.search(r"http://\S+", server.stdout.readline()).group()
        server.terminate()


@pytest.fixture(scope="module")
def station(request, tmp_path_factory) -> Iterator[str]:
    """The address of a station on a copy of the results; with no models, on an empty folder."""
    folder = tmp_path_factory.mktemp("served") / "results"
    if getattr(request.module, "BARE", False):
        with served(folder, "--cache", str(folder / "cache")) as address:
            yield address
        return
    made = request.getfixturevalue("made")
    shutil.copytree(made.results, folder)
    options = ("--models", made.models, "--scans", made.scans, "--cache", made.cache)
    with served(folder, *map(str, options)) as address:
        yield address


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A page of the station."""

    page: Page
    origin: str
    requests: list[str]
    policies: set[str]

    def go(self, place: str) -> None:
        """Go to a hash route, and wait until it is drawn."""
        self.page.evaluate("place => { location.hash = place; }", place)
        self.wait(place)

    def wait(self, place: str) -> None:
        self.page.wait_for_selector(f'body[data-ready="{place}"]', timeout=PATIENCE_MS)

    def results(self) -> dict[str, str]:
        """Return the id of each result by its model."""
        rows = self.page.request.get(f"{self.origin}/api/results").json()
        return {row["model"]: row["id"] for row in rows}

    def open(self, model: str) -> str:
        """Open the result of a model; return its id."""
        result = self.results()[model]
        self.go(f"#/result/{result}")
        return result

    def settled(self) -> None:
        """Wait until the graphics have done what was asked for."""
        self.page.evaluate(
            "async () => { for (const figure of document.querySelectorAll('.pane'))"
            " while (figure.pane.busy) await figure.pane.busy; }"
        )

    def crosshair(self) -> list[float]:
        """Return where the crosshair is, mm."""
        self.settled()
        return self.page.evaluate("document.querySelector('.pane').pane.mm()")

    def drop(self, *files: Path) -> None:
        """Drop files on the page, as from a file manager."""
        data = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
        self.page.evaluate(DROP, data)

    def detect(self, scan: Path, model: str) -> str:
        """Drop a scan, choose a model, wait for the job, open its last result; return the id."""
        self.drop(scan)
        form = self.page.locator("form.start")
        form.wait_for()
        for box in form.locator(".models input:checked").all():
            box.uncheck()
        form.locator(".models label", has_text=model).first.locator("input").check()
        form.get_by_role("button", name="Start").click()
        ended = self.page.locator('.job[data-state="done"], .job[data-state="failed"]').first
        ended.wait_for(timeout=3 * PATIENCE_MS)
        assert ended.get_attribute("data-state") == "done", ended.inner_text()
        ended.get_by_role("link").last.click()
        self.page.wait_for_selector('body[data-ready^="#/result/"]')
        return self.page.evaluate("location.hash").split("/")[-1]

    def sign(self) -> None:
        """Say who reads, where the station asks."""
        self.page.locator("#who").fill("Dr. Röntgen")
        self.page.keyboard.press("Enter")

    def exported(self, result: str, name: str) -> bytes:
        """Return what the page's link gives."""
        link = self.page.locator(f'a[href="/api/results/{result}/export/{name}"]')
        answer = self.page.request.get(self.origin + link.get_attribute("href"))
        assert answer.status == 200, answer.text()
        return answer.body()

    def image(self, result: str, name: str) -> nib.Nifti1Image:
        """Return a volume of a result, as the pictures have it."""
        answer = self.page.request.get(f"{self.origin}/api/results/{result}/files/{name}")
        return nib.Nifti1Image.from_bytes(gzip.decompress(answer.body()))

    def colours(self) -> int:
        """Return how many pixels of the first picture are coloured, the crosshair's left out."""
        self.settled()
        shot = self.page.locator(".pane canvas").first.screenshot()
        pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
        red, green, blue = np.moveaxis(pixels, 2, 0)
        amber = (abs(green - 0.84 * red) < 0.08 * red) & (blue < 0.7 * red)
        return int(((np.ptp(pixels, axis=2) > 60) & ~amber).sum())


@pytest.fixture
def visit(chromium, station) -> Iterator[Callable[..., Reader]]:
    """Open the station; afterwards nothing may have gone wrong, nor been asked of others."""
    origin = station.split("/?")[0]
    wrong, contexts, readers = [], [], []

    def open_station(*, width: int = 1100, height: int = 660, **how) -> Reader:
        context = chromium.new_context(viewport={"width": width, "height": height}, **how)
        contexts.append(context)
        page = context.new_page()
        reader = Reader(page=page, origin=origin, requests=[], policies=set())
        readers.append(reader)
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console", lambda said: said.type in ("error", "warning") and wrong.append(said.text)
        )
        page.on("request", lambda request: reader.requests.append(request.url))
        page.on("response", lambda answer: reader.policies.add(answer.headers.get(POLICY, "")))
        page.goto(station)
        reader.wait("#/")
        return reader

    yield open_station
    for context in contexts:
        context.close()
    assert [text for text in wrong if not any(quiet in text for quiet in QUIET)] == []
    own = (f"{origin}/", "data:", f"blob:{origin}/")
    assert [url for reader in readers for url in reader.requests if not url.startswith(own)] == []
