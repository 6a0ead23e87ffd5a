"""The language of rules: its syntax (syntax.py), its checks (checking.py), its meaning (meaning.py). Never `eval`."""
