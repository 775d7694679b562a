"""Checkpoints: everything that a run needs to go on, in one safetensors file. No pickle."""

import json
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from hale.core.errors import Refused

Resume = Literal["latest"] | int | None
"""Which checkpoint to go on from: the newest readable one, that of a step, or none."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The checkpoints of one run: ``step-00001200.safetensors``, the newest few."""

    folder: Path
    fingerprint: str
    """Of the recipe: a run does not go on from another recipe's checkpoint."""
    keep: int = 3

    def steps(self) -> list[int]:
        """Return the steps there are, oldest first."""
        return sorted(int(path.stem.removeprefix("step-")) for path in self._paths())

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write ``state`` whole or not at all, then drop the oldest.

        Raises:
            Refused: The folder cannot take it; what was there is left.
        """
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(flatten(state, "", tensors))
        labels = {"fingerprint": self.fingerprint, "crc32": str(_sum(tensors)), "tree": tree}
        path = self._path(step)
        unfinished = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write(unfinished, to_bytes(tensors, labels))
            unfinished.replace(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            why = f"the checkpoint of step {step} cannot be written ({error.strerror or error})"
            remedy = "free space there and resume, or give another folder"
            raise Refused(str(self.folder), why, remedy) from None
        for old in self.steps()[: -self.keep]:
            self._path(old).unlink()

    def load(self, which: Resume) -> dict[str, Any] | None:
        """Return the state to go on from; None for a run that starts.

        Raises:
            Refused: The wanted step is not there, or belongs to another recipe, or is damaged; or
                a run would start where another one's checkpoints lie.
        """
        steps = self.steps()
        if which is None and steps:
            why = f"holds checkpoints of a run (steps {_listed(steps)})"
            raise Refused(str(self.folder), why, "resume it, or give another folder")
        if isinstance(which, int):
            return self._load_exactly(which, steps)
        for step in reversed(steps):
            try:
                return self._read(step)
            except (SafetensorError, ValueError, OSError) as error:
                _logger.warning("%s is damaged (%s): passed over", self._path(step), error)
        if steps:
            why = f"no checkpoint is readable (steps {_listed(steps)})"
            raise Refused(str(self.folder), why, "remove them to start anew")
        return None

    def _load_exactly(self, step: int, steps: list[int]) -> dict[str, Any]:
        if step not in steps:
            why = f"has no checkpoint of step {step}"
            remedy = f"resume one of {_listed(steps)}" if steps else "there is none: start anew"
            raise Refused(str(self.folder), why, remedy)
        try:
            return self._read(step)
        except (SafetensorError, ValueError, OSError) as error:
            why = f"is damaged ({error})"
            raise Refused(str(self._path(step)), why, "resume the latest") from None

    def _read(self, step: int) -> dict[str, Any]:
        """Return the state of ``step``; ValueError or SafetensorError if it is damaged."""
        path = self._path(step)
        with safe_open(path, framework="pt") as file:
            labels = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
        if labels.get("crc32") != str(_sum(tensors)):
            msg = "its checksum does not fit"
            raise ValueError(msg)
        if labels["fingerprint"] != self.fingerprint:
            why = "was made by another recipe"
            raise Refused(str(path), why, "resume with that recipe, or give another folder")
        state: dict[str, Any] = unflatten(json.loads(labels["tree"]), tensors)
        return state

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.safetensors"

    def _paths(self) -> list[Path]:
        return list(self.folder.glob("step-" + "[0-9]" * 8 + ".safetensors"))


def write(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` and onto the disk under it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flatten(node: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Return ``node`` as JSON, its tensors taken out into ``tensors`` under their path.

    A container becomes ``{"dict": [[key, item], ...]}`` (keys keep their type: optimisers count
    parameters with integers), ``{"list": [...]}`` or ``{"tuple": [...]}``; a tensor becomes
    ``{"tensor": path}``.
    """
    if isinstance(node, Tensor):
        tensors[path] = node.detach().cpu().contiguous()
        return {"tensor": path}
    if isinstance(node, Mapping):
        items = [[key, flatten(item, f"{path}/{key}", tensors)] for key, item in node.items()]
        return {"dict": items}
    if isinstance(node, list | tuple):
        kind = "tuple" if isinstance(node, tuple) else "list"
        return {kind: [flatten(item, f"{path}/{n}", tensors) for n, item in enumerate(node)]}
    if node is None or isinstance(node, bool | int | float | str):
        return node
    msg = f"{path} is a {type(node).__name__}: a checkpoint holds tensors, numbers and text"
    raise TypeError(msg)


def unflatten(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo `flatten`."""
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: unflatten(item, tensors) for key, item in value}
    items = [unflatten(item, tensors) for item in value]
    return tuple(items) if kind == "tuple" else items


def _sum(tensors: Mapping[str, Tensor]) -> int:
    """Return a checksum over all tensors in the order of their names."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, total)
    return total


def _listed(steps: list[int]) -> str:
    return ", ".join(str(step) for step in steps)
