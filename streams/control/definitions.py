"""Definitions: the settings that decide labels, and the part of them that shapes stored facts.

This is the one place that tells *label settings* from *fact settings*. Label settings (thresholds, rules, grids,
dimensions whose facts are kept) may change: customers are classified again. Fact settings shape the totals that records
hold. They cannot change in place, as records hold nothing but the totals. What was not kept begins empty where that is
said: attributes, and the facts of models that `facts` names.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from segflow.schemas.settings import BUILT_IN, HOW_IT_RUNS, Facts, Settings, with_models
from segflow.segments.plugins import as_written, written
from segflow.state.layout import SECTIONS

RECUTS_NEED: Final = frozenset({"lifecycle", "rfm"})
"""Sections that are part of every definition: re-cuts look at them, whatever dimensions are on."""
MODELS: Final = "models"
"""In a definition: what it keeps of models of other packages, where it has any (segments/plugins.py)."""
FACTS: Final = "facts"
"""In a definition: what facts are kept, where that is more than those of its dimensions."""
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


def definition_of(settings: Settings, held: Content | None = None) -> Content:
    """The definition: those settings that decide labels and facts.

    Sections of dimensions that are off are left out, but for what is in facts that are kept.

    Args:
        settings: the settings.
        held: the definition in force, which says what facts are kept where `settings` do not. None: there is none.
    """
    models = settings.declarations()
    asked = settings.facts.models is not None or held is None
    kept = sorted(settings.models_kept()) if asked else models_ahead(held or {})
    off = set(models) - set(settings.dimensions) - RECUTS_NEED
    off |= set() if FITTED & set(settings.dimensions) else {"parameters"}
    off |= set() if settings.rule_dimensions else {"rule_dimensions"}
    content = settings.model_dump(mode="json", exclude={*HOW_IT_RUNS, *off, FACTS})
    content |= _fact_settings(settings, off & {*kept})
    ahead = sorted({*settings.facts.attributes})
    if kept or ahead:  # else as it was before there was a choice: older workers read it
        content[FACTS] = {"models": kept, "attributes": ahead}
    packaged = {name: written(models[name]) for name in settings.dimensions if name in models and models[name].package}
    content |= {MODELS: packaged} if packaged else {}
    plain: Content = json.loads(json.dumps(content, sort_keys=True))
    return plain


def _fact_settings(settings: Settings, models: set[str]) -> Content:
    """The fact settings of some built-in models, without their other settings."""
    found: Content = {}
    for name in models:
        paths = [path.split(".") for path in BUILT_IN[name].fact_settings if "." in path]
        if paths:
            found[name] = getattr(settings, name).model_dump(mode="json", include={field for _, field in paths})
    return found


def models_ahead(content: Content) -> list[str]:
    """The built-in models whose facts are kept under a definition whether or not they are on."""
    return list(content.get(FACTS, {}).get("models", ()))


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
    """A definition as this version reads it.

    The schedule of re-cuts stood in `rfm` while only that had them. Facts were kept of listed dimensions alone while
    nothing was said of them.
    """
    content = content | {FACTS: {"models": ()} | content.get(FACTS, {})}
    rfm = dict(content["rfm"])
    if "recut_every" not in rfm:
        return content
    recut = {"every": rfm.pop("recut_every"), "min_population": rfm.pop("min_population")}
    return content | {"rfm": rfm, "recut": recut}


def whole(definitions: list[Definition], base: Settings) -> Settings:
    """The latest of `definitions`, with every fact that ever was kept: what decoding needs for each of them."""
    merged: Content = {}
    for each in definitions:
        merged |= each.content
    listed = dict.fromkeys(name for each in definitions for name in each.content["dimensions"])
    packaged = {name: held for each in definitions for name, held in each.content.get(MODELS, {}).items()}
    known = [name for name in listed if name in BUILT_IN or name in packaged]
    merged |= {"dimensions": known or ["lifecycle"], "rule_dimensions": {}, MODELS: packaged, FACTS: {}}
    attributes = {name for each in definitions for name in attributes_of(each.content)}
    facts = Facts.model_construct(  # there may have been more attributes than there may be at once
        models=tuple(sorted({name for each in definitions for name in models_ahead(each.content)})),
        attributes=tuple(sorted(attributes)),
    )
    return settings_of(merged, base).model_copy(update={FACTS: facts})


def facts_of(content: Content) -> dict[str, Any]:
    """The fact settings of a definition by path; a dimension with facts of its own is one: what it counts is there."""
    found: dict[str, Any] = {}
    for path in FACT_SETTINGS:
        section, _, name = path.partition(".")
        if section in content and _looks_at(content, path):
            found[path] = content[section][name] if name else content[section]
    found |= {f"dimensions.{name}": True for name in _kept(content) if has_facts(name)}
    packaged = content.get(MODELS, {}).items()
    return found | {f"dimensions.{name}": held["facts"] for name, held in packaged if held["facts"]}


def attributes_of(content: Content) -> list[str]:
    """The attributes that are remembered under a definition."""
    if not content.get("rule_dimensions"):
        return list(content.get(FACTS, {}).get("attributes", ()))
    return list(_validated(content).attributes())


def _kept(content: Content) -> list[str]:
    """The built-in models whose facts are kept."""
    named = BUILT_IN.keys() & {*content["dimensions"], *models_ahead(content)}
    needed = {other for name in named for other in BUILT_IN[name].needs}
    return [name for name in BUILT_IN if name in named | needed]


def _looks_at(content: Content, path: str) -> bool:
    """Whether the facts that are kept are shaped by a setting; those of a section that is off are not there."""
    on = _kept(content)
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


def fact_differences(definitions: Sequence[Content], new: Content) -> list[Difference]:
    """The facts that `new` keeps and that records cannot have. To keep less is no difference.

    Those are facts shaped by another value than any of `definitions` had, the latest of which comes last: commits of
    the past are done again with one. And those that the latest lacks, but for what may begin empty (`begun`).
    """
    before, wanted = [facts_of(each) for each in definitions], facts_of(new)
    begin = begun(definitions[-1], new)
    found = []
    for path, value in wanted.items():
        others = [facts[path] for facts in before if facts.get(path, value) != value]
        if others or not (path in before[-1] or path in begin):
            found.append(Difference(path=path, before=others[-1] if others else None, after=value))
    return found


def begun(old: Content, new: Content) -> list[str]:
    """The paths of what is kept from `new` on, was not under `old`, and may begin empty."""
    held = facts_of(old)
    found = [f"attributes.{name}" for name in attributes_of(new) if name not in attributes_of(old)]
    models = [BUILT_IN[name] for name in models_ahead(new)]
    begin = {path for model in models for path in (f"dimensions.{model.name}", *model.fact_settings)}
    begin |= {f"dimensions.{name}" for model in models for name in model.needs}
    return [*found, *(path for path in facts_of(new) if path in begin and path not in held)]


def began(definitions: Sequence[Definition]) -> dict[str, Definition]:
    """Of what is kept under the latest definition, by its name, what does not reach back to the first.

    Returns:
        The definition from which on it is kept, by dimension, or `attributes.<name>`.
    """
    kept = [set(_names_kept(each.content)) for each in definitions]
    found = {}
    for name in _names_kept(definitions[-1].content):
        since = next((place for place in range(len(kept) - 1, -1, -1) if name not in kept[place]), -1) + 1
        if since:
            found[name] = definitions[since]
    return found


def _names_kept(content: Content) -> list[str]:
    """All that is kept under a definition: models with facts of their own, by dimension, and attributes."""
    models = [name for name in _kept(content) if has_facts(name)]
    return [*models, *(f"attributes.{name}" for name in attributes_of(content))]


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
