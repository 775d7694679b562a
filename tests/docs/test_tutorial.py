"""The tutorial is run as it stands: its commands, then every file that its text names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`((?:phantoms|model|one|results|scores)/[^`]+)`")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all commands were run, one after the other."""
    folder = tmp_path_factory.mktemp("tutorial")
    path = Path(sys.executable).parent
    setting = f'export PATH="{path}:$PATH" HALE_CACHE="{folder / "cache"}"'
    for command in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
        subprocess.run(["bash", "-euc", f"{setting}\n{command}"], cwd=folder, check=True)
    return folder


@pytest.mark.slow
def test_its_commands_make_the_files_that_it_names(folder: Path) -> None:
    named = NAMED.findall(TUTORIAL.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [name for name in named if not (folder / name).exists()] == []


@pytest.mark.slow
def test_what_it_says_of_the_test_scans_is_so(folder: Path) -> None:
    rows = (folder / "phantoms/participants.tsv").read_text(encoding="utf-8").splitlines()
    lesions = {row.split("\t")[0]: row.split("\t")[-1] for row in rows if "\ttest\t" in row}
    assert lesions["sub-016"] == "none"
    assert "none" not in (lesions["sub-017"], lesions["sub-018"])
    assert len(lesions) == 3
