"""One commit: plan, load, execute, write; and the versions of the rules it may use."""
