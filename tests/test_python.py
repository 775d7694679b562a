"""The three functions of `import hale`, on a cohort that is as small as a promise allows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hale
from hale.core.errors import Refused
from hale.data.phantom import write_cohort
from hale.io.nifti import read_volume
from hale.pipeline.model import Model

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated")  # deepbet's

COARSE = ["prep.spacing_mm=4", "prep.shape=[48,48,40]", "prep.bias=false", "calibration.alpha=0.5"]
SCAN = "sub-007/anat/sub-007_T1w.nii.gz"


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python") / "phantoms"
    write_cohort(folder, fit=2, standardise=3, calibrate=1, healthy=0, lesions=1)
    return folder


@pytest.fixture(scope="session")
def fitted(cohort: Path) -> Model:
    return hale.fit(
        "atlas-default",
        data=cohort,
        out=cohort.parent / "model",
        settings=COARSE,
        device="cpu",
        cache=cohort.parent / "cache",
    )


@pytest.mark.slow
def test_fit_returns_what_load_reads(cohort: Path, fitted: Model) -> None:
    loaded = hale.load(cohort.parent / "model")
    assert loaded.sha256 == fitted.sha256
    assert loaded.recipe.prep.spacing_mm == 4


@pytest.mark.slow
def test_detect_writes_what_it_returns(cohort: Path, fitted: Model, tmp_path: Path) -> None:
    out = tmp_path / "result"
    detection = hale.detect(fitted, cohort / SCAN, out, cache=cohort.parent / "cache")
    written = read_volume(out / "anomaly.nii.gz").volume.values
    np.testing.assert_array_equal(written, detection.anomaly)
    assert (out / "report.html").is_file()
    assert detection.flagged is bool(detection.lesions)


@pytest.mark.slow
def test_a_brain_mask_is_used_and_without_out_nothing_is_written(
    cohort: Path, fitted: Model, tmp_path: Path
) -> None:
    first = hale.detect(fitted, cohort / SCAN, tmp_path / "first", cache=cohort.parent / "cache")
    second = hale.detect(fitted, cohort / SCAN, brain=tmp_path / "first/brain.nii.gz")
    assert "brain mask given by the user" in second.notes
    np.testing.assert_array_equal(first.brain, second.brain)
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


@pytest.mark.slow
def test_a_folder_that_holds_something_is_refused(
    cohort: Path, fitted: Model, tmp_path: Path
) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(Refused, match="is not empty"):
        hale.detect(fitted, cohort / SCAN, tmp_path)
    with pytest.raises(Refused, match="is not empty"):
        hale.fit("atlas-default", data=cohort, out=tmp_path)
    assert (tmp_path / "precious").exists()


def test_importing_hale_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'scipy', 'numpy', 'SimpleITK', 'typer'}"
    code = f"import sys, hale; print(sorted({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_five_lines_run(
    cohort: Path, fitted: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand, beside `healthy/` and `scan.nii.gz`; only the fit is the coarse one."""
    example = Path(__file__).parents[1] / "examples/five_lines.py"
    (tmp_path / "scan.nii.gz").symlink_to(cohort / SCAN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hale, "fit", lambda recipe, data, out: fitted)
    names: dict[str, object] = {}
    exec(compile(example.read_text(), str(example), "exec"), names)
    assert Path("result/detection.json").is_file()
    assert names["flagged"] is bool(names["lesions"])


@pytest.mark.slow
def test_five_lines_learn_from_a_list_of_paths_and_detect_in_a_list(cohort, tmp_path):
    """The lines of the README, with these folders in place of those."""
    folder, cache = cohort, cohort.parent / "cache"
    page = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    lines = page[page.index("from glob import glob") :].partition("```")[0]
    assert len([line for line in lines.splitlines() if line]) == 5
    lines = lines.replace('"healthy/', f'"{folder}/').replace('"models/atlas"', f'"{tmp_path}/m"')
    lines = lines.replace('"patients/*/*', f'"{folder}/sub-007/*').replace('"results"', "out")
    quick = f", settings={COARSE}, device='cpu', cache=cache)"
    scope = {"out": tmp_path / "out", "cache": cache}
    exec(lines.replace('/m")', '/m"' + quick), scope)

    assert (tmp_path / "out/sub-007/anomaly.nii.gz").is_file()
    assert [detection.id for detection in scope["detections"]] == ["sub-007"]
    assert scope["model"].provenance["fit"]["data"] == "7 files"
    assert scope["model"].sha256


def test_two_scans_of_one_id_are_refused_before_anything_is_done(cohort, fitted, tmp_path):
    with pytest.raises(Refused, match="two scans have this id"):
        hale.detect(fitted, [cohort / SCAN, cohort / SCAN], tmp_path / "out")
    assert not (tmp_path / "out").exists()
