"""A station with small results, and a browser that notes whatever should not happen."""

import base64
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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


@pytest.fixture(scope="module")
def station(made, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A running `hale serve` on a copy of the results: the address to open, and the folder."""
    folder = tmp_path_factory.mktemp("served") / "results"
    shutil.copytree(made.results, folder)
    command = [
        sys.executable,
        "-c",
        "from hale.cli import main; main()",
        "serve",
        str(folder),
        "--port",
        "0",
    ]
    command += ["--models", str(made.models), "--cache", str(made.cache)]
    command += ["--scans", str(made.scans)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        yield re.search(r"http://\S+", line).group(), folder
        server.terminate()


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
    address, _ = station
    origin = address.split("/?")[0]
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
        page.goto(address)
        reader.wait("#/")
        return reader

    yield open_station
    for context in contexts:
        context.close()
    assert [text for text in wrong if not any(quiet in text for quiet in QUIET)] == []
    own = (f"{origin}/", "data:", f"blob:{origin}/")
    assert [url for reader in readers for url in reader.requests if not url.startswith(own)] == []
