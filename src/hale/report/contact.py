"""A contact sheet: every exam of a cohort on one page, the doubtful first."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from scipy.ndimage import gaussian_filter

from hale.core.quality import LEFT_RIGHT
from hale.core.types import Map, Mask
from hale.report.canvas import CONTOUR, Picture, grey, outline, render, stitch
from hale.report.view import box, frame_of, grey_window

CELL = (150, 126)
"""Rows and columns that an axial plane gets: enough to see a brain upside down."""
ORDER = ("failed", "refuse", "warn", "pass")


@dataclass(frozen=True, kw_only=True)
class Card:
    """One exam on the sheet."""

    id: str
    verdict: str
    """One of `ORDER`."""
    reasons: tuple[str, ...] = ()
    figures: str = ""
    """In one line."""
    picture: Picture | None = None
    """None for an exam that came to nothing."""


def thumbnail(scan: Map, inside: Mask, atlas: Map | None) -> Picture:
    """Return the middle planes of a prepared scan, with the template's edge, or else the brain's.

    Args:
        scan: One contrast on the isotropic model grid, normalised.
        inside: Its brain.
        atlas: The template there, if the scan was registered.
    """
    edge = inside if atlas is None else gaussian_filter(atlas, 0.7) > 0.15 * atlas.max()
    axes = [2] if scan.shape[2] == 1 else [2, 1, 0]
    frame = frame_of((1.0, 1.0, 1.0), edge, cell=CELL, margin_mm=4.0)
    middle = [(first + last) // 2 for first, last in zip(*box(edge), strict=True)]
    window = grey_window(scan, inside)
    tiles = [
        outline(
            grey(frame.cut(scan, axis, middle[axis]), window),
            frame.cut_mask(edge, axis, middle[axis]),
            CONTOUR,
        )
        for axis in axes
    ]
    canvas, _ = stitch(tiles, len(axes))
    return render(np.ascontiguousarray(canvas), [], "Middle planes and the template's edge")


def write_contact_sheet(cards: Sequence[Card], title: str, path: Path) -> None:
    """Write the page, worst verdict first, a self-contained HTML file."""
    ordered = sorted(cards, key=lambda card: (ORDER.index(card.verdict), card.id))
    counts = [(v, sum(card.verdict == v for card in cards)) for v in reversed(ORDER)]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("hale.report").joinpath("contact.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=title, cards=ordered, counts=counts, left_right=LEFT_RIGHT
    )
    path.write_text(page, encoding="utf-8")
