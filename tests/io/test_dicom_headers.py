"""What a header says of its contrast agent."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from hale.io.dicom_headers import DENIED, read_header


def with_agent(agent: str, path: Path) -> Path:
    """Write a header of one slice in which ``agent`` was typed at the scanner."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MRImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SeriesInstanceUID = generate_uid()
    data.Modality, data.Rows, data.Columns = "MR", 4, 4
    data.ContrastBolusAgent = agent
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("typed", "agent"), [*((f" {word.title()}", "") for word in DENIED), ("Gadovist ", "Gadovist")]
)
def test_an_agent_that_is_denied_is_none(typed, agent, tmp_path):
    header = read_header(with_agent(typed, tmp_path / "slice"))
    assert header is not None
    assert header.frames[0].acquisition.agent == agent


def test_the_list_of_denials_is_the_one_that_is_read(monkeypatch, tmp_path):
    monkeypatch.setattr("hale.io.dicom_headers.DENIED", ("placebo",))
    header = read_header(with_agent("Placebo", tmp_path / "slice"))
    assert header is not None
    assert header.frames[0].acquisition.agent == ""
