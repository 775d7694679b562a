"""ANTs through antspyx (extra ``ants``), imported when it is wanted."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from hale.core.errors import Refused


def antspyx(wanted_for: str) -> ModuleType:
    """Import antspyx, and let it use one thread: more of them add up in any order.

    Raises:
        Refused: It is not installed.
    """
    if find_spec("ants") is None:
        raise Refused(
            wanted_for, "antspyx is not installed", "install it: pip install 'hale[ants]'"
        )
    ants = import_module("ants")
    ants.config.set_ants_deterministic(on=True, seed_value=None)
    return ants
