"""The reference of the commands: help, options and exit codes, from the command line itself."""

import re
from importlib import import_module
from typing import Any

import typer

from docgen.markdown import block, code, page, paragraph, table
from segflow.cli import commands


def commands_page() -> str:
    """Every command in the order of the help."""
    rows = [(f"[`segflow {name}`](#segflow-{name})", summary) for name, summary in commands.SUMMARIES.items()]
    return page(
        "Commands",
        paragraph(
            "After `make setup` the commands are in `.venv/bin`; after `pip install` they are on the path, also as "
            "`python -m segflow`. Each has `--help`. Exit code 2 always means that a person must act: the message on "
            "standard error says what."
        ),
        table(("command", "what it does"), rows),
        *(_command(name) for name in commands.SUMMARIES),
    )


def _command(name: str) -> str:
    app = typer.Typer()
    commands.register(app)
    group: Any = typer.main.get_command(app)
    command = group.get_command(None, name)
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    named = [each for each in command.params if each.param_type_name == "option"]
    options = [each for each in named if each.name != "help" and not each.hidden]
    usage = " ".join(["segflow", name, "[OPTIONS]", *map(_argument, arguments)])
    example, codes = _epilog(import_module(commands.module_of(name)).EPILOG)
    parts = [f"## segflow {name}", *map(paragraph, (command.help or "").replace("\b", "").split("\n\n"))]
    parts += [block(usage, "text"), block(example, "sh")]
    if arguments:
        parts.append(table(("argument", "meaning"), [(code(_argument(each)), each.help) for each in arguments]))
    if options:
        parts.append(table(("option", "meaning", "default"), map(_option, options)))
    return "\n\n".join([*parts, paragraph(f"**Exit codes:** {codes}")])


def _argument(argument: Any) -> str:
    written = (argument.metavar or argument.name.upper()) + ("..." if argument.nargs == -1 else "")
    return written if argument.required else f"[{written}]"


def _option(option: Any) -> tuple[str, str, str]:
    value = "" if option.is_flag else " " + (option.metavar or option.name.rpartition("_")[2].upper())
    spelled = ", ".join(code(each + value) for each in [*option.opts, *option.secondary_opts])
    default = "" if option.default in {None, False, ()} else code(str(option.default))
    return spelled, option.help or "", default


def _epilog(text: str) -> tuple[str, str]:
    """The example lines and the sentence on exit codes of a command's epilogue."""
    found = re.fullmatch(r"\s*Examples?:\n(.*?)\n\s*Exit codes: (.*)", text.replace("\b", "").strip(), re.DOTALL)
    if found is None:
        raise ValueError(f"an epilogue is an example and exit codes, found {text!r}")
    return "\n".join(line.strip() for line in found[1].strip().splitlines()), found[2]
