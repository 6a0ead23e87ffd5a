"""Definitions: the settings that decide labels, and the part of them that shapes stored facts.

This is the one place that tells *label settings* from *fact settings*. Label settings (thresholds, rules, grids, the
order of dimensions, dimensions that need no facts of their own) may change: customers are classified again. Fact
settings shape the totals that records hold. They cannot change in place, as records hold nothing but the totals.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from segflow.schemas.settings import BUILT_IN, HOW_IT_RUNS, Settings, with_models
from segflow.segments.plugins import as_written, written
from segflow.state.layout import SECTIONS

RECUTS_NEED: Final = frozenset({"lifecycle", "rfm"})
"""Sections that are part of every definition: re-cuts look at them, whatever dimensions are on."""
MODELS: Final = "models"
"""In a definition: what it keeps of models of other packages, where it has any (segments/plugins.py)."""
FITTED: Final = frozenset(name for name, model in BUILT_IN.items() if "parameters" in model.cuts)
"""Dimensions that look at `parameters`."""
FACT_SETTINGS: Final = (
    "currency",
    "rates",
    *(path for model in BUILT_IN.values() for path in model.fact_settings if path != "slot"),
    "slot",
    "rfm.window",
    "alerts.last_12_months",
)
"""Paths of settings that are in the facts, as far as their dimension is on. All others decide labels."""

Content = dict[str, Any]
"""A definition as plain JSON, as the control topic keeps it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """One version of the definition: its number, and when it was written."""

    version: int
    written_us: int
    content: Content
    quiet: bool  # what moved by it was not published


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One setting that differs; None: there is none."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path} was {json.dumps(self.before)}, is {json.dumps(self.after)}"


def definition_of(settings: Settings) -> Content:
    """The definition: those settings that decide labels. Sections of dimensions that are off are left out."""
    models = settings.declarations()
    off = set(models) - set(settings.dimensions) - RECUTS_NEED
    off |= set() if FITTED & set(settings.dimensions) else {"parameters"}
    off |= set() if settings.rule_dimensions else {"rule_dimensions"}
    content = settings.model_dump(mode="json", exclude={*HOW_IT_RUNS, *off})
    packaged = {name: written(models[name]) for name in settings.dimensions if name in models and models[name].package}
    content |= {MODELS: packaged} if packaged else {}
    plain: Content = json.loads(json.dumps(content, sort_keys=True))
    return plain


def settings_of(content: Content, base: Settings) -> Settings:
    """The settings of `base`, but for the definition, which is `content`.

    A model of another package that `content` has and this installation lacks is there as `missing`.

    Raises:
        pydantic.ValidationError: this version does not know what `content` says; a newer one wrote it.
    """
    return _validated(content).model_copy(update={name: getattr(base, name) for name in HOW_IT_RUNS})


def _validated(content: Content) -> Settings:
    models = [as_written(name, held) for name, held in content.get(MODELS, {}).items()]
    plain = {name: value for name, value in _as_written_now(content).items() if name != MODELS}
    return with_models(models).model_validate(plain)


def _as_written_now(content: Content) -> Content:
    """A definition as this version reads it: the schedule of re-cuts stood in `rfm` while only that had them."""
    rfm = dict(content["rfm"])
    if "recut_every" not in rfm:
        return content
    recut = {"every": rfm.pop("recut_every"), "min_population": rfm.pop("min_population")}
    return content | {"rfm": rfm, "recut": recut}


def whole(definitions: list[Definition], base: Settings) -> Settings:
    """The latest of `definitions`, with every dimension that ever was on: what decoding needs for each of them."""
    merged: Content = {}
    for each in definitions:
        merged |= each.content
    listed = dict.fromkeys(name for each in definitions for name in each.content["dimensions"])
    packaged = {name: held for each in definitions for name, held in each.content.get(MODELS, {}).items()}
    known = [name for name in listed if name in BUILT_IN or name in packaged]
    merged |= {"dimensions": known or ["lifecycle"], "rule_dimensions": {}, MODELS: packaged}
    settings = settings_of(merged, base)
    for each in reversed(definitions):  # all that look at attributes look at the same: they are a fact setting
        if attributes_of(each.content):
            ruled = settings_of(each.content, base)
            names = [name for name in ruled.dimensions if name in ruled.rule_dimensions]
            rules = {"rule_dimensions": ruled.rule_dimensions, "rfm": ruled.rfm}
            return settings.model_copy(update=rules | {"dimensions": (*settings.dimensions, *names)})
    return settings


def facts_of(content: Content) -> dict[str, Any]:
    """The fact settings of a definition by path; a dimension with facts of its own is one: what it counts is there."""
    found: dict[str, Any] = {}
    for path in FACT_SETTINGS:
        section, _, name = path.partition(".")
        if section in content and _looks_at(content, path):
            found[path] = content[section][name] if name else content[section]
    attributes = attributes_of(content)
    found |= {"attributes": attributes} if attributes else {}
    found |= {f"dimensions.{name}": True for name in content["dimensions"] if has_facts(name)}
    packaged = content.get(MODELS, {}).items()
    return found | {f"dimensions.{name}": held["facts"] for name, held in packaged if held["facts"]}


def attributes_of(content: Content) -> list[str]:
    """The attributes that the rules of a definition look at: only these are remembered."""
    if not content.get("rule_dimensions"):
        return []
    return list(_validated(content).attributes())


def _looks_at(content: Content, path: str) -> bool:
    """Whether a dimension that is on looks at the facts of a setting; those of a section that is off are not there."""
    on = BUILT_IN.keys() & set(content["dimensions"])
    windowed = "rfm" in content["dimensions"] and content["rfm"]["window"] is not None
    by_alerts = bool(content.get("alerts", {}).get("last_12_months"))
    looks = {
        "slot": windowed or by_alerts or any("slot" in BUILT_IN[name].fact_settings for name in on),
        "rfm.window": windowed,
        "alerts.last_12_months": by_alerts,
    }
    return looks.get(path, True)


def has_facts(dimension: str) -> bool:
    """Whether a dimension remembers something that is remembered for it alone."""
    section = SECTIONS.get(dimension)
    return section is not None and len(section.names or ()) > len(("label", "since_us"))


def fact_differences(old: Content, new: Content) -> list[Difference]:
    """The facts that `new` needs and `old` lacks or has otherwise. To need less is no difference."""
    held, wanted = facts_of(old), facts_of(new)
    return [
        Difference(path=path, before=held.get(path), after=value)
        for path, value in wanted.items()
        if held.get(path) != value
    ]


def differences(old: Content, new: Content, path: str = "") -> list[Difference]:
    """Each setting that differs."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{path}{name}.")
        elif before != after:
            found.append(Difference(path=f"{path}{name}", before=before, after=after))
    return found
