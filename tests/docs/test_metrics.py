"""The page on metrics runs as it stands, and what it says of its numbers is so."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hale import metrics

PAGE = (Path(__file__).parents[2] / "docs/how-to/metrics.md").read_text("utf-8")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's code has named, block after block."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)  # our own page
    return names


def test_its_numbers_are_what_it_says(names: dict[str, Any]) -> None:
    assert names["truth"][0].sum() == 144
    assert 0.5 < names["inside"].average_precision < 1
    judged = metrics.judge(names["against"])
    for name, one in names["against"].items():
        assert one.p == 1 / 32
        assert judged[name].p_holm == 1 / 16
        assert judged[name].verdict is metrics.Verdict.ALIKE
        assert one.low > 0  # an interval alone would have said better
    assert 2 * 2 / 2**7 <= 0.05
    healthy, threshold = names["healthy"], names["threshold"]
    assert (healthy >= threshold).mean() <= 0.01
    assert names["pool"].error < 1e-5
    assert np.isfinite(names["chosen"].threshold)


def test_every_function_of_its_table_is_there() -> None:
    table = [row.split("|")[1] for row in PAGE.splitlines() if row.startswith("| `")]
    named = [name for row in table for name in re.findall(r"`(\w+)`", row)]
    assert len(named) > 10
    assert [name for name in named if not callable(getattr(metrics, name))] == []


def test_importing_them_loads_neither_torch_nor_an_image_library() -> None:
    heavy = ("torch", "nibabel", "SimpleITK", "matplotlib", "pydantic")
    code = f"import sys, hale.metrics; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"
