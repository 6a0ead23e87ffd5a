"""Packages as pip leaves them in a folder: a module, and metadata with an entry point."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from segflow.segments import plugins

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "weekend_buyer" / "weekend_buyer.py"


class Packages:
    """Installed packages of this test; a name stands for the module, the model and the entry point."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, code: str, *, name: str = "weekend_buyer", package: str = "segflow-weekend-buyer") -> None:
        """Install a package with one module and one model; one of that name is gone."""
        (self.folder / f"{name}.py").write_text(code, encoding="utf-8")
        metadata = self.folder / f"{package.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(f"[segflow.models]\n{name} = {name}:MODEL\n", encoding="utf-8")
        self.forget()

    def uninstall(self) -> None:
        """Remove all of them."""
        for metadata in self.folder.glob("*.dist-info"):
            for file in metadata.iterdir():
                file.unlink()
            metadata.rmdir()
        self.forget()

    def forget(self) -> None:
        """Let the process find out anew what is installed, as a new process would."""
        for path in self.folder.glob("*.py"):
            sys.modules.pop(path.stem, None)
        importlib.invalidate_caches()
        plugins.find.cache_clear()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    """An empty folder of packages, on the path."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = Packages(folder)
    yield found
    found.uninstall()
