"""ITK with one thread: its sums depend on how many there are, and on which is first."""

from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let ITK filters made in the block use one thread, so that they repeat to the bit.

    ``SetNumberOfThreads`` of a registration does not reach its metric; the global default does.
    """
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
