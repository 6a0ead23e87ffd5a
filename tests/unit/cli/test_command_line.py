"""The command line as a whole: help, exit codes, messages."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from segflow.cli.commands import SUMMARIES
from segflow.streams.runtime.version import NOT_INSTALLED, installed_version
from tests.support.command import segflow, segflow_process, settings_file

NEED_KAFKA = (
    ["topics"],
    ["topics", "--create"],
    ["tail"],
    ["dead-letters"],
    ["alias", "a", "b"],
    ["erase", "c"],
    ["produce", "events.jsonl"],
    ["audit"],
    ["rebuild"],
    ["snapshot", "no-folder"],
    ["reset", "--shard", "0", "--to", "latest"],
)


def test_the_help_lists_every_command() -> None:
    """`segflow --help` names each command with its line."""
    result = segflow("--help")
    assert result.code == 0
    assert all(name in result.out for name in SUMMARIES)


def test_the_help_imports_no_command() -> None:
    """`segflow --help` is quick because neither numpy nor a client library is imported for it."""
    program = (
        "import sys\nsys.argv = ['segflow', '--help']\nfrom segflow.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print({'numpy', 'pydantic', 'kafka', 'redis'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_the_version_is_that_of_the_installed_package() -> None:
    """`segflow --version` and `python -m segflow --version` say it alike."""
    assert segflow("--version").out == f"segflow {version('segflow')}\n"
    done = subprocess.run([sys.executable, "-m", "segflow", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == segflow("--version").out


def test_a_checkout_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, in the place of a number."""

    def none_such(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("segflow.streams.runtime.version.version", none_such)
    uncached = installed_version.__wrapped__
    monkeypatch.setattr("segflow.streams.runtime.version.installed_version", uncached)
    assert segflow("--version").out == f"segflow {NOT_INSTALLED}\n"


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_command_has_a_help_with_an_example_and_its_exit_codes(name: str) -> None:
    """`segflow X --help` shows a command line that can be copied whole, and what the exit codes mean."""
    result = segflow(name, "--help")
    assert result.code == 0
    assert f"\n    segflow {name}" in result.out
    assert "Exit codes:" in result.out


def test_an_unknown_command_is_a_usage_error() -> None:
    """A slip of the finger ends in exit code 2 and a message."""
    result = segflow("tial")
    assert result.code == 2
    assert "tial" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "x"],
        ["produce", "x"],
        ["tail"],
        ["dead-letters"],
        ["show", "c"],
        ["alias", "a", "b"],
        ["erase", "c"],
        ["topics"],
        ["schemas"],
        ["doctor"],
        ["audit"],
        ["rebuild"],
        ["snapshot", "x"],
        ["restore", "x"],
        ["reset", "--shard", "0", "--to", "latest"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_bad_settings_end_every_command_with_the_path_and_the_reason(tmp_path: Path, arguments: list[str]) -> None:
    """A mistake in the settings is exit code 2 with file, path and reason, and no traceback."""
    result = segflow(*arguments, "--settings", settings_file(tmp_path, kafka={"adress": "x"}))
    assert result.code == 2
    assert "settings.yaml: kafka.adress: is no setting" in result.err
    assert "Traceback" not in result.err


@pytest.mark.slow  # each waits for an answer as long as a command does
@pytest.mark.parametrize("arguments", [pytest.param(each, id=" ".join(each)) for each in NEED_KAFKA])
def test_a_kafka_that_is_not_there_is_said_with_its_address_and_what_to_do(
    tmp_path: Path, arguments: list[str]
) -> None:
    """No answer from Kafka ends with exit code 2, the address, and the settings to look at."""
    (tmp_path / "events.jsonl").touch()
    arguments = [str(tmp_path / word) if word.endswith("jsonl") else word for word in arguments]
    # A process of its own: kafka-python leaves a socket open where it never got an answer.
    result = segflow_process(*arguments, "--settings", settings_file(tmp_path, kafka={"address": "127.0.0.1:1"}))
    assert result.code == 2
    assert "Kafka at 127.0.0.1:1: no answer" in result.err
    assert "SEGFLOW_KAFKA" in result.err
    assert "Traceback" not in result.err


def test_a_redis_that_is_not_there_is_said_with_its_address_but_never_its_password(tmp_path: Path) -> None:
    """No answer from Redis ends with exit code 2, the address without a password, and the settings to look at."""
    settings = settings_file(tmp_path, redis={"url": "redis://user:hush@127.0.0.1:1/0"})
    result = segflow("show", "c42", "--settings", settings)
    assert result.code == 2
    assert "Redis at redis://127.0.0.1:1/0 cannot be reached" in result.err
    assert "SEGFLOW_REDIS" in result.err
    assert "hush" not in result.err
    assert "Traceback" not in result.err


def test_a_redis_url_that_is_none_is_said(tmp_path: Path) -> None:
    """An address without a scheme is a message, not a traceback."""
    result = segflow("show", "c42", "--settings", settings_file(tmp_path, redis={"url": "127.0.0.1"}))
    assert result.code == 2
    assert "redis://" in result.err


def test_the_schemas_are_written_and_checked(tmp_path: Path) -> None:
    """`schemas` writes the files; `--check` is 0 while they are up to date, and 1 with the name of a stale one."""
    assert segflow("schemas", "--output", tmp_path / "contract").code == 0
    assert segflow("schemas", "--output", tmp_path / "contract", "--check").code == 0
    (tmp_path / "contract" / "change.json").write_text("{}", encoding="utf-8")
    stale = segflow("schemas", "--output", tmp_path / "contract", "--check")
    assert stale.code == 1
    assert "change.json is stale" in stale.err
