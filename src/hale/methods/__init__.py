"""The registry: one line per method. Modules load on demand, so ``hale --help`` needs no torch."""

from collections.abc import Callable
from dataclasses import Field, fields
from enum import Enum
from importlib import import_module
from typing import Annotated, Any, Final, cast, get_args, get_origin

from hale.core.errors import Refused
from hale.core.method import Method

METHODS: Final[dict[str, str]] = {
    "ae": "hale.methods.ae:AE",
    "anogan_scan": "hale.methods.anogan_scan:AnoGANScan",
    "asymmetry": "hale.methods.asymmetry:Asymmetry",
    "atlas": "hale.methods.atlas:Atlas",
    "cddpm": "hale.methods.cddpm:CDDPM",
    "cevae": "hale.methods.cevae:CEVAE",
    "convae_scan": "hale.methods.convae_scan:ConvAEScan",
    "dae": "hale.methods.dae:DAE",
    "ddpm": "hale.methods.ddpm:DDPM",
    "fanogan": "hale.methods.fanogan:FAnoGAN",
    "gmvae": "hale.methods.gmvae:GMVAE",
    "ifl": "hale.methods.ifl:IFL",
    "intensity": "hale.methods.intensity:Intensity",
    "pddpm": "hale.methods.pddpm:PDDPM",
    "sadm": "hale.methods.sadm:SADM",
    "sadm_cases": "hale.methods.sadm:SADMCases",
    "skipae": "hale.methods.skipae:SkipAE",
    "strega": "hale.methods.strega:StReGA",
    "svae": "hale.methods.svae:SVAE",
    "vae": "hale.methods.vae:VAE",
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


def describe(name: str) -> dict[str, Any]:
    """Return name, summary, reference, supervision and fields of a method, as plain values."""
    return described(name, find(name))


def described(name: str, learner: Callable[..., Any]) -> dict[str, Any]:
    """Return the same of a class that learns under ``name``."""
    cls = cast("Any", learner)
    _, _, reference = (import_module(cls.__module__).__doc__ or "").partition("Reference: ")
    return {
        "name": name,
        "summary": (cls.__doc__ or "").strip().splitlines()[0],
        "reference": " ".join(reference.partition("\n\n")[0].split()),
        "supervision": str(cls.supervision),
        "fields": [
            {"name": field.name, "type": type_name(field.type), "default": _default(field)}
            for field in fields(cls)
        ],
    }


def type_name(annotation: Any) -> str:
    """Return a type as people read it, without the bounds of its values."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return getattr(annotation, "__name__", str(annotation))


def _default(field: Field[Any]) -> Any:
    value = field.default
    return value.value if isinstance(value, Enum) else value
