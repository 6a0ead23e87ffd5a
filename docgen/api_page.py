"""The reference of the Python API: signatures and docstrings of the modules meant for other programs.

Read from the source text, so that an annotation stands as it was written, under whichever Python the page is made.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from docgen.markdown import block, code, page, paragraph

MODULES: Final = {
    "segflow.schemas.settings_file": ("load", "parse", "SettingsError"),
    "segflow.segments.customer_model": ("CustomerModel", "Event", "orders", "idle_us", "after"),
    "segflow.segments.model_law": ("check_law", "LawError"),
    "segflow.schemas.settings": ("Settings",),
    "segflow.schemas.event": ("Purchase", "Refund", "Interaction", "Feedback", "Payment", "Profile", "Alias", "Erase"),
    "segflow.schemas.change": ("Change", "Alert", "Current", "DeadLetter"),
    "segflow.engine.file_run": ("FileRun",),
    "segflow.fitting.sample": ("Sample", "FitError"),
    "segflow.fitting.mbg_nbd": ("fit",),
    "segflow.fitting.gamma_gamma": ("fit",),
    "segflow.segments.model": ("Model",),
}
"""The names that other programs may build on, by module. Everything else may change with any release."""
FIELDS_ELSEWHERE: Final = {
    "segflow.schemas.settings": "Its fields are the [settings](settings.md).",
    "segflow.schemas.event": "Their fields are in [Events](events.md). `EVENT` is pydantic's adapter for all of them.",
    "segflow.schemas.change": "Their fields are in [Changes](changes.md).",
}
SIGNATURE_WIDTH: Final = 80
"""A longer signature has one parameter a line: a block of code does not wrap on a narrow screen."""
SECTIONS: Final = frozenset({"Args:", "Raises:", "Returns:", "Yields:"})
Function = ast.FunctionDef | ast.AsyncFunctionDef


def api_page() -> str:
    """Every public name with its signature and its docstring."""
    return page(
        "Python API",
        paragraph(
            "The names that other Python programs may build on. All of segflow is typed (`py.typed`). A name that is "
            "not listed here may change with any release."
        ),
        *(part for name, public in MODULES.items() for part in _module(name, public)),
    )


def _module(name: str, public: tuple[str, ...]) -> Iterator[str]:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {name}")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    named = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | Function)}
    yield f"## {name}"
    yield from _docstring(tree)
    if name in FIELDS_ELSEWHERE:
        yield FIELDS_ELSEWHERE[name]
    for each in public:
        yield f"### {each}"
        node = named[each]
        if isinstance(node, ast.ClassDef):
            yield from _class(node, with_fields=name not in FIELDS_ELSEWHERE)
        else:
            yield block(_signature(node), "python")
            yield from _docstring(node)


def _class(node: ast.ClassDef, *, with_fields: bool) -> Iterator[str]:
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign) and _is_public(each)]
    if fields and with_fields:
        lines = [f"class {node.name}:", *(f"    {ast.unparse(each)}" for each in fields)]
        yield block("\n".join(lines), "python")
    yield from _docstring(node)
    if not with_fields:
        return
    for each in node.body:
        if isinstance(each, Function) and not each.name.startswith("_"):
            is_property = any(ast.unparse(mark) == "property" for mark in each.decorator_list)
            yield f"**{code(node.name + '.' + each.name)}**"
            yield block(f"{each.name}: {_result(each)}" if is_property else _signature(each), "python")
            yield from _docstring(each)


def _is_public(field: ast.AnnAssign) -> bool:
    made_inside = field.value is not None and "init=False" in ast.unparse(field.value)
    return isinstance(field.target, ast.Name) and not field.target.id.startswith("_") and not made_inside


def _signature(node: Function) -> str:
    """Parameters and result, as in the source, less `self`."""
    parameters = [each for each in _parameters(node.args) if each not in {"self", "cls"}]
    result = f" -> {_result(node)}" if node.returns is not None else ""
    line = f"{node.name}({', '.join(parameters)}){result}"
    if len(line) <= SIGNATURE_WIDTH:
        return line
    return f"{node.name}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){result}"


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    plain = [*arguments.posonlyargs, *arguments.args]
    without = len(plain) - len(arguments.defaults)
    for place, each in enumerate(plain):
        yield _parameter(each, arguments.defaults[place - without] if place >= without else None)
    if arguments.kwonlyargs:
        yield "*"
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(each, default)


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = "" if argument.annotation is None else f": {_text(argument.annotation)}"
    return argument.arg + annotation + ("" if default is None else f" = {ast.unparse(default)}")


def _result(node: Function) -> str:
    return "" if node.returns is None else _text(node.returns)


def _text(annotation: ast.expr) -> str:
    """An annotation as written; a forward reference without its quotes."""
    return ast.unparse(annotation).replace("'", "")


def _docstring(node: ast.Module | ast.ClassDef | Function) -> Iterator[str]:
    """A docstring as Markdown: paragraphs, and Google's sections as lists."""
    for chunk in (ast.get_docstring(node) or "").split("\n\n"):
        head, _, rest = chunk.partition("\n")
        if head in SECTIONS:
            yield f"**{head}**"
            yield "\n".join(_items(rest))
        elif chunk:
            yield paragraph(chunk)


def _items(text: str) -> list[str]:
    """The entries of a section of a docstring, one a line."""
    entries: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line.strip())
    return ["- " + re.sub(r"^([\w.]+):", r"`\1`:", each) for each in entries]
