"""segflow as it was, run from its own files beside this version: tests/golden/releases.

An archive holds the Python files of the package as a wheel of that commit had them:

    git checkout COMMIT && pip wheel --no-deps -w W . && unzip -d U W/*.whl && cd U
    find segflow -name '*.py' | sort | tar -cJf NAME.tar.xz -T -
"""

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.service import Service

RELEASES: Final = Path(__file__).parents[1] / "golden" / "releases"
BEFORE_STATE_TOPIC: Final = "before-state-topic"
"""Commit eabcb67: a lost Redis was made from the journal and the inputs."""


@dataclass(frozen=True)
class EarlierVersion:
    """The files of one, and settings that it knows. `folder`: in which `python -m segflow` is that version."""

    folder: Path
    settings: Path


def earlier_version(name: str, installed: Service, folder: Path) -> EarlierVersion:
    """Unpack it into `folder`; its settings are the installation's but for the topic that came later."""
    with tarfile.open(RELEASES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    kafka: dict[str, Any] = installed.content["kafka"]
    topics = {role: topic for role, topic in kafka["topics"].items() if role != "state"}
    settings = folder / "segflow.yaml"
    settings.write_text(yaml.safe_dump(installed.content | {"kafka": kafka | {"topics": topics}}))
    return EarlierVersion(folder, settings)
