"""A served station, and a reader at its pages who notes whatever should not happen."""

import base64
import gzip
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from playwright.sync_api import Page

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


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """Run `hale serve` on a folder, and give the address to open."""
    command = [sys.executable, "-c", "from hale.cli import main; main()", "serve", str(folder)]
    command += ["--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield re.search(r"http://\S+", server.stdout.readline()).group()
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
