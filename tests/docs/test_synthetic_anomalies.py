"""The example of the page on synthetic anomalies runs as it stands, and its table is whole."""

import re
from pathlib import Path

import numpy as np

from hale.data.lesions import Kind

PAGE = (Path(__file__).parents[2] / "docs/how-to/synthetic-anomalies.md").read_text("utf-8")


def test_the_example_runs() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, np.ndarray] = {}
    exec(block, names)  # our own page
    image, mask, brain = names["image"], names["mask"], names["brain"]
    assert mask.any()
    assert not (mask & ~brain).any()
    for changed in (names["textured"], names["blended"]):
        assert (changed != image).any()


def test_the_table_has_every_kind() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(Kind)
