"""The checks of the repository: commit hooks and GitHub's workflow do what `make` and `.ci/run` do, and no more."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[3]
MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")


def recipe(target: str) -> list[str]:
    """The commands of a target, BIN spelt out."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found is not None
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


def read(name: str) -> dict[Any, Any]:
    """A YAML file of the repository. The key `on` is read as true, as YAML 1.1 has it."""
    content = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_before_a_commit_runs_what_make_lint_runs() -> None:
    """The same commands in the same order, with the tools of .venv: nothing is fetched."""
    (local,) = read(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == recipe("lint")
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in local["hooks"])


def test_the_workflow_tests_every_python_from_the_oldest_that_is_supported() -> None:
    """No minor version is left out between the oldest and the newest."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = int(project["requires-python"].removeprefix(">=3."))
    pythons = read(".github/workflows/ci.yml")["jobs"]["unit"]["strategy"]["matrix"]["python"]
    assert pythons == [f"3.{minor}" for minor in range(oldest, oldest + len(pythons))]


def test_the_workflow_may_only_read_and_names_each_action_by_its_major_version() -> None:
    """No job asks for more; no action comes from a branch."""
    workflow = read(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v1"))


def test_the_workflow_runs_what_a_person_can_run() -> None:
    """Targets of the Makefile that there are, and the whole of .ci/run."""
    jobs = read(".github/workflows/ci.yml")["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands[-1] == "bash .ci/run"
    assert all(recipe(command.removeprefix("make ")) for command in commands[1:-1])
    assert "make setup" in commands


@pytest.mark.parametrize("name", ["bug.yml", "question-or-feature.yml"])
def test_an_issue_form_asks_something_that_must_be_answered(name: str) -> None:
    """It has a name, a description, and a field that is required; ids are unique."""
    form = read(f".github/ISSUE_TEMPLATE/{name}")
    assert form["name"]
    assert form["description"]
    fields = [each for each in form["body"] if each["type"] != "markdown"]
    assert any(each.get("validations", {}).get("required") for each in fields)
    assert len({each["id"] for each in fields}) == len(fields)
