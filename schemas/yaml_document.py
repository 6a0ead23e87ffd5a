"""YAML as settings use it: plain values, each key once, bounded; and the place in the file of each."""

import re
from typing import Any, Final

import yaml

NODES_MAX: Final = 500_000
"""The most values of a document, aliases written out: a hundred times the largest real file, too few for a bomb."""
DEPTH_MAX: Final = 100
"""The deepest nesting of lists and mappings. Settings need eight; the parser in C ends the process at some thousand."""
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C reads ten times as fast; some builds of PyYAML lack it."""
TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge", "value")
)
"""The tags of the values that settings may have."""
TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
"""The tag of a date without quotes. Settings take it as text."""


class DocumentError(Exception):
    """An error in a document, with its place. The message quotes no value, as it may be a password."""


def read(text: str) -> Any:
    """The content of a document: dicts, lists, texts, numbers, true, false and None.

    Raises:
        DocumentError: the text is no YAML, has a key twice, or has something that settings cannot have.
    """
    try:
        _refuse_depth(text)
        node = compose(text)
        if node is None:
            return None
        _Inspection().size(node)
        return _Constructor(node).value
    except yaml.YAMLError as error:
        raise DocumentError(f"is no YAML: {_reason(error)}") from None  # its text quotes the file


def compose(text: str) -> yaml.Node | None:
    """The document's nodes with their places; None for an empty document.

    Raises:
        yaml.YAMLError: the text is no YAML.
    """
    node: yaml.Node | None = yaml.compose(text, Loader=LOADER)
    return node


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_MAX:
            assert event.start_mark is not None  # the parser marks every event
            line = event.start_mark.line + 1
            raise DocumentError(f"line {line}: lists and mappings are nested deeper than {DEPTH_MAX}")


class _Inspection:
    """One walk over a document's nodes that looks for what settings cannot have."""

    def __init__(self) -> None:
        self._sizes: dict[int, int | None] = {}  # by node; None while it is being looked at

    def size(self, node: yaml.Node) -> int:
        """The number of values that a node stands for, aliases written out.

        Raises:
            DocumentError: there are too many, or one of them cannot be in settings.
        """
        if id(node) not in self._sizes:
            self._sizes[id(node)] = None
            self._sizes[id(node)] = self._look(node)
        size = self._sizes[id(node)]
        if size is None:
            raise DocumentError(f"{_place(node)}: contains itself, by an alias")
        return size

    def _look(self, node: yaml.Node) -> int:
        if node.tag == TIMESTAMP:
            node.tag = "tag:yaml.org,2002:str"
        if node.tag not in TAGS:
            raise DocumentError(f"{_place(node)}: settings have no values with a tag of their own")
        if isinstance(node, yaml.MappingNode):
            _refuse_repeated_keys(node)
            children = [each for pair in node.value for each in pair]
        else:
            children = node.value if isinstance(node, yaml.SequenceNode) else []
        size = 1
        for child in children:
            size += self.size(child)
            if size > NODES_MAX:
                raise DocumentError(f"{_place(node)}: has more than {NODES_MAX:,} values")
        return size


def _refuse_repeated_keys(node: yaml.MappingNode) -> None:
    """Refuse a mapping that has a key twice: one of the two values would be lost unnoticed."""
    places: dict[tuple[str, str], yaml.Node] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise DocumentError(f"{_place(key)}: a key must be a plain word")
        if key.tag.endswith(":merge"):
            continue
        first = places.setdefault((key.tag, key.value), key)
        if first is not key:
            lines = f"lines {first.start_mark.line + 1} and {key.start_mark.line + 1}"
            raise DocumentError(f"{key.value[:60]!r} is written twice, in {lines}: keep one, or join what stands below")


class _Constructor(yaml.constructor.SafeConstructor):
    """Nodes to values. PyYAML's own errors about a number it cannot read come with their place."""

    def __init__(self, node: yaml.Node) -> None:
        super().__init__()
        self.value = self.construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """See SafeConstructor.

        Raises:
            DocumentError: the value is none of its kind.
        """
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = {"int": "number", "float": "number", "bool": "yes or no"}.get(node.tag.rpartition(":")[2], "value")
            raise DocumentError(f"{_place(node)}: is no {kind} that can be read; put a text in quotes") from error


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}, column {node.start_mark.column + 1}"


def _reason(error: yaml.YAMLError) -> str:
    """The problem and its place, without the lines themselves: a password may stand in them."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "it has a character that YAML does not allow"
    problem = re.sub(r"'.*'", "'…'", error.problem or "cannot be understood")
    return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {problem}"
