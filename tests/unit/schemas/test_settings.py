"""Settings: nonsense is refused with its place and the reason, and secrets are shown nowhere."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas import duration
from segflow.schemas.settings import DEFINITION_BYTES_MAX, Settings
from segflow.schemas.settings_file import ENVIRONMENT, SettingsError, load, parse
from segflow.streams.control.definitions import definition_of
from tests.support.trials import trials

HIDDEN = "hunter2"

NONSENSE: list[tuple[str, str, str]] = [
    # YAML, path in it, words of the reason
    ("clock: sundial", "clock", "'wall' or 'event'"),
    ("currency: eur", "currency", "pattern"),
    ("currency: EURO", "currency", "pattern"),
    ("rates: {EUR: 1}", "", "rates must not have EUR"),
    ("rates: {USD: 0}", "rates.USD", "greater than 0"),
    ("rates: {USD: -1.5}", "rates.USD", "greater than 0"),
    ("rates: {USD: .nan}", "rates.USD", "finite"),
    ("rates: {USD: 1000000000}", "rates.USD", "less than 1000000000"),
    ("rates: {usd: 1}", "rates.usd", "pattern"),
    ("rates: {USD: cheap}", "rates.USD", "decimal"),
    ("dimensions: []", "dimensions", "at least 1"),
    ("dimensions: [rfm, rfm]", "", "dimensions must not repeat"),
    ("dimensions: [shoe_size]", "dimensions.shoe_size", "there are lifecycle, rfm, "),
    ("dimensions: [price, rfm, price]", "", "dimensions must not repeat"),
    ("dimensions: rfm", "dimensions", "tuple"),
    ("holdout_share: 1.1", "holdout_share", "less than or equal to 1"),
    ("holdout_share: -0.1", "holdout_share", "greater than or equal to 0"),
    ("holdout_share: .nan", "holdout_share", "less than or equal to 1"),
    ("holdout_share: true", "holdout_share", "valid number"),
    ("holdout_share: 10%", "holdout_share", "valid number"),
    ("lifecycle: {at_risk_after: 60}", "lifecycle.at_risk_after", "60 is no duration: write a whole number and a unit"),
    ("lifecycle: {at_risk_after: 60 days}", "lifecycle.at_risk_after", "as in 60d"),
    ("lifecycle: {at_risk_after: 1.5d}", "lifecycle.at_risk_after", "no duration"),
    ("lifecycle: {at_risk_after: -1d}", "lifecycle.at_risk_after", "no duration"),
    ("lifecycle: {at_risk_after: }", "lifecycle.at_risk_after", "no duration"),
    ("lifecycle: {churned_after: 999999999d}", "lifecycle.churned_after", "longer than the calendar, 3652059d"),
    ("lifecycle: {churned_after: 999999999w}", "lifecycle.churned_after", "longer than the calendar, 3652059d"),
    ("lifecycle: {at_risk_after: 180d}", "lifecycle", "above zero and below churned_after"),
    ("lifecycle: {at_risk_after: 0d}", "lifecycle", "above zero and below churned_after"),
    ("lifecycle: {reactivated_for: 0s}", "lifecycle", "reactivated_for must be above zero"),
    ("lifecycle: {loyal_orders: 0}", "lifecycle.loyal_orders", "greater than or equal to 1"),
    ("lifecycle: {loyal_orders: 2.5}", "lifecycle.loyal_orders", "valid integer"),
    ("lifecycle: {loyal_orders: true}", "lifecycle.loyal_orders", "valid integer"),
    ("lifecycle: {loyal_orders: five}", "lifecycle.loyal_orders", "valid integer"),
    ("lifecycle: {loyal_orders: 99999999999999999999}", "lifecycle.loyal_orders", "less than or equal to 1000000000"),
    ("lifecycle: [60d]", "lifecycle", "must be a section: names with their values"),
    ("rfm: {cuts: guessed}", "rfm.cuts", "'fixed' or 'quantile'"),
    ("rfm: {window: 27d}", "", "rfm.window must be one slot or more, and fewer than 41: of 4w each (slot), 27d are 0"),
    ("rfm: {window: 1148d}", "", "164w are 41"),
    ("{rfm: {window: 365d}, slot: 8d}", "", "rfm.window must be one slot or more, and fewer than 41"),
    ("rfm: {window: none}", "rfm.window", "no duration"),
    ("slot: 23h", "", "slot must be a day or more and at most 366d"),
    ("slot: 367d", "", "slot must be a day or more and at most 366d"),
    ("rfm: {grid: [[a, a, a, a, a]]}", "rfm.grid.1", "Field required"),
    ("rfm: {grid: [[a, a], [a], [a], [a], [a]]}", "rfm.grid.0.2", "Field required"),
    (f"rfm: {{grid: {[['none'] * 5] * 5}}}", "rfm", "must not use the label none"),
    (f"rfm: {{grid: {[['Big Spender'] * 5] * 5}}}", "rfm.grid.0.0", "pattern"),
    ("rfm: {fixed: {recency: [1d, 2d, 3d]}}", "rfm.fixed.recency.3", "Field required"),
    ("rfm: {fixed: {recency: [1d, 2d, 2d, 3d]}}", "rfm.fixed", "recency must be four ascending thresholds"),
    ("rfm: {fixed: {recency: [0d, 1d, 2d, 3d]}}", "rfm.fixed", "recency must be above zero"),
    ("rfm: {fixed: {frequency: [4, 3, 2, 1]}}", "rfm.fixed", "frequency must be four ascending thresholds"),
    ("rfm: {fixed: {frequency: [0, 1, 2, 3]}}", "rfm.fixed.frequency.0", "greater than or equal to 1"),
    ("rfm: {fixed: {frequency: [1, 2, 3, 99999999999999999999]}}", "rfm.fixed.frequency.3", "less than or equal"),
    ("rfm: {fixed: {monetary: [1, 1, 2, 3]}}", "rfm.fixed", "monetary must be four ascending thresholds"),
    ("rfm: {fixed: {monetary: [1, 2, 3, .inf]}}", "rfm.fixed.monetary.3", "finite"),
    ("rfm: {fixed: {monetary: [1, 2, 3, 1.0e+30]}}", "rfm.fixed.monetary.3", "less than 1000000000000"),
    ("rfm: {fixed: {monetary: [1, 2, 3, true]}}", "rfm.fixed.monetary.3", "Decimal"),
    ("price: {min_purchases: 0}", "price.min_purchases", "greater than or equal to 1"),
    ("price: {sensitive_from: 1.5}", "price.sensitive_from", "less than or equal to 1"),
    ("price: {sensitive_from: 0.66667}", "price.sensitive_from", "no more than 4 decimal places"),
    ("price: {sensitive_from: 0.2}", "price", "full_price_up_to must be below sensitive_from"),
    ("cadence: {of_slots: 65}", "cadence.of_slots", "less than or equal to 64"),
    ("cadence: {regular_slots: 0}", "cadence.regular_slots", "greater than or equal to 1"),
    ("cadence: {regular_slots: 7}", "cadence", "regular_slots must not be above of_slots"),
    ("satisfaction: {promoter_from: 11}", "satisfaction.promoter_from", "less than or equal to 10"),
    ("satisfaction: {passive_from: 9}", "satisfaction", "passive_from must be below promoter_from"),
    ("satisfaction: {unknown_after: 0d}", "satisfaction.unknown_after", "must be above zero"),
    ("engagement: {visitor_from: 0}", "engagement.visitor_from", "greater than 0"),
    ("engagement: {active_from: 20.0}", "engagement", "visitor_from must be below active_from"),
    ("engagement: {core_from: .inf}", "engagement.core_from", "less than or equal to 1000000000000"),
    ("engagement: {half_life: 999ms}", "engagement", "half_life must be a second or more"),
    ("engagement: {weights: {view: -1.0}}", "engagement.weights.view", "greater than or equal to 0"),
    ("engagement: {weights: {view: .nan}}", "engagement.weights.view", "less than or equal to 1000000"),
    ("engagement: {weights: {'': 1.0}}", "engagement.weights", "at least 1 character"),
    ("engagement: {other_weight: heavy}", "engagement.other_weight", "valid number"),
    ("value: {a_up_to: 0.9}", "value", "a_up_to must be above zero and below b_up_to"),
    ("value: {a_up_to: 0}", "value", "a_up_to must be above zero and below b_up_to"),
    ("value: {b_up_to: 1.1}", "value.b_up_to", "less than or equal to 1"),
    ("value: {cuts: quantile}", "value.cuts", "'share' or 'fixed'"),
    ("value: {fixed: {b_from: 1000}}", "value.fixed", "b_from must be below a_from"),
    ("recut: {min_population: 0}", "recut.min_population", "greater than or equal to 1"),
    ("recut: {every: 59s}", "recut", "every must be a minute or more"),
    ("churn: {low_from: 0.3}", "churn", "high_from must be below medium_from"),
    ("churn: {high_from: 0}", "churn.high_from", "greater than 0"),
    ("churn: {low_from: 1}", "churn.low_from", "less than 1"),
    ("churn: {one_time: {medium_from: 0.05}}", "churn.one_time", "high_from must be below medium_from"),
    ("parameters: {mbg_nbd: {r: 0}}", "parameters.mbg_nbd.r", "greater than or equal to 0.001"),
    ("parameters: {mbg_nbd: {a: .nan}}", "parameters.mbg_nbd.a", "finite number"),
    ("parameters: {mbg_nbd: {b: .inf}}", "parameters.mbg_nbd.b", "finite number"),
    ("parameters: {mbg_nbd: {alpha_weeks: 1.0e+10}}", "parameters.mbg_nbd.alpha_weeks", "or equal to 1000000000"),
    ("parameters: {gamma_gamma: {q: 1.0}}", "parameters.gamma_gamma.q", "greater than 1"),
    ("parameters: {gamma_gamma: {gamma: 0.0}}", "parameters.gamma_gamma.gamma", "greater than or equal to 0.000000001"),
    ("worker: {batch_max_records: 0}", "worker.batch_max_records", "greater than or equal to 1"),
    ("worker: {batch_max_records: 1000000}", "worker.batch_max_records", "less than or equal to 100000"),
    ("worker: {sweep_max_customers: 0}", "worker.sweep_max_customers", "greater than or equal to 1"),
    ("worker: {sweep_every: 0s}", "worker.sweep_every", "must be above zero"),
    ("worker: {session_timeout: 0s}", "worker.session_timeout", "must be above zero"),
    ("worker: {transaction_timeout: 0s}", "worker.transaction_timeout", "must be above zero"),
    ("worker: {record_max_bytes: 255}", "worker.record_max_bytes", "greater than or equal to 256"),
    ("worker: {watchdog_after: 0s}", "worker.watchdog_after", "must be above zero"),
    ("worker: {http_host: 'a b'}", "worker.http_host", "pattern"),
    ("worker: {http_port: 65536}", "worker.http_port", "less than or equal to 65535"),
    ("facts: some", "facts.models", "must be all, listed, or a list of built-in models"),
    ("facts: {models: [1]}", "facts.models", "must be all, listed, or a list of built-in models"),
    ("worker: 4", "worker", "must be a section: names with their values"),
    ("kafka: {address: ''}", "kafka.address", "host:port such as 127.0.0.1:9092"),
    ("kafka: {address: broker}", "kafka.address", "host:port such as 127.0.0.1:9092"),
    ("kafka: {address: 'a:1, b:2'}", "kafka.address", "host:port such as 127.0.0.1:9092"),
    ("kafka: {group: ''}", "kafka.group", "at least 1 character"),
    ("kafka: {partitioner: java}", "kafka.partitioner", "'murmur2' or 'crc32'"),
    ("kafka: {replication: 0}", "kafka.replication", "greater than or equal to 1"),
    ("kafka: {tls: perhaps}", "kafka.tls", "valid boolean"),
    ("kafka: {sasl: PLAIN}", "kafka", "needs username and password (SEGFLOW_KAFKA_USERNAME"),
    ("kafka: {sasl: GSSAPI}", "kafka.sasl", "'SCRAM-SHA-512'"),
    ("kafka: {topics: {purchases: a, changes: a}}", "kafka.topics", "every topic needs a name of its own"),
    ("kafka: {topics: {purchases: 'a b'}}", "kafka.topics.purchases", "pattern"),
    ("kafka: {password: 12345678}", "kafka.password", "valid string"),
    ("redis: {url: ''}", "redis.url", "such as redis://127.0.0.1:6379/0"),
    ("redis: {url: 'http://127.0.0.1'}", "redis.url", "such as redis://127.0.0.1:6379/0"),
    ("redis: {prefix: '{0}'}", "redis.prefix", "pattern"),
    ("redis: {timeout: 0s}", "redis.timeout", "must be above zero"),
    ("1: 2", "1", "string"),
    # unknown keys, at every depth
    ("clocks: wall", "clocks", "is no setting; see `segflow schemas`"),
    ("kafka: {adress: a}", "kafka.adress", "is no setting"),
    ("kafka: {topics: {purchase: a}}", "kafka.topics.purchase", "is no setting"),
    ("rfm: {fixed: {money: [1, 2, 3, 4]}}", "rfm.fixed.money", "is no setting"),
]


def file(folder: Path, text: str) -> Path:
    """A settings file with that text."""
    path = folder / "some.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "place", "reason"), NONSENSE, ids=[text for text, *_ in NONSENSE])
def test_nonsense_is_refused_with_its_place_and_the_reason(tmp_path: Path, text: str, place: str, reason: str) -> None:
    """The message names the file, the path within it, and what would be right."""
    path = file(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        load(path, environment={})
    lines = str(refused.value).splitlines()
    wanted = f"{path}: {place}" if place else f"{path}: "
    assert any(line.startswith(wanted) and reason in line for line in lines), lines
    assert all(line.startswith(f"{path}: ") for line in lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: b: c", "is no YAML: line 1, column 5: mapping values are not allowed"),
        ("clock: 'wall", "is no YAML: line 1, column 13"),
        ("\tclock: wall", "is no YAML: line 1, column 1"),
        ("clock: !!python/name:os.system x", "line 1, column 8: settings have no values with a tag of their own"),
        ("clock: \x01", "is no YAML: it has a character that YAML does not allow"),
        ("- clock", "must be a mapping such as 'clock: wall', found list"),
        ("wall", "must be a mapping such as 'clock: wall', found str"),
        ("5", "must be a mapping such as 'clock: wall', found int"),
    ],
)
def test_what_is_no_settings_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """With the file's name, and where in it."""
    path = file(tmp_path, text)
    with pytest.raises(SettingsError, match=re.escape(f"{path}: {reason}")):
        load(path, environment={})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a folder, or not UTF-8."""
    (tmp_path / "latin.yaml").write_bytes(b"currency: \xff")
    for name in ("missing.yaml", "", "latin.yaml"):
        with pytest.raises(SettingsError, match=re.escape(f"{tmp_path / name}: cannot be read")):
            load(tmp_path / name, environment={})


@pytest.mark.parametrize("text", ["", "# nothing\n", "kafka:\nredis:\nworker:\n", "{}"])
def test_every_setting_has_a_default(tmp_path: Path, text: str) -> None:
    """An empty file, and sections with nothing below them, are the defaults."""
    assert load(file(tmp_path, text), environment={}) == Settings()


def test_without_a_file_the_one_in_this_folder_is_taken_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """./segflow.yaml, else the defaults."""
    monkeypatch.chdir(tmp_path)
    assert load(environment={}) == Settings()
    (tmp_path / "segflow.yaml").write_text("clock: event", encoding="utf-8")
    assert load(environment={}).clock == "event"


def value_of(found: Settings, section: str, field: str) -> str:
    """A setting as text, out of its secret where it is one."""
    value = getattr(getattr(found, section), field)
    return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)


@pytest.mark.parametrize("variable", ENVIRONMENT)
@pytest.mark.parametrize("text", ["", "kafka:\nredis:\n", "kafka: {username: u}\nredis: {username: u}\n"])
def test_the_environment_wins_over_the_file(tmp_path: Path, variable: str, text: str) -> None:
    """Each variable sets its field, whatever the file says, and leaves the others alone."""
    section, field = ENVIRONMENT[variable]
    wanted = {"address": "broker:1", "url": "redis://other:1"}.get(field, "from the environment")
    path = file(tmp_path, text)
    found = load(path, environment={variable: wanted})
    assert value_of(found, section, field) == wanted
    plain = load(path, environment={variable: ""})  # set to nothing is not set
    assert found.model_copy(update={section: getattr(plain, section)}) == plain


def test_nonsense_in_the_environment_is_refused_as_in_the_file() -> None:
    """And where the file has nonsense in the variable's place, that is what is said."""
    with pytest.raises(SettingsError, match=r"settings: redis.url: must be a URL"):
        parse({}, name="settings", environment={"SEGFLOW_REDIS": "localhost"})
    with pytest.raises(SettingsError, match="f: kafka: must be a section"):
        parse({"kafka": 5}, name="f", environment={"SEGFLOW_KAFKA": "a:1"})


WITH_SECRETS: dict[str, Any] = {
    "kafka": {"sasl": "PLAIN", "username": "u", "password": HIDDEN},
    "redis": {"url": f"redis://:{HIDDEN}@localhost:6379/0", "username": "u", "password": HIDDEN},
}


def test_secrets_are_shown_nowhere() -> None:
    """Not in what Python prints of settings, whole or in part."""
    found = parse(WITH_SECRETS, name="f", environment={})
    for part in (found, found.kafka, found.redis, found.kafka.password, found.redis.password):
        assert HIDDEN not in f"{part!r} {part}"
    assert value_of(found, "kafka", "password") == HIDDEN


@pytest.mark.parametrize(
    "wrong",
    [
        "kafka: {password: hunter2, passwort: hunter2}",
        "kafka: {sasl: PLAIN, password: hunter2}",
        "kafka: {sasl: hunter, password: hunter2}",
        "kafka: {password: [hunter2]}",
        "redis: {url: 'https://:hunter2@localhost'}",
        "redis: {password: {a: hunter2}, timeout: 0s}",
        "kafka: {password: hunter2\nredis: {}",
        "kafka: {password: 'hunter2}",
        "kafka: {password: *hunter2}",
        "kafka: {password: !hunter2 x}",
        "kafka:\n  password: hunter2: x",
        'kafka: {password: "hunter2\\q"}',
        "kafka: {password: hunter2, username: \x01}",
        "kafka: {password: hunter2, password: [hunter2}",
    ],
)
def test_no_mistake_in_the_file_makes_a_message_show_a_password(tmp_path: Path, wrong: str) -> None:
    """Neither the message nor the errors it was made from."""
    with pytest.raises(SettingsError) as refused:
        load(file(tmp_path, wrong), environment={})
    error: BaseException | None = refused.value
    while error is not None:
        assert HIDDEN not in f"{error!r} {error}"
        error = error.__cause__


@given(
    span=st.timedeltas(timedelta(0), duration.LONGEST)
    | st.builds(
        lambda count, unit: count * duration.UNITS[unit], st.integers(0, 5000), st.sampled_from([*duration.UNITS])
    )
)
@trials(300)
def test_a_duration_is_read_back_from_its_text(span: timedelta) -> None:
    """The shortest text is the same span; a timedelta is one already."""
    text = duration.to_text(span)
    assert duration.parse(span) == span
    if re.fullmatch(r"\d{1,9}[a-z]+", text):
        assert duration.parse(text) == duration.parse(f" {text} ") == span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("60d", timedelta(days=60)),
        ("36h", timedelta(hours=36)),
        ("90s", timedelta(seconds=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("7us", timedelta(microseconds=7)),
        ("2w", timedelta(days=14)),
        ("15 m", timedelta(minutes=15)),
        ("0s", timedelta(0)),
        ("3652059d", duration.LONGEST),
    ],
)
def test_durations_are_written_as_people_write_them(text: str, span: timedelta) -> None:
    """A whole number and a unit."""
    assert duration.parse(text) == span


@pytest.mark.parametrize(
    "value",
    ["", "d", "60", "60 d d", "1e3s", "-5s", "1.5h", "1h30m", "60D", "1234567890s", "3652060d", 60, None, True, [1]],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    """With an example of one."""
    with pytest.raises(ValueError, match=r"as in 60d|longer than the calendar"):
        duration.parse(value)


@pytest.mark.parametrize("field", ["at_risk_after", "churned_after"])
def test_settings_survive_being_written_and_read(tmp_path: Path, field: str) -> None:
    """What the control topic keeps of them is what they were."""
    some = Settings.model_validate({"lifecycle": {field: "77d"}, "rates": {"USD": "0.9"}, "holdout_share": 0.25})
    again = load(file(tmp_path, yaml.safe_dump(some.model_dump(mode="json"))), environment={})
    assert again == some


def test_more_than_a_record_of_kafka_takes_is_refused_when_the_settings_are_read() -> None:
    """A worker could not write them. The message says how much it is, and of what; text counts as it is written."""
    rule = {"when": "attributes.city == '" + "京" * 3000 + "'"}
    rules = {"rules": [{"label": f"l{number}", **rule} for number in range(50)], "otherwise": "none"}
    fits = parse({"dimensions": {"city": rules}}, name="file.yaml", environment={})
    assert len(json.dumps(definition_of(fits))) < DEFINITION_BYTES_MAX
    with pytest.raises(SettingsError, match=r"come to 1,8\d\d,\d\d\d bytes .* are in the rules of `dimensions`"):
        parse({"dimensions": {"city": rules, "town": rules}}, name="file.yaml", environment={})
