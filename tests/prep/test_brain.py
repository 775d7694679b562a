"""Ways of finding a brain: the user's own program, and the template's outline."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.grid import Grid
from hale.core.scan import Volume
from hale.io.nifti import read_volume
from hale.io.template import mni152
from hale.metrics.voxel import dice
from hale.prep.brain import command, template

GRID = Grid(shape=(12, 14, 16), affine=np.diag([2.0, 1.5, 3.0, 1.0]))
HEAD = Volume(
    values=np.random.default_rng(0).uniform(0, 9, GRID.shape).astype(np.float32), grid=GRID
)

BRIGHT = """
image = nib.load(sys.argv[1])
mask = (image.get_fdata() > 5).astype("u1")
nib.save(nib.Nifti1Image(mask, image.affine), sys.argv[2])
"""


def program(folder: Path, body: str) -> str:
    """Write a brain extractor into a folder whose name a shell would split."""
    path = folder / "my extractor.py"
    path.write_text(f"import sys, time\nimport nibabel as nib\n{body}", encoding="utf-8")
    return f"'{sys.executable}' '{path}' {{in}} {{out}}"


def test_the_users_program_gets_the_scan_and_gives_the_mask(tmp_path):
    holed = HEAD.values.copy()
    holed[0, 0, 0] = np.nan
    found = command.extract(Volume(values=holed, grid=GRID), "a", program(tmp_path, BRIGHT))
    assert np.array_equal(found, np.nan_to_num(holed) > 5)


def test_no_shell_sees_the_command(tmp_path):
    line = program(tmp_path, "print(sys.argv[3:]); sys.exit(1)")
    with pytest.raises(Refused, match=r"\['\$HOME', ';', 'ls'\]"):
        command.extract(HEAD, "a", f"{line} $HOME ';' ls")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("print('no weights'); sys.exit(3)", "status 3, and said: no weights"),
        ("sys.exit('gone')", "status 1, and said: gone"),
        ("print('done')", r"wrote no \{out\}, and said: done"),
        (BRIGHT.replace("> 5", "> 10"), "mask: every voxel is 0"),
        (BRIGHT.replace("mask, image", "mask[1:], image"), "lies on another grid"),
        (BRIGHT.replace(", image.affine", ", 2 * image.affine"), "lies on another grid"),
        ("open(sys.argv[2], 'w').write('x' * 400)", "mask: is not an image"),
    ],
)
def test_a_program_that_fails_is_refused_by_name_and_reason(body, why, tmp_path):
    with pytest.raises(Refused, match=f"sub-1: the brain extractor.*{why}"):
        command.extract(HEAD, "sub-1", program(tmp_path, body))


def test_a_program_that_hangs_is_stopped(tmp_path):
    line = program(tmp_path, "time.sleep(60)")
    with pytest.raises(Refused, match=r"took more than 0\.3 s"):
        command.extract(HEAD, "a", line, timeout_s=0.3)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", r"lacks \{in\} and \{out\}"),
        ("bet {in}", r"lacks \{out\}"),
        ("bet '{in} {out}", "No closing quotation"),
        ("no-such-program-9 {in} {out}", "No such file or directory: no-such-program-9"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(line, why):
    with pytest.raises(Refused, match=why):
        command.extract(HEAD, "a", line)


def test_registration_alone_finds_a_real_brain_roughly(shared_data):
    anat = shared_data / "ixi/sub-IXI012/anat"
    volume = read_volume(anat / "sub-IXI012_T1w.nii.gz").volume
    known = read_volume(anat / "sub-IXI012_desc-brain_mask.nii.gz").volume.values > 0
    found = template.extract(volume, "IXI012", mni152())
    assert dice(found, known) > 0.92


def test_a_scan_of_zeros_has_no_brain_to_register():
    with pytest.raises(Refused, match="no brain found"):
        template.extract(Volume(values=0 * HEAD.values, grid=GRID), "a", mni152())
