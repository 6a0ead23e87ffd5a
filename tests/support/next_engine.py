"""segflow of a later version, whose commits may give something else: `python -m tests.support.next_engine worker`."""

from segflow.engine.commit import engine_version

vars(engine_version)["ENGINE"] += 1  # before anything else has looked at it

from segflow.cli.main import main  # noqa: E402 - as above

main()
