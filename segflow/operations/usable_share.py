"""The share of an input's latest records that can be used, and what the others look like."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from segflow.engine.decode.merge_inputs import MISPLACED
from segflow.operations.finding import Finding
from segflow.operations.recognition import looks_like
from segflow.streams.kafka.key_placement import KeySample

WARN_SHARE: Final = 0.05
"""Of the latest records: one of twenty is no stray record any more, but a producer that has a fault."""
FAIL_SHARE: Final = 0.5
"""From here on the input is mostly something else than events."""
LEAST: Final = 2
"""One bad record is a stray one, also where there are few records yet."""
ADVICE: Final = (
    "Mend the producer. `segflow dead-letters --count` says what the workers could not use, and --replay sends it "
    "again after the fix."
)


def usable_findings(samples: Sequence[KeySample]) -> Iterator[Finding]:
    """One for each input that has records."""
    for topic in sorted({sample.topic for sample in samples}):
        yield usable(topic, [sample for sample in samples if sample.topic == topic])


def usable(topic: str, samples: Sequence[KeySample]) -> Finding:
    """The finding about the input `topic`, by samples of its latest records."""
    refused = [(sample, sample.refused) for sample in samples if sample.refused is not None]
    if not refused:
        return Finding(
            name="records", status="OK", message=f"all of the latest {len(samples):,} records of {topic} can be used"
        )
    kinds = Counter(why.kind for _, why in refused)
    counted = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
    first, reason = refused[0][0], refused[0][1].reason
    message = (
        f"{len(refused):,} of the latest {len(samples):,} records of {topic} cannot be used: {counted}. Such as "
        f"partition {first.partition} offset {first.offset}: {reason}"
    )
    seems = next((looks_like(sample.value) for sample, _ in refused if sample.value), None)
    message += f". It looks like {seems}" if seems else ""
    share = len(refused) / len(samples)
    if share < WARN_SHARE or len(refused) < LEAST:
        return Finding(name="records", status="OK", message=message)
    return Finding(
        name="records",
        status="FAIL" if share >= FAIL_SHARE else "WARN",
        message=message,
        advice="See keys above." if set(kinds) == {MISPLACED} else ADVICE,
    )
