"""The parser of rules: text to a syntax tree, by recursive descent.

or:         and ("or" and)*
and:        not ("and" not)*
not:        "not" not | comparison
comparison: sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum | ["not"] "in" list | "is" ["not"] "present"]
list:       "[" sum ("," sum)* "]"
sum:        product (("+" | "-") product)*
product:    sign (("*" | "/") sign)*
sign:       "-" sign | number | duration | text | "true" | "false" | name | attribute | "(" or ")"
attribute:  "attributes" ("." name | "[" text "]")
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from segflow.schemas import duration

LENGTH_MAX: Final = 4000
"""The most characters of one expression: more than a screen of conditions."""
DEPTH_MAX: Final = 40
"""The deepest nesting of brackets and signs: each level costs the parser some ten nested calls."""
KEYWORDS: Final = frozenset({"and", "or", "not", "in", "is", "present", "true", "false", "attributes"})
COMPARISONS: Final = ("==", "!=", "<=", ">=", "<", ">")
TOKEN: Final = re.compile(
    r"\s*(?:(?P<duration>\d+(?:us|ms|[smhdw])\b)|(?P<number>\d+(?:\.\d+)?(?![\w.]))|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<text>'[^'\n]*'|\"[^\"\n]*\")|(?P<mark>==|!=|<=|>=|[<>+\-*/()\[\],.])|(?P<end>\Z)|(?P<other>\S))",
    re.ASCII,
)


class ExpressionError(ValueError):
    """An error in an expression: the problem, and its line and column, both from 1."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        self.line = text.count("\n", 0, at) + 1
        self.column = at - (text.rfind("\n", 0, at) + 1) + 1
        self.at = at
        self.problem = problem
        super().__init__(f"line {self.line}, column {self.column}: {problem}")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """A duration."""

    at: int
    us: int


@dataclass(frozen=True, slots=True)
class Text:
    """A text in quotes."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    at: int
    value: bool


@dataclass(frozen=True, slots=True)
class Name:
    """A fact or a dimension."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of the customer."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Negative:
    """The opposite of a quantity."""

    at: int
    of: "Node"


@dataclass(frozen=True, slots=True)
class Sum:
    """Arithmetic: + - * /."""

    at: int
    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One of COMPARISONS."""

    at: int
    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class In:
    """Membership in a list."""

    at: int
    of: "Node"
    items: tuple["Node", ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Present:
    """The presence of a fact or an attribute."""

    at: int
    of: "Node"
    negated: bool


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    at: int
    of: "Node"


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by `and` or by `or`."""

    at: int
    word: str
    items: tuple["Node", ...]


Node: TypeAlias = (
    Number | Span | Text | Flag | Name | Attribute | Negative | Sum | Comparison | In | Present | Not | Junction
)


def parse(text: str) -> Node:
    """The syntax tree of an expression.

    Raises:
        ExpressionError: the text is no expression.
    """
    if len(text) > LENGTH_MAX:
        raise ExpressionError(text, LENGTH_MAX, f"is longer than {LENGTH_MAX} characters")
    return _Reader(text).whole()


def names(text: str) -> set[str]:
    """The words of a text that may be names, also where the text is no expression."""
    return {found["name"] for found in TOKEN.finditer(text) if found["name"]} - KEYWORDS


@dataclass(frozen=True, slots=True)
class _Token:
    at: int
    kind: str
    text: str


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self._tokens: list[_Token] = []
        at = 0
        while not self._tokens or self._tokens[-1].kind != "end":
            found = TOKEN.match(text, at)
            assert found is not None
            assert found.lastgroup is not None
            start = found.start(found.lastgroup)
            if found.lastgroup == "other":
                raise ExpressionError(text, start, _odd(text, start))
            self._tokens.append(_Token(start, found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self._place = 0

    def whole(self) -> Node:
        node = self._or()
        token = self._next()
        if token.kind != "end":
            if token.text in COMPARISONS:
                self._fail(token, "comparisons cannot be chained: join them with and")
            self._fail(token, f"{token.text!r} is not expected here")
        return node

    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self, *texts: str) -> _Token | None:
        """Consume the next token if it is one of these words or marks; else None."""
        token = self._next()
        if token.kind in ("name", "mark") and token.text in texts:
            self._place += 1
            return token
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            self._fail(self._next(), f"{text!r} is missing")

    def _fail(self, token: _Token, problem: str) -> None:
        raise ExpressionError(self._text, token.at, problem)

    def _or(self) -> Node:
        return self._junction("or")

    def _junction(self, word: str) -> Node:
        at = self._next().at
        inner = self._not if word == "and" else lambda: self._junction("and")
        items = [inner()]
        while self._take(word) is not None:
            items.append(inner())
        return items[0] if len(items) == 1 else Junction(at, word, tuple(items))

    def _not(self) -> Node:
        token = self._take("not")
        if token is None:
            return self._comparison()
        return Not(token.at, self._deeper(token, self._not))

    def _deeper(self, token: _Token, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            self._fail(token, f"is nested deeper than {DEPTH_MAX}")
        node = read()
        self._depth -= 1
        return node

    def _comparison(self) -> Node:
        left = self._sum()
        token = self._take(*COMPARISONS)
        if token is not None:
            return Comparison(token.at, token.text, left, self._sum())
        token = self._take("is")
        if token is not None:
            negated = self._take("not") is not None
            self._expect("present")
            return Present(token.at, left, negated)
        token = self._next()
        negated = self._take("not") is not None
        if negated or token.text == "in":
            self._expect("in")
            return In(token.at, left, self._list(), negated)
        return left

    def _list(self) -> tuple[Node, ...]:
        self._expect("[")
        items = [self._sum()]
        while self._take(",") is not None:
            items.append(self._sum())
        self._expect("]")
        return tuple(items)

    def _sum(self) -> Node:
        node = self._product()
        while (token := self._take("+", "-")) is not None:
            node = Sum(token.at, token.text, node, self._product())
        return node

    def _product(self) -> Node:
        node = self._sign()
        while (token := self._take("*", "/")) is not None:
            node = Sum(token.at, token.text, node, self._sign())
        return node

    def _sign(self) -> Node:
        token = self._take("-")
        if token is not None:
            return Negative(token.at, self._deeper(token, self._sign))
        token = self._take("(")
        if token is not None:
            node = self._deeper(token, self._or)
            self._expect(")")
            return node
        return self._single()

    def _single(self) -> Node:
        token = self._next()
        self._place += 1
        if token.kind == "number":
            return Number(token.at, token.text)
        if token.kind == "duration":
            try:
                return Span(token.at, duration.parse(token.text) // duration.UNITS["us"])
            except ValueError as error:
                self._fail(token, str(error))
        if token.kind == "text":
            return Text(token.at, token.text[1:-1])
        if token.kind == "name" and token.text in ("true", "false"):
            return Flag(token.at, token.text == "true")
        if token.kind == "name" and token.text == "attributes":
            return self._attribute(token)
        if token.kind != "name" or token.text in KEYWORDS:
            self._fail(token, "a value is missing" if token.kind == "end" else f"{token.text!r} is not expected here")
        return Name(token.at, token.text)

    def _attribute(self, token: _Token) -> Node:
        in_brackets = self._take("[") is not None
        if not in_brackets:
            self._expect(".")
        name = self._next()
        if name.kind != ("text" if in_brackets else "name"):
            self._fail(name, "which attribute? write attributes.country or attributes['postal code']")
        self._place += 1
        if in_brackets:
            self._expect("]")
        text = name.text[1:-1] if in_brackets else name.text
        if not 1 <= len(text) <= 128:  # the names that a profile may have
            self._fail(name, "an attribute's name has 1 to 128 characters")
        return Attribute(token.at, text)


def _odd(text: str, at: int) -> str:
    """The problem with a character that begins no token."""
    if text[at] in "'\"":
        return "this text has no end"
    if text[at] == "=":
        return "write == to compare"
    if text[at].isdigit():
        return "is no number and no duration such as 45d"
    return f"{text[at]!r} means nothing here"
