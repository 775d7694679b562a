"""Exams prepared to disk: once each, with what is doubtful said."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast
from hale.data.bids import read_bids
from hale.data.cohort import Entry
from hale.data.phantom import write_cohort
from hale.io.cache import Cache
from hale.pipeline import shelf as module
from hale.pipeline.shelf import FAILED, PEOPLE, RECORD, SHEET, TABLE, Shelf, fill, shelf_space
from hale.pipeline.workers import Crew
from hale.prep.settings import Mode, Preparation

COARSE = Preparation(spacing_mm=4.0, shape=(48, 48, 40), bias=False)


@pytest.fixture(scope="module")
def entries(tmp_path_factory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, fit=1, standardise=1, calibrate=0, healthy=0, lesions=0, seed=6)
    (folder / "sub-009").mkdir()
    (folder / "sub-009/sub-009_T1w.nii.gz").write_bytes(b"")
    return read_bids(folder, ((Contrast.T1W,),))


@pytest.fixture(scope="module")
def shelf(entries, tmp_path_factory) -> Shelf:
    folder = tmp_path_factory.mktemp("shelf")
    settings = COARSE
    return Shelf(
        out=folder / "out",
        settings=settings,
        space=shelf_space(settings, entries[0]),
        cache=Cache(folder / "cache"),
    )


@pytest.fixture(scope="module")
def filled(shelf, entries):
    return fill(shelf, entries, crew=Crew())


def table(path: Path, delimiter: str) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_the_shelf_is_a_cohort_on_the_model_grid(filled, shelf):
    entries = read_bids(shelf.out, ((Contrast.T1W,),))
    assert [(e.id, str(e.split)) for e in entries] == [
        ("sub-001", "fit"),
        ("sub-002", "standardise"),
    ]
    image = nib.load(entries[0].path)
    brain = np.asarray(
        nib.load(entries[0].path.with_name("sub-001_desc-brain_mask.nii.gz")).dataobj
    )
    assert np.allclose(image.affine, shelf.space.grid.affine)
    values = image.get_fdata()
    assert values.shape == brain.shape == shelf.space.grid.shape
    assert (values[brain == 0] == 0).all()
    assert values.min() == 0
    assert values.max() == 1


def test_what_failed_is_said_with_its_reason_and_the_rest_is_judged(filled, shelf):
    assert [failure.id for failure in filled.failures] == ["sub-009"]
    (failed,) = table(shelf.out / FAILED, ",")
    assert failed["id"] == "sub-009"
    assert "is empty (0 bytes)" in failed["reason"]
    rows = table(shelf.out / TABLE, "\t")
    assert [row["id"] for row in rows] == ["sub-001", "sub-002"]
    for row, record in zip(rows, filled.records, strict=True):
        assert row["verdict"] == record["quality"]["verdict"]
        assert float(row["overlap_dice"]) == pytest.approx(
            record["checks"]["overlap_dice"], rel=1e-3
        )
    page = (shelf.out / SHEET).read_text(encoding="utf-8")
    assert page.count("<article") == 3
    assert page.index("sub-009") < page.index("sub-001")  # the failed come first
    assert "is empty (0 bytes)" in page
    assert "http" not in page
    assert (shelf.out / PEOPLE).is_file()


def test_what_is_there_is_not_done_again_unless_files_or_settings_differ(
    filled, shelf, entries, monkeypatch
):
    before = (shelf.out / "sub-001" / RECORD).read_bytes()
    seen: list[str] = []
    real = module.put

    def put(shelf: Shelf, entry: Entry):
        seen.append(entry.id)
        return real(shelf, entry)

    monkeypatch.setattr(module, "put", put)
    again = fill(shelf, entries, crew=Crew())
    assert (seen, again.reused) == (["sub-009"], 2)
    assert (shelf.out / "sub-001" / RECORD).read_bytes() == before
    assert [r["id"] for r in again.records] == ["sub-001", "sub-002"]
    other = replace(shelf, settings=replace(shelf.settings, clip=False))
    assert not module._is_there(other, entries[0])
    record = json.loads(before)
    assert record["prep"]["spacing_mm"] == 4.0
    assert record["sha256"] == entries[0].sha256


def test_a_folder_of_something_else_is_left_alone(shelf, entries, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Refused, match="holds no prepared exams"):
        fill(replace(shelf, out=tmp_path), entries, crew=Crew())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_exams_that_stay_where_they_are_have_no_shelf(entries):
    with pytest.raises(Refused, match="on its own grid"):
        shelf_space(replace(COARSE, mode=Mode.NATIVE), entries[0])
