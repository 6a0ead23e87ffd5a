"""Failpoints: nothing where none is asked for, an error at the asked place, and a clear word about a wrong one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segflow.streams.runtime import failpoints
from segflow.streams.runtime.failpoints import ACQUIRE, COMMIT, ENVIRONMENT, armed


def test_without_the_variable_a_point_is_an_empty_function() -> None:
    """So it costs a call and nothing else."""
    assert failpoints.failpoint is failpoints._unarmed
    assert armed("") is failpoints._unarmed


def test_a_point_strikes_at_its_nth_time_and_only_then() -> None:
    """Other points do not count, and after it has struck nothing more happens."""
    failpoint = armed("commit:stored:2:raise")
    failpoint("commit:stored")
    failpoint("commit:produced")
    with pytest.raises(ConnectionResetError, match="the reply at commit:stored was lost"):
        failpoint("commit:stored")
    failpoint("commit:stored")


@pytest.mark.parametrize("wrong", ["commit:stored", "commit:nowhere:1", "commit:stored:0", "commit:stored:1:explode"])
def test_a_specification_that_is_none_is_refused(wrong: str) -> None:
    """A test whose fault could never fire must not pass."""
    with pytest.raises(ValueError, match="is not POINT:NTH"):
        armed(wrong)


def test_the_process_that_reaches_an_armed_point_dies_by_sigkill() -> None:
    """By default; no handler and no clean-up runs."""
    program = "from segflow.streams.runtime.failpoints import failpoint; failpoint('acquire:owned'); print('alive')"
    done = subprocess.run(
        [sys.executable, "-c", program], env={ENVIRONMENT: "acquire:owned:1"}, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == b""


def test_every_point_is_reached_somewhere_in_the_code() -> None:
    """A point that a later change forgets would make its fault test wait for nothing."""
    code = "".join(path.read_text(encoding="utf-8") for path in Path(failpoints.__file__).parents[1].glob("**/*.py"))
    for point in COMMIT + ACQUIRE:
        assert f'failpoint("{point}")' in code, point
