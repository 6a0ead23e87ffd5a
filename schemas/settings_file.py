"""Reader of segflow.yaml and the environment into settings, with errors a person can act on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from segflow.schemas import yaml_document
from segflow.schemas.model_error import ModelError
from segflow.schemas.rule_dimensions import RuleError
from segflow.schemas.settings import Settings
from segflow.schemas.yaml_document import DocumentError

DEFAULT_FILE: Final = "segflow.yaml"
ENVIRONMENT: Final = {
    "SEGFLOW_KAFKA": ("kafka", "address"),
    "SEGFLOW_KAFKA_USERNAME": ("kafka", "username"),
    "SEGFLOW_KAFKA_PASSWORD": ("kafka", "password"),
    "SEGFLOW_REDIS": ("redis", "url"),
    "SEGFLOW_REDIS_USERNAME": ("redis", "username"),
    "SEGFLOW_REDIS_PASSWORD": ("redis", "password"),
    "SEGFLOW_REDIS_SENTINEL_PASSWORD": ("redis", "sentinel_password"),
}
"""Environment variables and the settings they set: addresses and secrets. They win over the file."""


class SettingsError(Exception):
    """The settings cannot be used; the message names the file, the path in it and the reason."""


def load(path: Path | None = None, *, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `path`, or from ./segflow.yaml if there is one, else the defaults.

    Raises:
        SettingsError: no such file, no YAML, an unknown key or a value that makes no sense.
    """
    if path is None and not Path(DEFAULT_FILE).exists():
        return parse({}, name="settings", environment=environment)
    path = path or Path(DEFAULT_FILE)
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml_document.read(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    except DocumentError as error:
        raise SettingsError(f"{path}: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise SettingsError(f"{path}: must be a mapping such as 'clock: wall', found {type(content).__name__}")
    return parse(content or {}, name=str(path), text=text, environment=environment)


def parse(
    content: dict[str, Any], *, name: str, text: str = "", environment: Mapping[str, str] = os.environ
) -> Settings:
    """Settings from a parsed file called `name` in messages; `text`: the file, in which rules have their lines.

    Raises:
        SettingsError: an unknown key or a value that makes no sense.
    """
    merged = dict(content)
    for variable, (section, field) in ENVIRONMENT.items():
        if environment.get(variable) and isinstance(merged.get(section) or {}, dict):
            merged[section] = {**(merged.get(section) or {}), field: environment[variable]}
    merged = {key: value for key, value in merged.items() if value is not None}  # `kafka:` with nothing below it
    try:
        return Settings.of(merged)
    except ModelError as error:
        raise SettingsError(f"{name}: {error}") from error
    except ValidationError as error:
        as_mapping = isinstance(merged.get("dimensions"), dict)
        reasons = [_reason(name, text, found, as_mapping=as_mapping) for found in error.errors()]
        raise SettingsError("\n".join(reasons)) from error


def _place(text: str, wrong: RuleError) -> str:
    """Line and column of the file at which a rule is wrong; of the expression, where the file does not show it so."""
    error, node = wrong.error, yaml_document.compose(text) if text else None
    for paths in (("dimensions", *wrong.path), ("rule_dimensions", *wrong.path)):
        found = node
        for part in paths:
            found = _below(found, part)
        if isinstance(found, yaml.ScalarNode):
            start, stop = found.start_mark, found.end_mark
            place = text[start.index : stop.index].find(found.value)
            if start.line == stop.line and place >= 0:
                return f"line {start.line + 1}, column {start.column + place + error.column}"
            if found.style == "|":
                line = text.splitlines()[start.line + error.line]
                indent = len(line) - len(found.value.splitlines()[error.line - 1])
                return f"line {start.line + error.line + 1}, column {indent + error.column}"
            return f"line {error.line}, column {error.column} of the expression at line {start.line + 1}"
    return f"line {error.line}, column {error.column}"


def _below(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    """The child of a YAML node under a key or at an index; None where there is none."""
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item: yaml.Node = node.value[part]
        return item
    return None


NO_SECTION: Final = ("model_type", "dict_type")
"""pydantic's types of error for a value in the place of a section; its words name Python's types."""


def _reason(name: str, text: str, found: Any, *, as_mapping: bool) -> str:
    message = found["msg"].removeprefix("Value error, ")
    wrong = found.get("ctx", {}).get("error")
    if isinstance(wrong, RuleError):
        path = ".".join(map(str, ("dimensions", *wrong.path)))
        return f"{name}: {path}: {_place(text, wrong)}: {wrong.error.problem}"
    first, *rest = found["loc"] or ("",)
    path = ".".join(map(str, ("dimensions" if as_mapping and first == "rule_dimensions" else first, *rest)))
    if found["type"] == "extra_forbidden":
        message = "is no setting; see `segflow schemas` or examples/segflow.yaml for those there are"
    elif found["type"] in NO_SECTION:
        message = "must be a section: names with their values"
    return f"{name}: {path}: {message}" if path else f"{name}: {message}"
