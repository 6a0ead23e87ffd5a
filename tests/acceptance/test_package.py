"""The wheel and the source archive: what is in them, and that they work where nothing of the checkout is.

The wheel is installed into an empty environment, which finds the dependencies in the environment of this test, but
not the checkout. It runs beside modules of a user's own that have the names of segflow's rooms.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from segflow.cli.commands import SUMMARIES
from segflow.schemas.settings_file import ENVIRONMENT

ROOT: Final = Path(__file__).parents[2]
PACKAGED: Final = ("pyproject.toml", "README.md", "LICENSE", "segflow", "schemas", "state", "streams")
"""All that a build looks at. It is built in a copy: a build leaves folders, and takes in what an earlier one left."""
VERSION: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
USERS_OWN: Final = ("schemas.py", "state/__init__.py", "streams.py", "segments.py", "engine.py", "cli.py", "demo.py")
BUILD_S: Final = 300.0
"""A build takes three seconds on an idle machine."""
COMMAND_S: Final = 60.0
"""A command that does little takes half a second."""
DEMO_S: Final = 600.0
"""The demo gives up by itself where nothing moves; what moves may be slow."""


def ran(*command: str | Path, folder: Path, timeout_s: float = BUILD_S, **environment: str) -> str:
    """What a command that must succeed prints; the machine's own SEGFLOW_ variables do not reach it."""
    kept = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        command, cwd=folder, env=kept | environment, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_of(source: Path, folder: Path) -> Path:
    """The wheel that pip builds of a source tree, with no network."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--wheel-dir", str(folder))
    ran(*pip, "--no-deps", "--no-index", "--no-build-isolation", source, folder=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def digests(wheel: Path) -> dict[str, str]:
    """Each file of a wheel, and the hash of its content."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged, links and all."""
    copy = tmp_path_factory.mktemp("source")
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    return wheel_of(source, tmp_path_factory.mktemp("wheel"))


@dataclass(frozen=True, kw_only=True)
class Installation:
    """An environment with segflow in it, and a folder with modules of a user's own."""

    environment: Path
    folder: Path

    def run(self, program: str, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        """What a program of the environment prints, in the user's folder, which is on the import path, too."""
        command = self.environment / "bin" / program
        return ran(command, *arguments, folder=self.folder, timeout_s=timeout_s, PYTHONPATH=str(self.folder))


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel, installed beside modules that raise when anything imports them."""
    made = Installation(environment=tmp_path_factory.mktemp("environment"), folder=tmp_path_factory.mktemp("user"))
    venv.create(made.environment, symlinks=True)
    python = made.environment / "bin" / "python"
    site_packages = Path(made.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # Of a folder that is named in a .pth file no further .pth files are read: none leads to the checkout.
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "dependencies.pth").write_text("\n".join(dependencies), encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet")
    ran(*pip, "--no-deps", "--no-index", wheel, folder=made.folder)
    for name in USERS_OWN:
        module = made.folder / name
        module.parent.mkdir(exist_ok=True)
        module.write_text(f"raise AssertionError('the user has a {name}')\n", encoding="utf-8")
    return made


def test_the_wheel_is_the_package_and_puts_nothing_else_into_site_packages(wheel: Path) -> None:
    """Every file under segflow/ is in it, those behind the links as well; beside them only what pip keeps."""
    expected = {
        str(Path(folder, name).relative_to(ROOT))
        for folder, _, names in os.walk(ROOT / "segflow", followlinks=True)
        if not folder.endswith("__pycache__")
        for name in names
    }
    found = digests(wheel)
    kept_by_pip = {name for name in found if name.startswith(f"segflow-{VERSION}.dist-info/")}
    assert found.keys() - kept_by_pip == expected
    assert expected >= {
        "segflow/py.typed",
        "segflow/demo/cdnow.jsonl.gz",
        "segflow/embedded/pom.xml",
        "segflow/schemas/exported/change.json",
        "segflow/state/layout.py",
        "segflow/streams/worker/worker.py",
    }


def test_the_source_archive_builds_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    """It has folders where the checkout has links, and from it comes the same content, byte for byte."""
    archives, wheels = tmp_path / "archives", tmp_path / "wheels"
    wheels.mkdir()
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(archives)!r})"
    ran(sys.executable, "-c", build, folder=source)
    archive = archives / f"segflow-{VERSION}.tar.gz"
    with tarfile.open(archive) as opened:
        assert all(member.isfile() or member.isdir() for member in opened.getmembers())
    assert digests(wheel_of(archive, wheels)) == digests(wheel)


def test_every_module_imports_and_none_of_the_users(installation: Installation) -> None:
    """Nothing in segflow imports a room by its bare name; what is imported is what was installed."""
    program = (
        "import importlib, pkgutil, segflow\n"
        "for each in pkgutil.walk_packages(segflow.__path__, 'segflow.'):\n"
        "    each.name == 'segflow.__main__' or importlib.import_module(each.name)\n"
        "print(segflow.__file__)"
    )
    assert Path(installation.run("python", "-c", program).strip()).is_relative_to(installation.environment)


def test_the_installed_command_says_its_version_also_as_a_module(installation: Installation) -> None:
    """`segflow --version` and `python -m segflow --version`."""
    assert installation.run("segflow", "--version") == f"segflow {VERSION}\n"
    assert installation.run("python", "-m", "segflow", "--version") == f"segflow {VERSION}\n"


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_installed_command_has_its_help(name: str, installation: Installation) -> None:
    """It starts, beside a user's modules of the same names."""
    assert f"segflow {name}" in installation.run("segflow", name, "--help")


def test_the_installed_command_runs_a_file(installation: Installation) -> None:
    """Two purchases of one customer, and the changes they make."""
    event = {"type": "purchase", "customer_id": "c1", "order_id": "o", "amount": "60"}
    log = [event | {"event_id": f"e{day}", "occurred_at": f"2024-03-0{day}T00:00:00Z"} for day in (1, 2)]
    events = installation.folder / "events.jsonl"
    events.write_text("".join(json.dumps(each) + "\n" for each in log), encoding="utf-8")
    changes = [json.loads(line) for line in installation.run("segflow", "run", str(events)).splitlines()]
    assert ("lifecycle", "active") in {(change["dimension"], change["current"]) for change in changes}


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.usefixtures("kafka", "redis_server")  # the demo starts its own: these show that this machine can
def test_the_installed_demo_has_its_history_and_its_servers(installation: Installation) -> None:
    """The whole of CDNOW through Kafka, a worker and Redis, with nothing but the package at hand."""
    said = installation.run("segflow", "demo", "--fast", timeout_s=DEMO_S)
    assert said.splitlines()[-1] == "the worker's 256,999 changes equal those of `segflow run`, change for change"
