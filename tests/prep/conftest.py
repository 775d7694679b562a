from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = Path(__file__).parents[2].parent / "shared/data"
    if not folder.is_dir():
        pytest.skip(f"the real scans are not here ({folder})")
    return folder
