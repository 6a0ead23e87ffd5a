"""deploy/: the Helm chart renders into what Kubernetes accepts and segflow understands; so do the systemd units."""

import configparser
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from segflow.schemas import settings_file
from segflow.schemas.settings_file import DEFAULT_FILE, ENVIRONMENT
from segflow.streams.health.metrics import Metrics
from segflow.streams.worker.worker import STOP_S
from tests.support import chart
from tests.support.command import is_taken

UNIT: Final = chart.ROOT / "deploy" / "systemd" / "segflow@.service"
OTHERS: Final = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}
"""APIs of operators, not of Kubernetes: the validator does not know them."""
ALL = pytest.mark.parametrize("name", chart.CASES)


class Unit(configparser.RawConfigParser):
    """A systemd unit: its names have capitals."""

    def optionxform(self, optionstr: str) -> str:
        """The name as it is written."""
        return optionstr


def kinds(name: str) -> dict[str, dict[str, Any]]:
    """Each manifest of a case by its kind; what a hook makes, under `hook` and the kind."""
    found: dict[str, dict[str, Any]] = {}
    for each in chart.kept(name)[1]:
        hook = "helm.sh/hook" in each["metadata"].get("annotations", {})
        found[f"hook {each['kind']}" if hook else each["kind"]] = each
    return found


def containers(name: str) -> list[dict[str, Any]]:
    """Those of the workers and of the job that makes topics."""
    made = kinds(name)
    return [made[kind]["spec"]["template"]["spec"]["containers"][0] for kind in ("StatefulSet", "hook Job")]


@ALL
def test_what_is_kept_was_rendered_from_the_chart_as_it_is(name: str) -> None:
    """After a change: python -m tests.support.chart, with helm on the path."""
    assert chart.kept(name)[0] == chart.fingerprint()


@pytest.mark.skipif(chart.HELM is None, reason="needs helm")
@ALL
def test_helm_finds_nothing_wrong_and_renders_what_is_kept(name: str) -> None:
    """`helm lint --strict`, then `helm template`."""
    chart.helm("lint", "--strict", str(chart.CHART), values=chart.CASES[name])
    assert [each for each in yaml.safe_load_all(chart.rendered(name)) if each] == chart.kept(name)[1]


@pytest.mark.skipif(chart.HELM is None, reason="needs helm")
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"worker": 3}, "additional properties 'worker' not allowed"),
        ({"workers": 9}, "9 workers share 8 shards, and the others would stand idle"),
        ({"workers": 0}, "minimum"),
    ],
)
def test_helm_refuses_values_that_mean_nothing(values: dict[str, Any], told: str) -> None:
    """A name that is none, and more workers than there are shards."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        chart.helm("template", str(chart.CHART), "--kube-version", chart.KUBERNETES, values=values)
    assert told in refused.value.stderr


@ALL
def test_kubernetes_accepts_every_manifest(name: str) -> None:
    """By its own schemas, strictly: a field that it does not know is an error."""
    for each in chart.kept(name)[1]:
        if each["apiVersion"] not in OTHERS:
            kubernetes_validate.validate(each, chart.KUBERNETES, strict=True)


@ALL
def test_segflow_reads_the_settings_and_takes_the_commands(name: str) -> None:
    """The file stands where segflow looks, and its pages where Kubernetes looks."""
    for each in containers(name):
        is_taken(each["args"])
        assert f"{each['volumeMounts'][0]['mountPath']}/{DEFAULT_FILE}" == "/etc/segflow/segflow.yaml"
    for kind in ("ConfigMap", "hook ConfigMap"):
        content = yaml.safe_load(kinds(name)[kind]["data"][DEFAULT_FILE])
        loaded = settings_file.parse(content, name=name, environment={})
        assert (loaded.worker.http_host, loaded.worker.http_port) == ("0.0.0.0", 8080)  # noqa: S104 - within its pod


@ALL
def test_containers_have_no_rights_and_write_nothing_but_tmp(name: str) -> None:
    """A user without rights, no capability, a file system that is read-only."""
    for kind in ("StatefulSet", "hook Job"):
        pod = kinds(name)[kind]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert f"--uid {pod['securityContext']['runAsUser']}" in (chart.ROOT / "Dockerfile").read_text(encoding="utf-8")
    for each in containers(name):
        security = each["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}


@ALL
def test_a_pod_has_longer_to_end_than_a_worker_takes(name: str) -> None:
    """SIGKILL in the middle of a clean stop would leave shards waiting for a session timeout."""
    assert kinds(name)["StatefulSet"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > STOP_S + 5


def test_scaling_asks_for_a_metric_there_is_and_stops_at_the_shards() -> None:
    """More workers than shards would stand idle."""
    spec = kinds("everything")["ScaledObject"]["spec"]
    assert spec["maxReplicaCount"] == chart.CASES["everything"]["shards"]
    query = spec["triggers"][0]["metadata"]["query"]
    assert any(each.name in query for each in Metrics().registry.collect())
    assert "replicas" not in kinds("everything")["StatefulSet"]["spec"], "an upgrade would undo the scaling"


def test_passwords_come_from_a_secret_and_settings_have_none() -> None:
    """The variables of the environment are those that segflow reads."""
    for each in containers("everything"):
        assert each["envFrom"] == [{"secretRef": {"name": "shop-passwords"}}]
    values = (chart.CHART / "values.yaml").read_text(encoding="utf-8")
    named = {word.strip(",.;()") for word in values.split() if "SEGFLOW_" in word}
    assert {each.removeprefix("(") for each in named} <= ENVIRONMENT.keys()


def test_the_chart_is_of_this_version_of_segflow() -> None:
    """Its appVersion is the tag of the image."""
    project = tomllib.loads((chart.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    described = yaml.safe_load((chart.CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert described["appVersion"] == project["project"]["version"]


def test_the_systemd_unit_runs_a_command_there_is_and_leaves_it_time_to_end() -> None:
    """Exit code 2 asks for a person, so it is not started again."""
    unit = Unit(strict=False)  # systemd allows a name several times
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]
    is_taken(shlex.split(service["ExecStart"].replace("%i", "8080"))[1:])
    assert float(service["TimeoutStopSec"]) > STOP_S + 5
    assert service["RestartPreventExitStatus"] == "2"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """systemd-analyze verify, with a program at the place where the unit looks for one."""
    text = UNIT.read_text(encoding="utf-8").replace("/srv/segflow/bin/segflow", shutil.which("true") or "/bin/true")
    path = tmp_path / "segflow@8080.service"
    path.write_text(text, encoding="utf-8")
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert "segflow@8080" not in found.stderr, found.stderr
