"""The Helm chart, rendered: by helm itself where there is one, and as it was rendered last, kept in tests/golden/chart.

python -m tests.support.chart   # renders anew, after a change of the chart; needs helm
"""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "segflow"
RENDERED: Final = ROOT / "tests" / "golden" / "chart"
KUBERNETES: Final = "1.30.0"
"""The version rendered for: one that clusters have, and the validator knows."""
HELM: Final = shutil.which("helm")
CASES: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "everything": {
        "shards": 4,
        "settings": {
            "kafka": {"address": "kafka:9093", "tls": True, "tls_ca": "/etc/segflow-tls/ca.crt"},
            "redis": {"url": "rediss://redis:6380/0", "prefix": "shop"},
            "worker": {"linger": "5ms"},
        },
        "imagePullSecrets": [{"name": "registry"}],
        "credentials": {"secretName": "shop-passwords"},
        "tls": {"secretName": "shop-tls"},
        "autoscaling": {"enabled": True, "maxWorkers": 12},
        "networkPolicy": {
            "pagesFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "egress": [{"ports": [{"port": 9093}, {"port": 6380}]}],
        },
        "podMonitor": {"enabled": True},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "podLabels": {"team": "crm"},
        "podAnnotations": {"cost": "crm"},
    },
}
"""Values by the name of the file."""


def fingerprint() -> str:
    """Of the chart's files and the values rendered: another one means that what is kept is stale."""
    found = hashlib.sha256(repr((KUBERNETES, CASES)).encode())
    for path in sorted(each for each in CHART.rglob("*") if each.is_file()):
        found.update(f"{path.relative_to(CHART)}\n".encode() + path.read_bytes())
    return found.hexdigest()


def rendered(name: str) -> str:
    """The manifests of a case by helm.

    Raises:
        subprocess.CalledProcessError: helm refuses the chart or its values.
    """
    return helm("template", "shop", str(CHART), "--namespace", "crm", "--kube-version", KUBERNETES, values=CASES[name])


def helm(*arguments: str, values: dict[str, Any]) -> str:
    """What helm prints.

    Raises:
        subprocess.CalledProcessError: it refuses.
    """
    assert HELM is not None
    command = [HELM, *arguments, "--values", "-"]
    return subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=True).stdout


def kept(name: str) -> tuple[str, list[dict[str, Any]]]:
    """The fingerprint and the manifests of what was rendered last."""
    text = (RENDERED / f"{name}.yaml").read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    return first.removeprefix("# "), [each for each in yaml.safe_load_all(text) if each]


def main() -> None:
    """Render every case into its file."""
    for name in CASES:
        path = RENDERED / f"{name}.yaml"
        path.write_text(f"# {fingerprint()}\n{rendered(name)}", encoding="utf-8")


if __name__ == "__main__":
    main()
