"""The registry of pretraining stages, beside that of methods; modules load on demand."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from hale.core.errors import Refused
from hale.core.method import Stage

STAGES: Final[dict[str, str]] = {"spark": "hale.train.spark:SparK"}


def find_stage(name: str) -> Callable[..., Stage]:
    """Return the class registered as ``name``."""
    if name not in STAGES:
        why, remedy = "there is none of that name", f"take {', '.join(STAGES)}"
        raise Refused(f"pretraining stage {name!r}", why, remedy)
    module, _, attribute = STAGES[name].partition(":")
    return cast("Callable[..., Stage]", getattr(import_module(module), attribute))
