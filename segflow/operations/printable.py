"""Text from outside, safe on a terminal."""


def printable(text: str) -> str:
    """`text` with control characters (a terminal would obey them) written as escapes; the rest as it is."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
