"""Text from outside, safe on a terminal."""


def printable(text: str) -> str:
    """`text` with control characters (a terminal would obey them) written as escapes; the rest as it is."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_json(text: str) -> str:
    r"""JSON of one line, equal to `text`, with what a terminal would obey or reorder by written as \\u escapes.

    These are DEL, the C1 controls, marks of direction and the like. JSON itself escapes only the first 32 characters.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
