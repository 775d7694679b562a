"""Which way the brain of a scan is found: the user's mask, the scan's own, or an extractor."""

from dataclasses import dataclass

import numpy as np

from hale.core.errors import Refused
from hale.core.scan import Contrast, RawScan, Volume
from hale.core.types import Mask
from hale.io.cache import Cache, key_of
from hale.prep.brain.extracted import already_extracted
from hale.prep.log import Log
from hale.prep.settings import Extraction, Preparation

VERSION = 2
"""Of the extractors' results: raise it when one finds something else."""
MIN_BRAIN_ML, MAX_BRAIN_ML = 300.0, 3000.0
"""A child's brain with a margin, and the largest adult's."""
NAN_MARGIN_MM = 3.0
"""Around a brain that was found: NaN so near may have been brain, which the finder left out."""
GIVEN = "brain mask given by the user"
EXTRACTED = "already brain-extracted: its background is one value"


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A brain on its scan's grid."""

    brain: Mask
    margin_mm: float = 0.0
    """Within it a voxel that is not finite may have been brain."""


def find_brain(raw: RawScan, settings: Preparation, cache: Cache, content: str, log: Log) -> Found:
    """Return the brain of the reference contrast.

    Raises:
        Refused: None is found, or not of a brain's size.
    """
    found = _found(raw, settings, cache, content, log)
    ml = float(found.brain.sum()) * raw.reference.grid.voxel_ml
    log.checks["brain_ml"] = ml
    if not MIN_BRAIN_ML <= ml <= MAX_BRAIN_ML:
        why = f"no brain found: {ml:.0f} ml, an adult's is 900 to 2000"
        raise Refused(raw.id, why, "check the scan, or give --brain-mask")
    return found


def _found(raw: RawScan, settings: Preparation, cache: Cache, content: str, log: Log) -> Found:
    volume = raw.reference
    if raw.brain is not None:
        log.notes.append(GIVEN)
        return Found(brain=raw.brain)
    brain = already_extracted(volume)
    if brain is not None:
        log.notes.append(EXTRACTED)
        shown = bool(np.isfinite(volume.values[0, 0, 0]))  # else the background itself is NaN
        return Found(brain=brain, margin_mm=NAN_MARGIN_MM if shown else 0.0)
    how = "ct" if Contrast.CT in raw.volumes else str(settings.brain)
    key = key_of(VERSION, how, _extractor(how, settings), content)

    def compute() -> dict[str, np.ndarray]:
        return {"brain": np.packbits(_extracted(volume, raw.id, how, settings))}

    packed = cache.get("brain", key, compute)["brain"]
    count = int(np.prod(volume.grid.shape))
    brain = np.unpackbits(packed, count=count).reshape(volume.grid.shape).astype(bool)
    return Found(brain=brain, margin_mm=NAN_MARGIN_MM)


def _extractor(how: str, settings: Preparation) -> str:
    """Return what decides an extractor's result beside the scan."""
    match how:
        case Extraction.COMMAND:
            return settings.brain_command
        case Extraction.TEMPLATE:
            from hale.prep.template import template_hash

            return template_hash(settings.template_of_reference)
        case _:
            return ""


def _extracted(volume: Volume, name: str, how: str, settings: Preparation) -> Mask:
    """Run an extractor; each is imported when it is wanted."""
    match how:
        case "ct":
            from hale.prep.brain import ct

            return ct.extract(volume, name)
        case Extraction.TEMPLATE:
            from hale.prep.brain import template
            from hale.prep.template import template_of

            return template.extract(volume, name, template_of(settings.template_of_reference))
        case Extraction.COMMAND:
            from hale.prep.brain import command

            return command.extract(volume, name, settings.brain_command)
        case _:
            from hale.prep.brain import deepbet

            return deepbet.extract(volume, name)
