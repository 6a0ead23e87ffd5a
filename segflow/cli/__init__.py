"""The command `segflow`: parsing, exit codes, printing; and the supervisor, which runs that command line."""
