"""Weights of a network as the flat arrays that a detector's state is, and back."""

import numpy as np
import torch
from torch import nn

from hale.core.method import State, refuse_foreign_state


def arrays(net: nn.Module) -> State:
    """Return the weights of ``net`` as float32 arrays, copied."""
    return {
        name: np.array(tensor.float().cpu().numpy(), order="C")
        for name, tensor in net.state_dict().items()
        if _is_kept(name)
    }


def load(net: nn.Module, state: State) -> None:
    """Put ``state`` into ``net``, in place.

    Raises:
        Refused: Names the first weight that is missing, unknown or of another shape.
    """
    own = {name: tensor for name, tensor in net.state_dict().items() if _is_kept(name)}
    refuse_foreign_state(state, {name: tuple(tensor.shape) for name, tensor in own.items()})
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.from_numpy(np.asarray(state[name])))


def _is_kept(name: str) -> bool:
    """Say no to BatchNorm's count of batches, which nothing reads: its momentum is fixed."""
    return not name.endswith("num_batches_tracked")
