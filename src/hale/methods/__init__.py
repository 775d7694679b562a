"""The registry: one line per method. Modules load on demand, so ``hale --help`` needs no torch."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, cast

from hale.core.errors import Refused
from hale.core.method import Method

METHODS: Final[dict[str, str]] = {
    "ae": "hale.methods.ae:AE",
    "asymmetry": "hale.methods.asymmetry:Asymmetry",
    "atlas": "hale.methods.atlas:Atlas",
    "dae": "hale.methods.dae:DAE",
    "intensity": "hale.methods.intensity:Intensity",
}


def find(name: str) -> Callable[..., Method]:
    """Return the class registered as ``name``."""
    if name not in METHODS:
        raise Refused(f"method {name!r}", "there is none of that name", f"take {_names()}")
    module, _, attribute = METHODS[name].partition(":")
    return cast("Callable[..., Method]", getattr(import_module(module), attribute))


def _names() -> str:
    *most, last = METHODS
    return f"{', '.join(most)} or {last}"
