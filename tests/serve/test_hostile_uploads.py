"""What is sent to break out, to fill the disk or the memory, or to be run: all of it is refused.

Each time the folder is as it was: nothing is left of an upload, nothing is written elsewhere.
"""

import gzip
import io
import json
import stat
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hale.serve.inspect import check_nifti
from hale.serve.uploads import MOST_FILES

sys.path.insert(0, str(Path(__file__).parent))
from balls import ball, nifti


@pytest.fixture
def send(browser, station):
    """Send files; refused, and gone without a trace, unless told otherwise."""

    def sent(*files: tuple[str, bytes], status: int = 400) -> dict:
        def others() -> list[Path]:
            own = (station.inside, station.uploads)
            return [p for p in sorted(station.folder.parent.rglob("*")) if p not in own]

        outside = others()
        parts = [("files", (name, body)) for name, body in files]
        answer = browser.post("/api/uploads", files=parts)
        assert answer.status_code == status, answer.text
        if status != 200:
            assert not list(station.uploads.glob("*"))
            assert others() == outside
            assert "Traceback" not in answer.text
        return answer.json()

    return sent


def archive(*members: tuple[str | zipfile.ZipInfo, bytes], method=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, body in members:
            made.writestr(name, body)
    return file.getvalue()


def header(shape: tuple[int, ...], *, bits: int = 32, offset: float = 352.0) -> bytes:
    """A NIfTI-1 header that claims what it likes."""
    made = bytearray(352)
    struct.pack_into("<i", made, 0, 348)
    struct.pack_into("<8h", made, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<hh", made, 70, 16, bits)
    struct.pack_into("<8f", made, 76, 1, 1, 1, 1, 0, 0, 0, 0)
    struct.pack_into("<f", made, 108, offset)
    made[344:348] = b"n+1\0"
    return bytes(made)


@pytest.mark.parametrize(
    "name",
    ["../../evil.nii.gz", "a/../../evil.nii.gz", "..\\..\\evil.nii.gz", "C:\\evil.nii.gz", "."],
)
def test_archive_with_a_path_that_leaves_it(send, name):
    assert "leaves it" in send(("exam.zip", archive((name, nifti(ball(1))))))["error"]


@pytest.mark.parametrize("name", ["/etc/evil.nii.gz", "//server/evil.nii.gz"])
def test_archive_with_an_absolute_path(send, name):
    assert "leaves it" in send(("exam.zip", archive((name, nifti(ball(1))))))["error"]


@pytest.mark.parametrize(
    "name",
    [
        "../../../evil_T1w.nii.gz",
        "/etc/passwd_T1w.nii.gz",
        "..\\evil_T1w.nii.gz",
        "a\x00_T1w.nii.gz",
    ],
)
def test_the_name_of_a_file_never_becomes_a_path(send, station, name):
    told = send((name, nifti(ball(1))), status=200)
    files = [p for p in station.folder.parent.rglob("*") if "evil" in p.name or "passwd" in p.name]
    assert files == []
    assert told["exams"][0]["name"].startswith("exam-")
    kept = [p.relative_to(station.uploads / told["id"]) for p in station.uploads.rglob("*")]
    assert {str(p) for p in kept} == {".", "exams.json", "exam-1", "exam-1/T1w.nii.gz"}


def test_archive_with_a_link(send):
    link = zipfile.ZipInfo("scan_T1w.nii.gz")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "a link" in send(("exam.zip", archive((link, b"/etc/passwd"))))["error"]


def test_zip_bomb(send):
    bomb = archive(("scan_T1w.nii", b"\0" * 2**27))  # 128 MiB in 130 kB
    assert len(bomb) < 2**18
    assert "unpack to more" in send(("exam.zip", bomb))["error"]


def test_zip_bomb_whose_table_lies(send):
    bomb = bytearray(archive(("scan_T1w.nii", b"\0" * 2**27)))
    at = bomb.index(b"PK\x01\x02")
    struct.pack_into("<I", bomb, at + 24, 100)  # the size that the directory says
    struct.pack_into("<I", bomb, 22, 100)
    assert "archive" in send(("exam.zip", bytes(bomb)))["error"]


def test_archive_in_an_archive(send):
    inner = archive(("scan_T1w.nii.gz", nifti(ball(1))))
    for name in ("inner.zip", "inner.tar", "inner.tar.gz"):
        assert "another archive" in send(("exam.zip", archive((name, inner))))["error"]


def test_archive_of_too_many_files(send, monkeypatch):
    monkeypatch.setattr("hale.serve.archives.MOST_FILES", 10)
    many = archive(*[(f"{n}.dcm", b"") for n in range(11)])
    assert "11 files" in send(("exam.zip", many))["error"]


def test_too_many_files(send, monkeypatch):
    assert MOST_FILES >= 10_000
    monkeypatch.setattr("hale.serve.uploads.MOST_FILES", 3)
    assert "3 files" in send(*[(f"{n}.dcm", b"x") for n in range(4)])["error"]


def test_encrypted_or_damaged_archive(send):
    good = archive(("scan_T1w.nii.gz", nifti(ball(1))))
    assert "damaged" in send(("exam.zip", good[:-30]))["error"]
    locked = bytearray(good)
    for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        locked[locked.index(mark) + at] |= 1
    assert "encrypted" in send(("exam.zip", bytes(locked)))["error"]


def test_a_header_that_claims_10_gb(send):
    claim = header((1600, 1600, 1000), bits=32)  # 10.2 GB of voxels
    assert "1600 x 1600 x 1000" in send(("scan_T1w.nii", claim + bytes(1000)))["error"]
    assert "1600 x 1600 x 1000" in send(("scan_T1w.nii.gz", gzip.compress(claim)))["error"]


def test_a_header_whose_extension_claims_2_gb(send):
    claim = header((8, 8, 8), offset=2.0**31)
    assert "after 2.14748e+09 bytes" in send(("scan_T1w.nii.gz", gzip.compress(claim)))["error"]


@pytest.mark.parametrize("shape", [(-5, 8, 8), (0, 0, 0), (32767,) * 7])
def test_a_header_of_absurd_sizes(send, shape):
    told = send(("scan_T1w.nii", header(shape) + bytes(16)))
    assert "error" in told


def test_gzip_bomb(send):
    body = gzip.compress(header((8, 8, 8)) + b"\0" * 2**27)
    assert len(body) < 2**18
    assert "inflates to more" in send(("scan_T1w.nii.gz", body))["error"]


def test_a_gzip_that_is_cut_off(send):
    assert "cut off" in send(("scan_T1w.nii.gz", nifti(ball(1))[:-200]))["error"]


@pytest.mark.parametrize("name", ["scan_T1w.nii", "scan_T1w.nii.gz"])
def test_html_as_nifti(send, name):
    page = b"<!doctype html><script>alert(1)</script>" + b" " * 1000
    body = gzip.compress(page) if name.endswith("gz") else page
    assert "is no NIfTI" in send((name, body))["error"]


@pytest.mark.parametrize("name", ["page.html", "run.py", "state.pt", "x.svg", "recipe.toml"])
def test_what_is_no_scan(send, name):
    assert "no scan" in send((name, b"<script>alert(1)</script>"))["error"]


def test_an_array_that_would_have_to_be_unpickled(send):
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "unpickled" in send(("slice.npy", file.getvalue()))["error"]


def test_an_array_and_a_picture_that_claim_more_than_they_are(send):
    claim = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000), }"
    claim += b" " * (117 - len(claim)) + b"\n"
    body = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(claim)) + claim
    assert "picture" in send(("slice.npy", body + bytes(64)))["error"]
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, format="PNG")
    assert len(file.getvalue()) < 2**16
    assert "larger than any slice" in send(("slice.png", file.getvalue()))["error"]


def test_a_deflated_dicom_file(send):
    start = b"\0" * 128 + b"DICM\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"
    assert "is deflated" in send(("IM1", start + zlib.compress(b"\0" * 2**20)))["error"]


def test_a_damaged_dicom_file(send):
    assert "DICOM" in send(("IM1", b"\0" * 128 + b"DICM" + b"\xff" * 500))["error"]


def test_more_than_max_upload(send, station, browser):
    big = b"x" * (station.max_upload + 2**16)
    assert "--max-upload" in send(("scan_T1w.nii", big), status=413)["error"]

    def unknown_length():
        yield b"--b\r\nContent-Disposition: form-data; name=files; filename=a.nii\r\n\r\n"
        for _ in range(40):
            yield b"x" * 2**16

    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = browser.post("/api/uploads", content=unknown_length(), headers=kind)
    assert answer.status_code == 413
    assert not list(station.uploads.glob("*"))


def test_a_full_disk(send, monkeypatch):
    from hale.serve import uploads

    monkeypatch.setattr(uploads, "SPARE", 2**70)
    body = archive(("scan_T1w.nii.gz", nifti(ball(1))))
    assert "free space" in send(("exam.zip", body))["error"]


def test_bodies_that_are_no_form(browser, station):
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary=b"):
        answer = browser.post("/api/uploads", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 400
    assert not list(station.uploads.glob("*"))


def test_a_side_car_of_a_million_brackets_is_passed_over(send):
    told = send(("a_T1w.nii.gz", nifti(ball(1))), ("a_T1w.json", b"[" * 10**6), status=200)
    assert told["exams"][0]["contrasts"] == ["T1w"]


@pytest.mark.parametrize(
    "asked",
    [
        {"upload": "../../etc", "models": ["intensity"]},
        {"upload": "0123456789abcdeg", "models": ["intensity"]},
        {"upload": "0123456789abcdef", "models": ["intensity"]},
        {"scan": "../ill", "models": ["intensity"]},
        {"scan": "0123456789abcdef", "models": ["/tmp/model"]},
        {"scan": "0123456789abcdef", "models": ["../models/ball"]},
        {"scan": "0123456789abcdef", "models": []},
        {"scan": "0123456789abcdef", "upload": "0123456789abcdef", "models": ["intensity"]},
        {"scan": "0123456789abcdef", "models": ["intensity"], "device": "cuda"},
        {"models": ["intensity"]},
    ],
)
def test_a_job_of_what_is_not_here(browser, station, asked):
    answer = browser.post("/api/jobs", json=asked)
    assert answer.status_code in (400, 404, 422)
    assert "error" in answer.json()
    assert not list(station.jobs.glob("*"))


@pytest.mark.parametrize("name", ["..", "%2e%2e%2f%2e%2e", "../../x", "job.json"])
def test_a_job_s_id_is_no_path(browser, station, name):
    (station.folder / "job.json").write_text("{}")
    assert browser.delete(f"/api/jobs/{name}").status_code in (404, 405)
    assert station.folder.is_dir()


def test_a_job_whose_folder_says_another_id_is_none(browser, station):
    folder = station.jobs / "a"
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(
        json.dumps(
            {"id": "../../x", "name": "", "upload": "", "exam": "", "models": [], "state": "done"}
        )
    )
    assert browser.get("/api/jobs").json() == []


def test_a_good_file_passes(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(nifti(ball(1)))
    check_nifti(path)
