"""The weights that did best on data which the fit does not learn from."""

from collections.abc import Mapping
from math import inf
from typing import Any

from torch import Tensor, nn


class Best:
    """Keeps the weights of the lowest loss offered; a NaN is never the lowest."""

    def __init__(self) -> None:
        self.loss = inf
        self.step = -1
        self.weights: dict[str, Tensor] = {}

    def offer(self, loss: float, net: nn.Module, *, step: int) -> None:
        """Copy the weights of ``net`` if ``loss`` is lower than any before."""
        if loss < self.loss:
            self.loss, self.step = loss, step
            self.weights = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in net.state_dict().items()
            }

    def give_to(self, net: nn.Module) -> None:
        """Load the weights into ``net``, in place; without an offer ``net`` keeps its own."""
        if self.weights:
            net.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"loss": self.loss, "step": self.step, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.loss, self.step = state["loss"], state["step"]
        self.weights = dict(state["weights"])
