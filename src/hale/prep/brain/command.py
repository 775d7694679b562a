"""Brain extraction by the user's own program, as a command line with ``{in}`` and ``{out}``."""

import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np

from hale.core.errors import Refused
from hale.core.scan import Volume
from hale.core.types import Mask
from hale.io.nifti import read_volume

TIMEOUT_S = 1800.0
LAST_WORDS = 300
"""Characters of the program's output that an error quotes."""
IN, OUT = "{in}", "{out}"
CHECK = "run prep.brain_command by hand on this scan"


def extract(volume: Volume, name: str, command: str, *, timeout_s: float = TIMEOUT_S) -> Mask:
    """Return the mask that a command writes, on the grid of ``volume``.

    No shell sees the command: its words are split as a shell would, and ``{in}`` and ``{out}`` are
    put in afterwards. The input is a NIfTI (float32, RAS+), the output a NIfTI mask or brain, of
    which everything above 0 is taken.

    Args:
        volume: A whole head; not finite voxels are written as 0.
        name: What to call it in an error.
        command: Such as ``mri_synthstrip -i {in} -m {out}``.
        timeout_s: After it the program is stopped, seconds.

    Raises:
        Refused: The command is malformed, fails, takes too long, or writes no brain on this grid.
    """
    words = _words(command)
    with TemporaryDirectory(prefix="hale-brain-") as folder:
        given, wanted = Path(folder) / "head.nii.gz", Path(folder) / "brain.nii.gz"
        values = np.nan_to_num(volume.values, nan=0.0, posinf=0.0, neginf=0.0)
        image = nib.Nifti1Image(values, volume.grid.affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, given)
        filled = [word.replace(IN, str(given)).replace(OUT, str(wanted)) for word in words]
        said = _run(filled, Path(folder) / "log", name, timeout_s)
        if not wanted.is_file():
            raise Refused(name, f"the brain extractor wrote no {OUT}{said}", CHECK)
        return _read(wanted, volume, name)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Refused(f"brain_command = {command!r}", str(error), "close the quote") from None
    missing = [part for part in (IN, OUT) if not any(part in word for word in words)]
    if missing:
        why = f"lacks {' and '.join(missing)}"
        raise Refused(f"brain_command = {command!r}", why, f"write PROGRAM {IN} {OUT}")
    return words


def _run(words: list[str], log: Path, name: str, timeout_s: float) -> str:
    """Run the program; return what it printed last, to be put behind a reason.

    It prints into a file: a pipe would be waited for until the last of its children has ended.
    """
    try:
        with log.open("wb") as file:
            status = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            ).returncode
    except subprocess.TimeoutExpired:
        why = f"the brain extractor took more than {timeout_s:g} s"
        raise Refused(name, why, CHECK) from None
    except OSError as error:
        why = f"the brain extractor cannot be run ({error.strerror}: {words[0]})"
        raise Refused(name, why, CHECK) from None
    printed = log.read_text(encoding="utf-8", errors="replace").strip()
    said = f", and said: {printed[-LAST_WORDS:]}" if printed else ""
    if status != 0:
        raise Refused(name, f"the brain extractor ended with status {status}{said}", CHECK)
    return said


def _read(path: Path, volume: Volume, name: str) -> Mask:
    try:
        found = read_volume(path).volume
    except Refused as error:
        raise Refused(name, f"the brain extractor's mask: {error.why}", CHECK) from None
    if not found.grid.is_the_same_as(volume.grid):
        why = f"the brain extractor's mask lies on another grid ({found.grid.shape})"
        raise Refused(name, why, f"let it write the mask on the grid of {IN}")
    brain: Mask = found.values > 0
    return brain
