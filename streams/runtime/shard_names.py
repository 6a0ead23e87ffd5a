"""Shards in messages: every one is named, and many take little room."""

from collections.abc import Iterable


def shard_names(shards: Iterable[int]) -> str:
    """The shards as text, such as "shard 3" or "shards 0-6 and 9"."""
    numbers = sorted(set(shards))
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    listed = " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
    return f"shard{'s' * (len(numbers) != 1)} {listed}"
