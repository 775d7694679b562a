"""`hale detect` on folders: resumable, one table, failures listed and the others done."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hale.pipeline import cohort
from hale.pipeline.workers import Crew


@pytest.fixture(scope="module")
def patients(place, tmp_path_factory) -> Path:
    """Three good scans and one that cannot be read."""
    folder = tmp_path_factory.mktemp("patients")
    for number, name in enumerate(("sub-008", "sub-001", "sub-002")):
        anat = folder / f"sub-p{number}/anat"
        anat.mkdir(parents=True)
        shutil.copy(
            place.healthy / name / f"anat/{name}_T1w.nii.gz", anat / f"sub-p{number}_T1w.nii.gz"
        )
    (folder / "sub-p3/anat").mkdir(parents=True)
    (folder / "sub-p3/anat/sub-p3_T1w.nii.gz").write_text("this is no scan")
    (folder / "sub-p0/anat/._sub-p0_T1w.nii.gz").write_text("what macOS leaves")
    rows = ["participant_id\tage\tsplit", *(f"sub-p{n}\t50\ttest" for n in range(4))]
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    return folder


def table(out: Path) -> list[dict[str, str]]:
    with (out / "cohort.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def files(out: Path) -> dict[Path, tuple[int, int]]:
    return {
        p: (p.stat().st_mtime_ns, p.stat().st_ino)
        for p in out.rglob("*")
        if p.is_file() and p.parent != out
    }


@pytest.fixture(scope="module")
def done(place, patients, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "out"
    return out, place.detect(patients, out, "--workers", "1")


def test_a_bad_scan_among_good_ones_is_listed_and_the_status_is_3(done):
    out, status = done
    assert status == 3
    rows = table(out)
    assert [row["id"] for row in rows] == [f"sub-p{n}" for n in range(4)]
    assert [row["status"] for row in rows] == ["done"] * 3 + ["failed"]
    assert "is not an image that can be read" in rows[3]["reason"]
    assert {path.name for path in out.iterdir()} == {
        *("sub-p0", "sub-p1", "sub-p2"),
        *("cohort.tsv", "cohort.json"),
    }


def test_each_row_says_what_the_scans_folder_says(done):
    out, _ = done
    for row in table(out)[:3]:
        found = json.loads((out / row["id"] / "detection.json").read_text(encoding="utf-8"))
        assert row["flagged"] == str(found["flagged"])
        assert float(row["score"]) == pytest.approx(found["score"], abs=1e-3)
        assert int(row["lesions"]) == len(found["lesions"])


def test_a_second_run_computes_nothing_again(done, place, patients, capsys):
    out, _ = done
    before = files(out)
    assert place.detect(patients, out, "--workers", "1") == 3
    assert files(out) == before
    assert "3 scans done (3 before)" in capsys.readouterr().out


def test_what_was_stopped_half_way_goes_on(place, patients, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    real = cohort.detect_entry

    def stopped(job, entry):
        if entry.id == "sub-p1":
            raise KeyboardInterrupt
        return real(job, entry)

    with monkeypatch.context() as patch:
        patch.setattr(cohort, "detect_entry", stopped)
        assert place.detect(patients, out, "--workers", "1") == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert [row["id"] for row in table(out)] == ["sub-p0"]
    before = files(out)
    assert place.detect(patients, out, "--workers", "1") == 3
    assert before.items() <= files(out).items()
    assert [row["status"] for row in table(out)] == ["done"] * 3 + ["failed"]


def test_a_damaged_result_and_a_changed_scan_are_done_again(done, place, patients, tmp_path):
    out, data = tmp_path / "out", tmp_path / "data"
    shutil.copytree(done[0], out)
    shutil.copytree(patients, data)
    (out / "sub-p0/detection.json").write_text("{")
    shutil.copy(
        place.healthy / "sub-003/anat/sub-003_T1w.nii.gz", data / "sub-p1/anat/sub-p1_T1w.nii.gz"
    )
    before = files(out)
    assert place.detect(data, out, "--workers", "1") == 3
    after = files(out)
    again = {path.parent.name for path in after if after[path] != before[path]}
    assert again == {"sub-p0", "sub-p1"}
    json.loads((out / "sub-p0/detection.json").read_text(encoding="utf-8"))


def test_a_folder_that_holds_something_else_is_refused_and_kept(
    place, patients, tmp_path, capsys, line
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    assert place.detect(patients, out, "--workers", "1") == 2
    assert "is not empty, and holds no results of this model" in line(capsys)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_overwritten_results_are_kept_until_the_new_ones_are_complete(
    place, patients, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("old")
    monkeypatch.setattr(Crew, "each", lambda crew, work, entries: 1 / 0)
    assert place.detect(patients, out, "--overwrite", "--workers", "1") == 1
    (kept,) = (p for p in tmp_path.iterdir() if p != out)
    assert (kept / "old.txt").read_text() == "old"
    monkeypatch.setattr(Crew, "each", lambda crew, work, entries: ())
    assert place.detect(patients, out, "--workers", "1") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (out / "old.txt").exists()


def test_a_full_disk_is_told_in_one_line_and_leaves_the_table(
    done, place, patients, tmp_path, capsys, line, monkeypatch
):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    before = (out / "cohort.tsv").read_bytes()
    real = Path.write_text

    def full(path, *arguments, **options):
        if path.name.startswith(".cohort.tsv"):
            raise OSError(28, "No space left on device")
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    capsys.readouterr()
    assert place.detect(patients, out, "--workers", "1") == 2
    told = [text for text in capsys.readouterr().err.splitlines() if "of 4" not in text]
    assert len(told) == 1
    assert "No space left on device" in told[0]
    assert (out / "cohort.tsv").read_bytes() == before
    assert not (out / ".cohort.tsv.part").exists()


def test_files_and_folders_go_together(done, place, patients, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    one, two = (patients / f"sub-p{n}/anat/sub-p{n}_T1w.nii.gz" for n in (0, 1))
    assert place.detect(one, out, str(two), "--workers", "1") == 0
    assert "2 scans done (2 before)" in capsys.readouterr().out


def test_json_lists_the_rows(done, place, patients, capsys):
    assert place.detect(patients, done[0], "--workers", "1", "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert told["reused"] == 3
    assert [row["status"] for row in told["rows"]] == ["done"] * 3 + ["failed"]


def test_the_result_of_a_cohort_is_that_of_its_scans_alone(done, place, patients, tmp_path):
    import nibabel as nib

    alone = tmp_path / "alone"
    assert place.detect(patients / "sub-p0/anat/sub-p0_T1w.nii.gz", alone) == 0
    for name in ("anomaly.nii.gz", "mask.nii.gz"):
        one, among = nib.load(alone / name), nib.load(done[0] / "sub-p0" / name)
        assert np.array_equal(np.asarray(one.dataobj), np.asarray(among.dataobj))
