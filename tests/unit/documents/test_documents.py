"""The documents: their links lead somewhere, and what they name exists."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from docgen.operations_pages import metric_labels
from segflow.cli.commands import SUMMARIES
from segflow.schemas.settings import Settings
from segflow.streams.health.metrics import Metrics

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md"), *ROOT.glob("benchmarks/**/*.md")]
)
ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
METRICS = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")


CODE = sorted(
    path
    for room in ("benchmarks", "docgen", "evaluation", "examples", "schemas", "segflow", "state", "streams", "tests")
    for path in (ROOT / room).glob("**/*.py")
)


def text_of(path: Path) -> str:
    """A document."""
    return path.read_text(encoding="utf-8")


def heading_anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_of(path: Path) -> list[str]:
    """The lines of code blocks and the pieces between backquotes."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text_of(path), re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```\w*\n.*?^```", "", text_of(path), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", prose)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_within_the_project_leads_somewhere(path: Path) -> None:
    """Files and folders exist, and so do the headings that anchors name."""
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text_of(path))
    for link in (markdown or html for markdown, html in links):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in heading_anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_named_in_code_exists(path: Path) -> None:
    """Paths such as `state/record.py`, from the root or from the document."""
    for piece in code_of(path):
        for name in re.findall(r"(?<![\w./])((?:[a-z_]+/)+[\w.-]*\w\.(?:py|md|yaml|json|svg))(?![\w/])", piece):
            assert any((folder / name).exists() for folder in (ROOT, path.parent)), name


def test_every_document_named_in_the_code_exists() -> None:
    """A path under docs is a page, its anchor a heading; a decision may stand by its number."""
    for path in CODE:
        for name, anchor in re.findall(r"(?<![\w./])(docs/[\w/.-]*\w)(?:#([\w-]+))?", text_of(path)):
            found = [ROOT / name] if (ROOT / name).exists() else list(ROOT.glob(f"{name}*"))
            assert len(found) == 1, f"{path}: {name}"
            assert not anchor or anchor in heading_anchors(found[0]), f"{path}: {name}#{anchor}"


def test_the_code_refers_to_no_document_that_is_not_here() -> None:
    """A section number of a design that nobody can read is no reference."""
    for path in CODE:
        assert not re.search(r"\bdesign(?:'s|,)?\s+section|\bsection \d of\b", text_of(path), re.IGNORECASE), path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_named_exists(path: Path) -> None:
    """`segflow x` in code is a command x."""
    for piece in code_of(path):
        for name in re.findall(r"(?:^|[\s/$])segflow ([a-z]+(?:-[a-z]+)*)", piece):
            assert name in SUMMARIES, piece


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_make_target_named_exists(path: Path) -> None:
    """`make x` in code is a target x."""
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for piece in code_of(path):
        for name in re.findall(r"^make ([a-z-]+)", piece):
            assert name in targets, piece


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_setting_named_exists(path: Path) -> None:
    """`section.name` in code is a path in the settings."""
    for piece in code_of(path):
        for section, name in re.findall(r"\b(kafka|redis|lifecycle|rfm|worker)\.([a-z_]+)(?![\w(/])", piece):
            if name in ("py", "md", "sh"):
                continue
            fields = Settings.model_fields[section].annotation
            assert isinstance(fields, type)
            assert issubclass(fields, BaseModel)
            assert name in fields.model_fields, piece


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_path_of_a_machine_is_named(path: Path) -> None:
    """Nothing from the root of somebody's disk, nobody's home."""
    assert not re.findall(r"(?<![\w.~>:])/(?:work|root|home|tmp|Users|mnt|opt)\b", text_of(path))


def test_the_python_and_yaml_of_the_pages_by_role_are_well_formed() -> None:
    """The platform's subscriber parses; the settings of the analyst's example are settings."""
    pages = ROOT / "docs" / "for"
    (subscriber,) = re.findall(r"```python\n(.*?)```", text_of(pages / "platform.md"), re.DOTALL)
    ast.parse(subscriber)
    (written,) = re.findall(r"printf '(.+?)' >", text_of(pages / "analyst.md"))
    Settings.model_validate(yaml.safe_load(written.replace("\\n", "\n")))


def test_every_metric_is_in_the_table_of_the_reference() -> None:
    """With its labels; and no other is."""
    rows = re.findall(r"^\| `(segflow_\w+)` \| \w+ \| (.*?) \|", METRICS, re.MULTILINE)
    metrics = Metrics()
    labels = metric_labels(metrics)
    found = {
        metric.name + ("_total" if metric.type == "counter" else ""): labels[metric.name]
        for metric in metrics.registry.collect()
    }
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == found


def test_the_errors_on_their_page_are_those_of_the_code() -> None:
    """Each piece of a quoted message stands in a message of the code."""
    messages = "\n".join(
        "".join(part.value for part in _parts(node) if isinstance(part.value, str))
        for room in (ROOT / "state", ROOT / "streams", ROOT / "segflow")
        for path in room.glob("**/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    )
    quoted = re.findall(r"^\*\*(.+)\*\*$", ERRORS, re.MULTILINE)
    assert len(quoted) == 42
    for message in quoted:
        for piece in message.split("…"):
            assert piece.strip() in messages, message


def _parts(node: ast.JoinedStr | ast.Constant) -> list[ast.Constant]:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return [part for part in parts if isinstance(part, ast.Constant)]
