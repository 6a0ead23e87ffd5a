"""The language of rules: read (syntax.py), checked (checking.py), and what it then means (meaning.py). Never `eval`."""
