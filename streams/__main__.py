"""`python -m streams` is `segflow`."""

from streams.command_line import main

main()
