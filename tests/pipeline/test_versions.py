"""Results say by which commit they were made, and never by that of somebody else's folder."""

import shutil
import subprocess
from pathlib import Path

import pytest

import hale
from hale.pipeline.versions import commit, versions


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """A copy of the package in a folder with a history of its own, as a virtual environment has."""
    package = tmp_path / "hale"
    package.mkdir()
    shutil.copy(Path(hale.__file__), package / "__init__.py")
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "mine.txt")
    keep(tmp_path)
    monkeypatch.setattr(hale, "__file__", str(package / "__init__.py"))
    commit.cache_clear()
    yield package
    commit.cache_clear()


def git(folder, *words) -> str:
    told = subprocess.run(("git", "-C", folder, *words), capture_output=True, text=True, check=True)
    return told.stdout.strip()


def keep(folder) -> None:
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Keep")


def test_an_installed_copy_has_no_commit_though_the_folder_around_it_has(copy):
    assert commit() is None
    assert versions()["commit"] is None


def test_the_commit_is_that_of_the_code_and_says_if_it_was_changed_since(copy):
    git(copy.parent, "add", "hale")
    keep(copy.parent)
    head = git(copy.parent, "rev-parse", "HEAD")
    commit.cache_clear()
    assert commit() == head

    (copy / "__init__.py").write_text("changed = True", encoding="utf-8")
    commit.cache_clear()
    assert commit() == f"{head}+"
