"""What is written by hand about the code names everything that the code has."""

import ast
import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import nibabel as nib
import numpy as np

from hale import __version__
from hale.cli.fit import command as fit_command
from hale.core.detection import Detection, Lesion, Validity
from hale.core.grid import Grid
from hale.core.scan import Contrast, Source, Volume
from hale.core.trace import Trace
from hale.data.bids import read_bids
from hale.io.cache import Cache
from hale.io.model import CALIBRATION, MANIFEST, REQUIRED
from hale.methods import METHODS
from hale.metrics.evaluation import Row
from hale.pipeline.cohort import COLUMNS
from hale.pipeline.domain import domain_of
from hale.pipeline.shelf import Shelf, fill, shelf_space
from hale.pipeline.workers import Crew
from hale.pipeline.write import LESION_COLUMNS, as_json
from hale.prep.settings import Mode, Preparation

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "docs/reference/files.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def named(part: str) -> set[str]:
    """Return what stands in backticks in a section of the page of files."""
    section = re.split(r"^##+ ", FILES.partition(f"# {part}\n")[2], flags=re.MULTILINE)[0]
    return set(re.findall(r"`([^`]+)`", section))


def test_the_page_of_files_has_every_column() -> None:
    assert set(LESION_COLUMNS) <= named("lesions.tsv")
    assert set(COLUMNS) <= named("A cohort")
    assert {field.name for field in fields(Row)} - {"counts"} <= named("An evaluation")


def test_the_page_of_files_has_every_file_of_a_model() -> None:
    assert {*REQUIRED, CALIBRATION, MANIFEST} <= named("A model")


def test_the_page_of_files_has_every_key_of_a_detection() -> None:
    grid = Grid(shape=(2, 2, 2), affine=np.eye(4))
    values, brain = np.ones(grid.shape, np.float32), np.ones(grid.shape, bool)
    detection = Detection(
        id="sub-01",
        contrasts={Contrast.T1W: Volume(values=values, grid=grid)},
        brain=brain,
        anomaly=values,
        pvalue=None,
        mask=None,
        pseudo_healthy=None,
        lesions=(),
        score=1.0,
        flagged=None,
        validity=Validity(holds=True),
        checks={},
    )
    told = named("detection.json")
    nested = {"checks", "quality"}  # the page has their keys one by one
    assert set(as_json(detection)) - nested <= told
    assert {f"quality.{key}" for key in as_json(detection)["quality"]} <= told
    assert {f"p_values.{field.name}" for field in fields(Validity)} <= told
    assert {field.name for field in fields(Lesion)} <= told


def test_the_page_of_files_has_everything_of_a_prepared_folder(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    ball = ((np.indices((16, 16, 16)) - 7.5) ** 2).sum(0) < 49
    image = ball * np.random.default_rng(0).uniform(50, 90, ball.shape)
    nib.save(nib.Nifti1Image(image.astype("f4"), np.eye(4)), source / "sub-01_T1w.nii.gz")
    entries = read_bids(source, ((Contrast.T1W,),))
    prep = Preparation(mode=Mode.GIVEN)
    space = shelf_space(prep, entries[0])
    shelf = Shelf(out=out, settings=prep, space=space, cache=Cache(), insist=True)
    assert not fill(shelf, entries, crew=Crew()).failures
    told = named("A prepared folder")
    paths = [path for path in out.rglob("*") if path.is_file()]
    assert {p.relative_to(out).as_posix().replace("sub-01", "<id>") for p in paths} <= told
    assert set(json.loads((out / "sub-01/prepared.json").read_text(encoding="utf-8"))) <= told
    for table, mark in (("quality.tsv", "\t"), ("participants.tsv", "\t"), ("failed.csv", ",")):
        head = (out / table).read_text(encoding="utf-8").splitlines()[0]
        assert set(head.split(mark)) <= told


def test_the_page_of_files_has_every_key_of_the_domain() -> None:
    grid = Grid(shape=(2, 2, 2), affine=np.eye(4))
    brain = np.ones(grid.shape, bool)
    trace = Trace(native=grid, model=grid, to_native=np.eye(4), brain=brain)
    assert set(domain_of([trace], [Source()], ["T1w"])) <= named("A model")


def test_contrasts_are_named_where_a_reader_begins() -> None:
    front = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    for text in (front, inspect.getdoc(fit_command) or ""):
        assert [c for c in Contrast if c not in text] in ([], [Contrast.CT])
    assert "CT" in front


def test_the_pages_say_that_a_segmentation_needs_a_calibration() -> None:
    (row,) = [line for line in FILES.splitlines() if line.startswith("| `mask.seg.dcm`")]
    assert "Calibrated models only" in row
    assert "Only calibrated models have a mask" in (ROOT / "docs/how-to/dicom.md").read_text(
        encoding="utf-8"
    )


def test_the_readme_has_every_method() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == set(METHODS)


def test_the_readme_shows_the_example_as_it_stands() -> None:
    example = (ROOT / "examples/five_lines.py").read_text(encoding="utf-8")
    lines = ast.parse(example).body[1:]  # less its docstring
    shown = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert [ast.dump(line) for line in ast.parse(shown[0]).body] == [*map(ast.dump, lines)]
    assert len(lines) <= 5


def test_the_changelog_has_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_links_of_the_front_pages_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
        assert [link for link in links if not (ROOT / link).exists()] == []
