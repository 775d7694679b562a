"""Results that somebody looks at, made ready once: the last two."""

from pathlib import Path

from hale.calibration import Calibration
from hale.pipeline.write import RESULT
from hale.serve import threshold
from hale.serve.results import MAPS, Found, result_in, result_of
from hale.serve.scans import scans_of
from hale.serve.shelf import Standard, standard_of
from hale.serve.station import Station
from hale.serve.volumes import Recent, Result, read_result


class Opened:
    """Results of a station, by their ids."""

    def __init__(self, station: Station) -> None:
        self.station = station
        self._places: dict[str, Path] = {}
        self._scans: Recent[dict[str, Path]] = Recent(64)
        self._results: Recent[Result] = Recent(2)
        self._ready: Recent[threshold.Ready] = Recent(2)

    def found(self, name: str) -> Found:
        """Return a result.

        Raises:
            Unknown: There is none of this id.
        """
        known = self._places.get(name)
        found = None if known is None else result_in(known, self.station.folder)
        if found is None:  # not asked for yet, or moved
            found = result_of(self.station.folder, name)
            self._places[name] = found.folder
        return found

    def result(self, found: Found) -> Result:
        """Return its map and brain."""
        return self._results.get(_key(found), lambda: read_result(found.folder))

    def ready(self, found: Found) -> threshold.Ready:
        """Return its map, made ready for any threshold."""
        calibrated = found.detection.get("calibration") is not None
        return self._ready.get(
            _key(found), lambda: threshold.ready(self.result(found), calibrated=calibrated)
        )

    def standard(self, found: Found) -> Standard | None:
        """Return what its model holds a scan against; None if it is not here, or uncalibrated."""
        if found.detection.get("calibration") is None:
            return None
        sha256 = str(found.detection["provenance"].get("model_sha256", ""))
        return standard_of(self.station.models, sha256)

    def calibration(self, found: Found) -> Calibration | None:
        """Return the calibration of its model; None likewise."""
        standard = self.standard(found)
        return None if standard is None else standard.calibration

    def scans(self, found: Found) -> dict[str, Path]:
        """Return the file of each contrast of its scan, as far as they are here."""
        told = (found.id, (found.folder / RESULT).stat().st_mtime_ns)
        here = self._scans.get(told, lambda: scans_of(found, self.station.scans))
        there = {contrast: path for contrast, path in here.items() if path.is_file()}
        return there or scans_of(found, self.station.scans)


def _key(found: Found) -> tuple[str, int]:
    return found.id, (found.folder / MAPS["anomaly"]).stat().st_mtime_ns
