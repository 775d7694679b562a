"""The browser that tests of pages run in: the system's Chromium or Chrome, or Playwright's own."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def launched(playwright: Playwright, args: Sequence[str]) -> Browser:
    """Return the browser; fail, do not skip, where there is none: `make browser` installs one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and not Path(playwright.chromium.executable_path).is_file():
        pytest.fail("no browser for the tests of pages: run `make browser`", pytrace=False)
    return playwright.chromium.launch(executable_path=found, args=list(args))
