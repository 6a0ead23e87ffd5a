"""The sources of the site: the documents and all files they link to, laid out as in the repository.

So one relative link works on the site, in the repository's own viewer and in an editor, also where it leads to a
settings file or to a folder.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
BUILD: Final = ROOT / "build" / "docs"
SOURCE: Final = BUILD / "source"
SITE: Final = BUILD / "site"
STYLE: Final = Path(__file__).parent / "site.css"
PATTERNS: Final = (
    "*.md",
    "LICENSE",
    "docs/**/*",
    "deploy/**/*",
    "examples/**/*",
    "schemas/exported/*.json",
    "benchmarks/peers/README.md",
)
"""The files that readers may follow links to, as patterns from the root."""


def stage() -> int:
    """Bring SOURCE up to date; returns how many files were written or removed."""
    wanted = {path.relative_to(ROOT): path for path in _found()}
    changes = sum(_copied(path, SOURCE / name) for name, path in wanted.items())
    written = {Path("schemas/exported/README.md"): _schemas(), Path("site.css"): STYLE.read_text(encoding="utf-8")}
    changes += sum(_written(text, SOURCE / name) for name, text in written.items())
    for path in [each for each in SOURCE.glob("**/*") if each.is_file()]:
        if path.relative_to(SOURCE) not in wanted.keys() | written.keys():
            path.unlink()
            changes += 1
    return changes


def _found() -> Iterator[Path]:
    for pattern in PATTERNS:
        yield from (path for path in ROOT.glob(pattern) if path.is_file() and "__pycache__" not in path.parts)


def _copied(source: Path, target: Path) -> bool:
    if target.exists() and target.stat().st_mtime_ns == source.stat().st_mtime_ns:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    return True


def _written(text: str, target: Path) -> bool:
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return True


def _schemas() -> str:
    """The page of a folder that the repository's own viewer lists by itself."""
    names = sorted(path.name for path in (ROOT / "schemas" / "exported").glob("*.json"))
    about = "JSON Schema (2020-12) of all that crosses the boundary, and AsyncAPI 3.0 of the topics."
    return "\n".join(["# Exported schemas", "", about, "", *(f"- [{name}]({name})" for name in names)]) + "\n"
