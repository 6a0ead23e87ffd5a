"""`python -m streams` is `segflow`."""

from segflow.cli.main import main

main()
