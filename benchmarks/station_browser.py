"""How fast the station's pages are in a browser without a graphics card: prints seconds and rates.

    hale detect SCAN.nii.gz --model MODEL --out results/scan   # a map to show, once
    python benchmarks/station_browser.py results/ [models/]

Measured on the first result that has a mask: until the first page and the result's page are ready,
until a picture is there, frames a second of scrolling through slices (the canvas as large as the
page makes it in a window of 1400 x 900), and until lesions are formed anew at another threshold.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWING = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader")
FIRST = "document.querySelector('.pane')?.pane"
SCROLL = f"""async ([view, seconds]) => {{
  const pane = {FIRST};
  pane.setView(view);
  await pane.step(0, 0, 0);
  const start = performance.now();
  let frames = 0;
  for (; performance.now() - start < 1000 * seconds; frames++) {{
    pane.slice(frames % 40 < 20 ? 1 : -1);
    while (pane.busy) await pane.busy;
  }}
  return 1000 * frames / (performance.now() - start);
}}"""
READY = (".pane[data-picture]", "body[data-ready^='#/result/']")
WATCH = """async ([place, ...ready]) => {
  const start = performance.now();
  const there = (selector) => new Promise((done) => {
    const look = () => document.querySelector(selector) && done((performance.now() - start) / 1000);
    const all = { attributes: true, childList: true, subtree: true };
    new MutationObserver(look).observe(document.documentElement, all);
  });
  location.hash = place;
  return Promise.all(ready.map(there));
}"""
FORM = """async ([result, from]) => {
  const start = performance.now();
  const answers = [];
  for (let n = 0; n < 10; n++) {
    const z = from + 0.1 * n;
    answers.push((await (await fetch(`/api/results/${result}/threshold?z=${z}`)).json()).ms);
  }
  return [(performance.now() - start) / 10, Math.max(...answers)];
}"""


@contextmanager
def station(folder: str, models: list[str]) -> Iterator[str]:
    """Serve ``folder``, and give the address to open."""
    command = [sys.executable, "-c", "from hale.cli import main; main()", "serve", folder]
    command += ["--port", "0", *(part for model in models for part in ("--models", model))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        found = re.search(r"http://\S+", server.stdout.readline() if server.stdout else "")
        if found is None:
            raise SystemExit("the station did not start")
        yield found.group()
        server.terminate()


def timed(page: Page, place: str) -> tuple[float, float]:
    """Return the seconds from going to a hash route until each of `READY` is there."""
    first, last = page.evaluate(WATCH, [place, *READY])
    return first, last


def main() -> None:
    """Measure and print."""
    folder, *models = sys.argv[1:]
    with station(folder, models) as address, sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=found, args=list(DRAWING))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        start = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        print(f"first page ready: {time.perf_counter() - start:.2f} s")
        rows = page.request.get(page.url.split("/#")[0].rstrip("/") + "/api/results").json()
        result = next(row["id"] for row in rows if row["lesions"] is not None)
        first, last = timed(page, f"#/result/{result}")
        print(f"first picture of a result: {first:.2f} s")
        print(f"all its layers: {last:.2f} s")
        size = page.evaluate(f"[{FIRST}.canvas.width, {FIRST}.canvas.height]")
        print(f"canvas: {size[0]} x {size[1]} pixels")
        for view in ("axial", "coronal", "sagittal", "all"):
            print(f"scrolling, {view}: {page.evaluate(SCROLL, [view, 5]):.1f} frames a second")
        waited, worked = page.evaluate(FORM, [result, 3.0])
        print(f"lesions at another threshold: {waited:.0f} ms, of which {worked:.0f} ms to form")
        browser.close()


if __name__ == "__main__":
    main()
