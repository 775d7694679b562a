"""Where a benchmark finds and keeps things. What is on disk is its only memory."""

from dataclasses import dataclass
from pathlib import Path

SUITE, PHANTOMS, REFERENCES, MODELS, MAPS, FIGURES, BOARD = (
    "suite.toml",
    "phantoms",
    "references",
    "models",
    "maps",
    "figures",
    "leaderboard",
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One method with one seed on one fold: one model, or none, and its maps."""

    method: str
    seed: int
    fold: int

    def __str__(self) -> str:
        """Return the name of its folders."""
        return f"{self.method}.s{self.seed}.f{self.fold}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Folders that are given, and the one that is written."""

    data: Path
    """What the suite's folders of scans lie in."""
    out: Path
    models: Path | None = None
    """Folder of models that were fitted before, ``<method>`` or ``<method>.s0.f0`` each."""
    maps: Path | None = None
    """What the folders of maps by other software lie in."""

    @property
    def suite(self) -> Path:
        """Return the file of the suite that the folder is of."""
        return self.out / SUITE

    @property
    def suite_part(self) -> Path:
        """Return that file while it is being written."""
        return self.out / f".{SUITE}.part"

    @property
    def board(self) -> Path:
        """Return the folder of the leaderboard."""
        return self.out / BOARD

    def planted(self, cohort: str) -> Path:
        """Return the folder of a synthetic cohort's scans and masks."""
        return self.out / REFERENCES / cohort

    def model(self, run: Run) -> Path:
        """Return where a model is fitted."""
        return self.out / MODELS / str(run)

    def encoder(self, run: Run) -> Path:
        """Return where the encoder that a model starts from is taught."""
        return self.out / MODELS / f"{run}.encoder"

    def maps_of(self, run: Run, cohort: str) -> Path:
        """Return the folder of the maps of a cohort."""
        return self.out / MAPS / str(run) / cohort

    def figures_of(self, run: Run, cohort: str) -> Path:
        """Return the folder of what was measured of those maps."""
        return self.out / FIGURES / str(run) / cohort
