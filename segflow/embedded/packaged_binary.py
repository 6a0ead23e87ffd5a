"""Programs inside installed Python packages."""

import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from segflow.embedded.options import UnavailableError


def packaged_binary(package: str, ending: str) -> Path:
    """The program among the installed package's files whose path ends with `ending`.

    Raises:
        UnavailableError: the package is not installed, or has no such program for this machine.
    """
    try:
        paths = [Path(str(file.locate())) for file in files(package) or [] if file.as_posix().endswith(ending)]
    except PackageNotFoundError as error:
        raise UnavailableError(f"the Python package {package} is not installed. pip install {package}") from error
    programs = [path for path in paths if os.access(path, os.X_OK)]
    if not programs:
        raise UnavailableError(f"the installed Python package {package} has no program {ending} for this machine")
    return programs[0]
