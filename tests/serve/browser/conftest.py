"""A station with small results, and a browser that notes whatever should not happen."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
from chromium import launched
from made import Made, make
from visiting import PATIENCE_MS, POLICY, QUIET, Reader, served

DRAWING = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    return make(tmp_path_factory.mktemp("station"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright, DRAWING)
        yield browser
        browser.close()


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
