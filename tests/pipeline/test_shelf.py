"""Exams prepared to disk: once each, with what is doubtful said."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from hale.core.errors import Refused
from hale.core.scan import Contrast, Split
from hale.data.bids import read_bids
from hale.data.cohort import Entry
from hale.data.folder import read_folder
from hale.data.phantom import write_cohort
from hale.io.cache import Cache
from hale.pipeline import shelf as module
from hale.pipeline.prepare import read_entry
from hale.pipeline.shelf import MARK, RECORD, Shelf, fill, shelf_space
from hale.pipeline.shelf_tables import FAILED, PEOPLE, SHEET, TABLE
from hale.pipeline.workers import Crew
from hale.prep.chain import prepare, space_of
from hale.prep.settings import Mode, Normalisation, Preparation
from hale.prep.template import template_of

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
    assert record["sha256"] == {"T1w": entries[0].sha256[0]}


def test_a_folder_of_something_else_is_left_alone(shelf, entries, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Refused, match="holds no prepared exams"):
        fill(replace(shelf, out=tmp_path), entries, crew=Crew())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_is_prepared_is_given_back_to_the_bit(filled, shelf, entries):
    (prepared, *_) = read_folder(shelf.out, ((Contrast.T1W,),))[0]
    raw = read_entry(prepared)
    settings = Preparation(mode=Mode.GIVEN, normalise=Normalisation.NONE)
    given = prepare(raw, settings, shelf.cache, space_of(settings, raw))
    made = prepare(read_entry(entries[0]), shelf.settings, shelf.cache, shelf.space)
    assert (made.scan.image[0][made.scan.brain] == 0).any()  # which "not 0" would lose
    assert np.array_equal(given.scan.brain, made.scan.brain)
    assert np.array_equal(given.scan.image, made.scan.image)


def exam(folder: Path, entry: Entry, name: str, split: Split, **changes: Any) -> Entry:
    """Return an exam of another name with the file of one that can be prepared."""
    path = folder / f"{name}.nii.gz"
    shutil.copy(entry.path, path)
    files = {Contrast.T1W: path}
    return replace(entry, id=name, files=files, split=split, **changes)


def test_exams_keep_their_splits_ages_and_people_whatever_their_ids(shelf, entries, tmp_path):
    one, two = (f"IXI010-HH-{number}" for number in (1010, 1011))
    shelf = replace(shelf, out=tmp_path / "out")
    first = exam(tmp_path, entries[0], one, Split.TEST, person="IXI010", age=41.5)
    second = exam(tmp_path, entries[1], two, Split.FIT, person="IXI010", age=43.0)
    fill(shelf, [first], crew=Crew())
    fill(shelf, [second], crew=Crew())  # as with --split
    found, _ = read_folder(shelf.out, ((Contrast.T1W,),))
    assert [(e.id, e.person, e.split, e.age) for e in found] == [
        (one, "IXI010", Split.TEST, 41.5),
        (two, "IXI010", Split.FIT, 43.0),
    ]
    assert [row["id"] for row in table(shelf.out / TABLE, "\t")] == [one, two]
    assert (shelf.out / SHEET).read_text(encoding="utf-8").count("<article") == 2


def test_failures_of_earlier_calls_stay_until_they_are_mended(shelf, entries, tmp_path):
    shelf = replace(shelf, out=tmp_path / "out")
    bad = entries[-1]
    assert fill(shelf, [bad], crew=Crew()).records == ()
    assert (shelf.out / MARK).is_file()
    fill(shelf, [entries[0]], crew=Crew())  # goes on, though nothing had succeeded
    assert [row["id"] for row in table(shelf.out / FAILED, ",")] == [bad.id]
    assert len(table(shelf.out / PEOPLE, "\t")) == 2
    mended = replace(bad, files=entries[1].files)
    fill(shelf, [mended], crew=Crew())
    assert table(shelf.out / FAILED, ",") == []
    assert [row["id"] for row in table(shelf.out / TABLE, "\t")] == ["sub-001", "sub-009"]


def test_exams_of_other_settings_are_not_mixed(filled, shelf, entries):
    other = replace(shelf, settings=replace(COARSE, clip=False))
    with pytest.raises(Refused, match="holds sub-001, which is not among these exams"):
        fill(other, entries[1:], crew=Crew())


def test_a_folder_that_cannot_be_written_is_said_before_any_work(shelf, entries, tmp_path):
    (tmp_path / "file").touch()
    seen: list[str] = []
    with pytest.raises(Refused, match=r"cannot be written \(Not a directory\)"):
        fill(
            replace(shelf, out=tmp_path / "file/out"),
            entries,
            crew=Crew(),
            progress=lambda what, done, total: seen.append(what),
        )
    assert seen == []


def test_the_key_is_of_all_that_decides(shelf, entries, tmp_path, monkeypatch):
    entry = entries[0]
    swapped = replace(entry, files={Contrast.T2W: entry.path})
    masked = replace(entry, brain=entries[1].path)
    assert len({shelf.key(e) for e in (entry, swapped, masked)}) == 3
    template, keys = tmp_path / "t.nii.gz", set()
    for seed in range(3):
        volume = np.zeros((16, 16, 16), np.float32)
        volume[3:13, 3:13, 3:13] = np.random.default_rng(seed).uniform(0.5, 1, (10, 10, 10))
        nib.save(nib.Nifti1Image(volume, np.diag([10.0, 10.0, 10.0, 1.0])), template)
        settings = replace(shelf.settings, template=str(template))
        template_of.cache_clear()
        keys.add(replace(shelf, settings=settings).key(entry))
    for where in ("hale.prep.place.VERSION", "hale.prep.brain.find.VERSION"):
        monkeypatch.setattr(where, 99)
        keys.add(replace(shelf).key(entry))
    monkeypatch.setattr("hale.prep.chain.BIAS_VERSION", 99)
    keys.add(replace(shelf).key(entry))
    assert len(keys) == 6


def test_an_exam_that_is_not_settled_fails_though_it_was_there(filled, shelf, entries):
    refused = replace(entries[0], refusal=Refused("sub-001", "has 2 T1w scans", "choose"))
    assert not module._is_there(shelf, refused)


def test_exams_that_stay_where_they_are_have_no_shelf(entries):
    with pytest.raises(Refused, match="on its own grid"):
        shelf_space(replace(COARSE, mode=Mode.NATIVE), entries[0])
