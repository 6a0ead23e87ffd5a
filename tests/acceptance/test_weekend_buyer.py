"""The example of a model in a package of its own, as somebody who wrote one installs it: by pip, beside segflow."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
EXPLAINED: Final = """
from pathlib import Path
import numpy as np
from segflow.engine.advance.erasures import start_labels
from segflow.engine.file_run import FileRun
from segflow.operations.explanation import explanations
from segflow.schemas import settings_file
from segflow.state import record

settings = settings_file.load(Path("segflow.yaml"), environment={})
run = FileRun(settings)
list(run.feed(Path("log.jsonl").read_bytes().splitlines(), 0))
rules = run.rule_versions.first
stored = run.memory_shards[0].store.load(["c"])
customers = record.decode(["c"], stored, start_labels(rules), 0, rules.kept)
print(explanations(customers, rules, "EUR", 0)[-1].because)
"""


class Environment:
    """A virtual environment that has what this one has, and a place of its own for more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (packages / "beside.pth").write_text(f"{ROOT}\n{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")

    def run(self, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Python with these arguments; the machine's own SEGFLOW_ variables do not reach it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SEGFLOW_", "PYTHON"))}
        return subprocess.run(
            [self.python, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def pip(self, *arguments: str | Path) -> None:
        """Run pip for this environment, without a network."""
        pip: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python]
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """With the example installed."""
    folder = tmp_path_factory.mktemp("user")
    source = shutil.copytree(ROOT / "examples" / "weekend_buyer", folder / "source")  # a build leaves files in it
    found = Environment(folder)
    found.pip("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", source)
    return found


def test_a_package_with_a_model_is_installed_used_and_uninstalled(environment: Environment) -> None:
    """Its changes by event and by silence, its words; without it, a refusal that names it."""
    days = ("02", "03", "04", "09")
    log = [
        {"type": "purchase", "event_id": day, "customer_id": "c", "order_id": "o", "amount": "5"}
        | {"occurred_at": f"2024-03-{day}T12:00:00Z"}
        for day in days
    ]
    folder = environment.folder
    (folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in log), encoding="utf-8")
    settings = "clock: event\ndimensions: [lifecycle, weekend_buyer]\nweekend_buyer: {lasts: 30d}\n"
    (folder / "segflow.yaml").write_text(settings, encoding="utf-8")
    command = ("-m", "segflow", "run", "log.jsonl", "--until", "2024-06-01T00:00:00Z", "--output", "out.jsonl")
    done = environment.run(*command)
    assert done.returncode == 0, done.stderr
    changes = [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [(each["current"], each["effective_at"]) for each in changes if each["dimension"] == "weekend_buyer"]
    assert found == [
        ("mixed", "2024-03-04T12:00:00Z"),
        ("weekends", "2024-03-09T12:00:00Z"),
        ("unknown", "2024-04-08T12:00:00Z"),
    ]
    done = environment.run("-c", EXPLAINED)
    assert done.stdout == "['3 of 4 purchases were made on weekends.', 'The weekend_buyer is weekends.']\n", done.stderr
    environment.pip("uninstall", "--yes", "--quiet", "segflow-weekend-buyer")
    done = environment.run(*command)
    assert done.returncode == 2
    assert "dimensions.weekend_buyer: is no dimension and has no rules" in done.stderr
    assert "Traceback" not in done.stderr
