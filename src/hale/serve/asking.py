"""Whom a job asks: a fitted model, or a method that learns from the scan itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hale.core.errors import Refused
from hale.core.scan import Contrast, RawScan, Slots
from hale.pipeline.model import Model, load_model
from hale.pipeline.single import names_a_method, single_scan_model, single_scan_recipe
from hale.prep.settings import Mode
from hale.recipe import Recipe
from hale.serve.shelf import Offer


@dataclass(frozen=True, kw_only=True, eq=False)
class Asking:
    """One of the two, ready: what takes seconds to load is loaded before a scan is prepared."""

    offer: Offer
    device: str
    fitted: Model | None = None
    recipe: Recipe | None = None

    @property
    def settings(self) -> Recipe:
        """Return the recipe."""
        if self.fitted is not None:
            return self.fitted.recipe
        if self.recipe is None:
            msg = "neither a model nor a recipe"
            raise ValueError(msg)
        return self.recipe

    @property
    def mode(self) -> Mode:
        """Return how much is prepared."""
        return self.settings.prep.mode

    @property
    def slots(self) -> Slots:
        """Return what is taken."""
        return self.fitted.space.slots if self.fitted is not None else self.settings.prep.slots

    def model(self, raw: RawScan) -> Model:
        """Return the model for a scan."""
        if self.fitted is not None:
            return self.fitted
        return single_scan_model(self.settings, raw, device=self.device)


def asking(offer: Offer, contrasts: Sequence[str], said: str | None, device: str) -> Asking:
    """Return an offer, made ready.

    Args:
        offer: Of the shelf.
        contrasts: Of the exam.
        said: The contrast that the user wants of a single-scan method; None: T1w if it is there.
        device: Where networks run.

    Raises:
        Refused: It runs a program of its own, is damaged, or takes another contrast.
    """
    if offer.refused:
        raise Refused(offer.name, offer.refused, "fit it with another prep.brain")
    if offer.folder is not None:
        return Asking(offer=offer, device=device, fitted=load_model(offer.folder, device=device))
    meant = said or (str(Contrast.T1W) if str(Contrast.T1W) in contrasts else contrasts[0])
    contrast = Contrast(meant) if names_a_method(offer.id) else None
    return Asking(offer=offer, device=device, recipe=single_scan_recipe(offer.id, contrast, ()))


def folder_name(offer: Offer) -> str:
    """Return the name of a result's folder: the model's, of plain letters."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in offer.name)[:60]
    return plain if offer.folder is None else f"{plain}-{offer.id[:6]}"


def results_at(out: Path, offer: Offer) -> Path:
    """Return where the result of an offer goes."""
    return out / folder_name(offer)
