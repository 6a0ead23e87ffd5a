"""Models of other packages: found by name, held by name in the record and in the definition, refused by name."""

import importlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials

from segflow.engine.advance import forecast, silence
from segflow.engine.advance.erasures import start_labels
from segflow.operations.explanation import explanations
from segflow.schemas.model_error import ModelError
from segflow.schemas.rule_dimensions import key_of
from segflow.schemas.settings import Settings
from segflow.segments.customer_model import CustomerModel
from segflow.segments.model_law import LawError, check_law
from segflow.segments.rules import from_settings
from segflow.state import record
from segflow.state.customers import Customers
from segflow.state.merging import merge
from segflow.streams.control.definitions import definition_of, differences, fact_differences, settings_of
from segflow.streams.control.topic import Control
from tests.support.command import segflow
from tests.support.events import Log
from tests.support.histories import histories
from tests.support.lockstep import Engine
from tests.support.packages import EXAMPLE, Packages, packages

__all__ = ["packages"]

CODE = EXAMPLE.read_text(encoding="utf-8")
SATURDAY, SUNDAY, MONDAY = "2024-03-02", "2024-03-03", "2024-03-04"


def purchase(number: int, day: str, customer: str = "c") -> dict[str, Any]:
    """A purchase at noon."""
    event = {"type": "purchase", "event_id": f"p{number}", "customer_id": customer, "order_id": "o", "amount": "5"}
    return event | {"occurred_at": f"{day}T12:00:00Z"}


LOG = [purchase(1, SATURDAY), purchase(2, SUNDAY), purchase(3, MONDAY), purchase(4, SUNDAY)]


def listed(**own: Any) -> Settings:
    """Settings that list the example's model."""
    return Settings.of({"dimensions": ["lifecycle", "weekend_buyer"], "weekend_buyer": own})


def written(folder: Path, content: dict[str, Any]) -> Path:
    """A settings file."""
    path = folder / "segflow.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def read(engine: Engine, settings: Settings, customer: str = "c") -> Customers:
    """A customer's record, as these settings have it."""
    rules = from_settings(settings)
    return record.decode([customer], engine.shard.store.load([customer]), start_labels(rules), 0, rules.kept)


def test_a_model_of_a_package_is_a_dimension_like_any_other(packages: Packages, tmp_path: Path) -> None:
    """By event and by silence, with settings of its own, behind the others, and a rule may look at it."""
    packages.install(CODE)
    rules = {"rules": [{"label": "yes", "when": "weekend_buyer == 'weekends'"}], "otherwise": "no"}
    settings = written(
        tmp_path,
        {
            "clock": "event",
            "dimensions": {"lifecycle": None, "weekend_buyer": None, "mail_on_friday": rules},
            "weekend_buyer": {"lasts": "10d"},
        },
    )
    log, out = tmp_path / "log.jsonl", tmp_path / "out.jsonl"
    log.write_text("".join(json.dumps(event) + "\n" for event in LOG), encoding="utf-8")
    result = segflow("run", log, "--settings", settings, "--until", "2024-05-01T00:00:00Z", "--output", out)
    assert result.code == 0, result.err
    changes = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    found = [(each["dimension"], each["current"], each["effective_at"], each["cause"]["kind"]) for each in changes]
    assert [each for each in found if each[0] != "lifecycle"] == [
        ("weekend_buyer", "mixed", "2024-03-04T12:00:00Z", "event"),
        ("weekend_buyer", "weekends", "2024-03-04T12:00:00Z", "late"),
        ("mail_on_friday", "yes", "2024-03-04T12:00:00Z", "late"),
        ("weekend_buyer", "unknown", "2024-03-14T12:00:00Z", "time"),
        ("mail_on_friday", "no", "2024-03-14T12:00:00Z", "time"),
    ]


def test_its_words_stand_before_its_label(packages: Packages) -> None:
    """As of every model, and the next label with its time."""
    packages.install(CODE)
    settings = listed()
    engine = Engine(settings)
    engine.feed(LOG)
    customers = read(engine, settings)
    (_, found) = explanations(customers, from_settings(settings), "EUR", engine.shard.head.clock_us)
    assert found.because == ["3 of 4 purchases were made on weekends.", "The weekend_buyer is weekends."]
    assert (found.next_label, found.next_at) == ("unknown", "2024-06-02T12:00:00Z")


@pytest.mark.slow
@given(log=histories(25, varied=True))
@trials(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_give_what_the_functions_give_one_by_one(packages: Packages, log: Log) -> None:
    """Facts of any history, aliases and erases too, and labels, whatever the batches; and the record keeps them."""
    packages.install(CODE)
    settings = listed(min_purchases=1)
    rules = from_settings(settings)
    whole, parts = Engine(settings), Engine(settings)
    whole.feed(log)
    for event in log:
        parts.feed([event])
    whole.sweep()
    parts.sweep()
    model = importlib.import_module("weekend_buyer").MODEL
    for customer in {event["customer_id"] for event in log}:
        customers = read(whole, settings, customer)
        assert read(parts, settings, customer).sections["weekend_buyer"] == customers.sections["weekend_buyer"]
        facts, at_us = customers.facts(slice(None)), customers.fixed["concluded_us"]
        kept = facts.own["weekend_buyer.on_weekends"].tolist()
        one = model.all_facts()(*(getattr(facts, name)[0].item() for name in model.all_facts()._fields[:6]), *kept)
        own = model.own(settings.weekend_buyer, None)  # type: ignore[attr-defined]  # a section that mypy cannot know
        expected = model.classify(own, one, int(at_us[0])) if one.purchases else 0
        assert customers.labels(rules.names)[0, 1] == expected
        stored = whole.shard.store.load([customer])
        assert stored[0] is None or record.encode(customers) == stored


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import numpy as np", "import numpi as np", "cannot be loaded: ModuleNotFoundError: No module named 'numpi'"),
        ("MODEL = CustomerModel(", "MODEL = dict(", "weekend_buyer:MODEL is a dict, and should be a CustomerModel"),
        ('name="weekend_buyer"', 'name="weekend"', "the entry point and the model must have one name, the model's is"),
        ('version="1"', 'version=""', "name, version and labels must be texts"),
        ("settings=WeekendBuyer", "settings=dict", "settings must be a class made of segflow's Section"),
        ("labels=LABELS", "labels=('a', 'a')", "it must have 1 to 254 different labels"),
        ("labels=LABELS", "labels=tuple(f'l{k}' for k in range(255))", "it must have 1 to 254 different labels"),
        (
            'Fact("on_weekends", np.uint32)',
            "*(Fact(f'f{k}', np.int64) for k in range(9))",
            "its facts take 72 bytes, at most 64 are possible",
        ),
        ('"on_weekends", np.uint32', '"on_weekends", np.float32', "the fact on_weekends must be one of uint8"),
        ('"on_weekends", np.uint32', '"purchases", np.uint32', "all models have purchases already"),
        ('"on_weekends", np.uint32', '"on weekends", np.uint32', "a fact cannot be called on weekends"),
        ("    merge=merge,\n", "", "merge must be a function"),
        ("classify=classify", "classify=None", "classify must be a function"),
    ],
)
def test_a_package_that_is_wrong_is_refused_by_name_when_settings_are_read(
    packages: Packages, tmp_path: Path, old: str, new: str, message: str
) -> None:
    """One message and exit code 2, whatever is wrong with it."""
    assert old in CODE
    packages.install(CODE.replace(old, new, 1))
    settings = written(tmp_path, {"dimensions": ["weekend_buyer"]})
    result = segflow("run", "nothing.jsonl", "--settings", settings)
    assert result.code == 2
    assert message in result.err
    assert "the model weekend" in result.err
    assert "segflow-weekend-buyer" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    share = facts", "    share = 1 / 0 + facts", "`classify` raised ZeroDivisionError: division by zero"),
        ("return WEEKENDS if", "return 7 if", "`classify` gave 7, which is the place of no label"),
        ("NEVER if label == UNKNOWN else after(facts.last_us", "after(facts.first_us", "`deadline` gave"),
        ("NEVER if label == UNKNOWN", "at_us if label == 0", "`deadline` raised NameError"),
        (
            "kept._replace(on_weekends=kept.on_weekends + (",
            "kept._replace(on_weekends=kept.on_weekends - (",
            "`apply` gave",
        ),
        ("    weekend = (", "    return None\n    weekend = (", "`apply` gave what cannot be kept"),
    ],
)
def test_a_model_that_goes_wrong_ends_the_run_by_name(
    packages: Packages, tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Not before it is asked, and then with what it was asked: one message, no traceback."""
    assert old in CODE
    packages.install(CODE.replace(old, new, 1))
    settings = written(tmp_path, {"dimensions": ["weekend_buyer"], "weekend_buyer": {"lasts": "1h"}})
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(event) + "\n" for event in LOG), encoding="utf-8")
    result = segflow("run", log, "--settings", settings, "--output", tmp_path / "out.jsonl")
    assert result.code == 2
    assert message in result.err
    assert "the model weekend_buyer 1 (package segflow-weekend-buyer)" in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out.jsonl").exists()


def test_silence_without_an_end_is_the_model_s_fault(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline a microsecond ahead, for ever: it ends after so many, by name, when events come and when one looks."""
    packages.install(CODE.replace("NEVER if label == UNKNOWN else", "_at_us + 1 if label == UNKNOWN else"))
    monkeypatch.setattr(silence, "STEPS_MAX", 50)
    monkeypatch.setattr(forecast, "STEPS_MAX", 50)
    settings = listed()
    with pytest.raises(ModelError, match="the model weekend_buyer: 50 deadlines of one customer, and another one"):
        Engine(settings).feed([purchase(1, SATURDAY)])
    rules = from_settings(settings)
    pending = silence.Silence(Customers.unknown(["c"], start_labels(rules), 0, rules.kept))
    pending.due_us[:] = 0
    with pytest.raises(ModelError, match="the model weekend_buyer"):
        pending.pass_until(
            rules, np.array([0]), np.array([10**15]), lambda rows, at_us, _: pending.expect(rows, at_us + 1)
        )


def test_a_wrong_setting_of_a_model_is_told_like_any_other(packages: Packages, tmp_path: Path) -> None:
    """With its path; and what no package has, is nothing known."""
    packages.install(CODE)
    for own, message in (
        ({"min_purchases": 0}, "weekend_buyer.min_purchases: Input should be greater than or equal to 1"),
        ({"lats": "1d"}, "weekend_buyer.lats: is no setting"),
    ):
        settings = written(tmp_path, {"dimensions": ["weekend_buyer"], "weekend_buyer": own})
        result = segflow("run", "nothing.jsonl", "--settings", settings)
        assert (result.code, message in result.err) == (2, True), result.err
    packages.uninstall()
    settings = written(tmp_path, {"dimensions": ["lifecycle", "weekend_buyer"]})
    result = segflow("run", "nothing.jsonl", "--settings", settings)
    assert result.code == 2
    assert "dimensions.weekend_buyer: is no dimension and has no rules" in result.err
    assert "no installed package has a model of that name" in result.err


def test_two_packages_with_one_model_are_refused(packages: Packages) -> None:
    """Both are named."""
    packages.install(CODE)
    packages.install(CODE, package="another-weekend")
    with pytest.raises(ModelError, match="several packages have one, another-weekend, segflow-weekend-buyer"):
        listed()


@pytest.mark.parametrize("name", ["idle", "kafka", "conditions", "window", "attributes", "rules", "refunds"])
def test_a_model_cannot_take_a_name_that_means_something_already(packages: Packages, name: str) -> None:
    """Of facts in rules, of settings, of the record."""
    packages.install(CODE.replace('name="weekend_buyer"', f'name="{name}"'), name=name, package="taken")
    with pytest.raises((ModelError, ValueError), match=name):
        Settings.of({"dimensions": [name]})


def test_a_record_keeps_what_is_not_read(packages: Packages) -> None:
    """While the package is absent: byte by byte, through a merge too, and an erase forgets it."""
    packages.install(CODE)
    engine = Engine(listed())
    engine.feed(
        [*LOG, *(purchase(number, SATURDAY, "other") for number in range(10, 13)), purchase(20, MONDAY, "plain")]
    )
    (stored, other, none) = engine.shard.store.load(["c", "other", "plain"])
    assert stored is not None
    packages.uninstall()
    plain = from_settings(Settings(dimensions=("lifecycle",)))
    found = record.decode(["c", "other", "plain"], [stored, other, none], start_labels(plain), 0, plain.kept)
    assert record.encode(found) == [stored, other, none]
    found.keep(plain.kept)
    assert record.encode(found) == [stored, other, none]
    assert record.encode(found.take(np.array([1, 0]))) == [other, stored]
    key = key_of("weekend_buyer").to_bytes(4, "little")
    assert [key in value for value in record.encode(found)] == [True, True, False]
    both = found.take(np.array([2, 0]))
    merge(both, np.array([0]), both.take(np.array([1])), 0)
    assert key in record.encode(both)[0]
    both.forget(np.array([0]), start_labels(plain), 0)
    assert key not in record.encode(both)[0]
    packages.install(CODE)
    assert read(engine, listed()).facts(slice(None)).own["weekend_buyer.on_weekends"].tolist() == [3]


def test_a_record_is_as_it_was_where_no_package_has_a_model(packages: Packages) -> None:
    """Listed or not, a model that knows nothing of a customer takes no byte."""
    packages.install(CODE)
    with_model, without = Engine(listed()), Engine(Settings(dimensions=("lifecycle",)))
    for engine in (with_model, without):
        engine.feed([purchase(1, MONDAY)])
    assert with_model.shard.store.load(["c"]) == without.shard.store.load(["c"])


def test_a_definition_has_the_version_of_the_model(packages: Packages) -> None:
    """Its labels and facts too; without such a model it says nothing of any."""
    packages.install(CODE)
    settings = listed(min_purchases=2)
    content = definition_of(settings)
    assert content["models"] == {
        "weekend_buyer": {
            "package": "segflow-weekend-buyer",
            "version": "1",
            "labels": ["unknown", "weekdays", "mixed", "weekends"],
            "facts": [["weekend_buyer.on_weekends", "uint32"]],
        }
    }
    assert content["weekend_buyer"] == {"min_purchases": 2, "lasts": "90d"}
    again = settings_of(content, Settings(clock="event"))
    assert (definition_of(again), again.clock) == (content, "event")
    plain = definition_of(Settings(dimensions=("lifecycle",)))
    assert "models" not in plain
    assert [each.path for each in fact_differences([plain], content)] == ["dimensions.weekend_buyer"]
    packages.install(CODE.replace('version="1"', 'version="2"'))
    told = [str(each) for each in differences(content, definition_of(listed(min_purchases=2)))]
    assert told == ['models.weekend_buyer.version was "1", is "2"']


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (None, "it is not installed here"),
        (
            CODE.replace('version="1"', 'version="2"'),
            "version 2 of the package segflow-weekend-buyer is installed here",
        ),
        (CODE.replace('"mixed"', '"both"'), "has that version, and other labels or facts"),
        (CODE.replace("import numpy", "import numpi"), "No module named 'numpi'"),
    ],
)
def test_a_definition_in_force_whose_model_is_not_here_is_refused_by_name(
    packages: Packages, code: str | None, problem: str
) -> None:
    """The message says what to install. One that is in force no more is no hindrance, until it is needed."""
    packages.install(CODE)
    content, plain = definition_of(listed()), definition_of(Settings(dimensions=("lifecycle",)))
    packages.uninstall()
    if code is not None:
        packages.install(code)
    control = Control(Settings(dimensions=("lifecycle",)))
    records = [{"kind": "definition", "content": each} for each in (content, plain)]
    control._take(0, json.dumps(records[0]).encode(), 0)
    with pytest.raises(ModelError) as error:
        control._check_models()
    for text in ("the model weekend_buyer, version 1 of the package segflow-weekend-buyer", problem, "Install that"):
        assert text in str(error.value)
    assert control.definitions[0].content == content
    control._take(1, json.dumps(records[1]).encode(), 0)
    control._check_models()
    old = control.rule_versions.rules(0)
    nobody = Customers.unknown(["c"], start_labels(from_settings(Settings())), 0).facts(slice(None))
    with pytest.raises(ModelError, match="version 1 of the package"):
        old.classify(nobody, np.array([0]))


def test_the_law_is_checked_for_whoever_writes_a_model(packages: Packages) -> None:
    """The example keeps it; whoever breaks it is told how."""
    packages.install(CODE)
    module = importlib.import_module("weekend_buyer")
    model: CustomerModel[Any] = module.MODEL
    for section in (None, module.WeekendBuyer(min_purchases=1, lasts=timedelta(seconds=1))):
        check_law(model, section, customers=60)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("NEVER if label == UNKNOWN else after(facts.last_us, own.lasts_us)", "NEVER", "before it"),
        ("NEVER if label == UNKNOWN else after(facts.last_us, own.lasts_us)", "_at_us", "which is not after"),
        ("NEVER if label == UNKNOWN else", "_at_us + 1 if label == UNKNOWN else", "another one behind them"),
        ("kept.on_weekends + other.on_weekends", "other.on_weekends", "is not what all events give one"),
        ("kept.on_weekends + (event.type", "event.occurred_us * (event.type", "matters to `apply`"),
        ("return WEEKENDS if", "return -1 if", "which is the place of no label"),
    ],
)
def test_a_model_that_breaks_the_law_is_found(packages: Packages, old: str, new: str, message: str) -> None:
    """Whatever it breaks."""
    assert old in CODE
    packages.install(CODE.replace(old, new, 1))
    with pytest.raises(LawError, match=message):
        check_law(importlib.import_module("weekend_buyer").MODEL)
