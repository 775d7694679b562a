"""Suites as files: found by name, read, and refused where they cannot be."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hale.bench.suite import FIGURES, Kind, Suite
from hale.core.errors import Refused
from hale.recipe import bundled, checked, read_table, settled

KIND = "suites"
"""Folder of the bundled ones, among the recipes."""
KEYS = "a suite has title, healthy, [[cohorts]], [[methods]], ...; `hale bench` lists bundled ones"


def suites() -> dict[str, Path]:
    """Return the bundled suites, by name."""
    return bundled(KIND)


def read_suite(name: str, overrides: Sequence[str] = ()) -> Suite:
    """Read and check a suite.

    Args:
        name: A bundled one's, or a TOML file.
        overrides: ``key=value`` settings that win over the file's.

    Raises:
        Refused: No such suite, an unknown key, a value that cannot be, a name that is used twice
            or leads nowhere.
    """
    path = Path(name)
    path = path if path.is_file() else suites().get(path.stem, path)
    if not path.is_file():
        raise Refused(name, "no such suite", "`hale bench` lists the bundled ones")
    table = settled(read_table(path), overrides)
    where = " ".join([str(path), *(f"--set {override}" for override in overrides)])
    return build_suite({"name": path.stem, **table}, where=where)


def build_suite(table: Mapping[str, Any], *, where: str = "suite") -> Suite:
    """Check a suite given as nested dictionaries.

    Raises:
        Refused: As `read_suite`.
    """
    suite: Suite = checked(Suite, dict(table), where, KEYS)
    for what, names in (
        ("cohort", [cohort.name for cohort in suite.cohorts]),
        ("method", [method.name for method in suite.methods]),
    ):
        _refuse_bad_names(what, names, where)
    needing = [method.name for method in suite.methods if method.recipe]
    if not suite.healthy and (needing or suite.phantoms):
        why = f"healthy is empty, and is needed by {', '.join(needing) or 'phantoms'}"
        raise Refused(where, why, "name the folder of healthy scans")
    known = {cohort.name: cohort for cohort in suite.cohorts}
    methods = {method.name for method in suite.methods}
    for cohort in suite.cohorts:
        _refuse_unknown(where, f"validation of {cohort.name}", cohort.validation, known)
        _refuse_unknown(where, f"beside of {cohort.name}", cohort.beside, known)
        if cohort.beside and known[cohort.beside].kind is not Kind.HEALTHY:
            why = f"beside of {cohort.name} is {cohort.beside}, which is not healthy"
            raise Refused(where, why, "name a cohort of kind 'healthy'")
    for method in suite.methods:
        _refuse_unknown(where, f"base of {method.name}", method.base, methods)
        for name in method.cohorts:
            _refuse_unknown(where, f"cohorts of {method.name}", name, known)
    _refuse_unknown(where, "baseline", suite.baseline, methods)
    if suite.figure not in FIGURES:
        why = f"figure is {suite.figure!r}, which no case has"
        raise Refused(where, why, f"compare by one of {', '.join(FIGURES)}")
    return suite


def _refuse_bad_names(what: str, names: Sequence[str], where: str) -> None:
    """Refuse names that cannot be folders, and those that are there twice."""
    for name in names:
        plain_name = name.replace("+", "").replace("-", "").replace("_", "")
        if not plain_name.isascii() or not plain_name.isalnum():
            raise Refused(where, f"{what} {name!r} is no name of a folder", "use letters and -")
        if names.count(name) > 1:
            raise Refused(where, f"names {what} {name} twice", "call one of them otherwise")


def _refuse_unknown(where: str, what: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that leads nowhere."""
    if name and name not in known:
        raise Refused(where, f"{what} is {name!r}, which it does not name", "name one of its own")
