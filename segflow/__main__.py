"""`python -m segflow` is `segflow`."""

from segflow.cli.main import main

main()
