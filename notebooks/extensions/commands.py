"""Directive `commands`: each command of `reverie` with its arguments and options, as its `--help` says them."""

from typing import Any

import click
from docutils import nodes
from sphinx.util.docutils import SphinxDirective


def paragraph(text: str) -> nodes.paragraph:
    """Text with its code between backticks as literals."""
    parts = " ".join(text.split()).split("`")
    return nodes.paragraph(
        "", "", *(nodes.literal("", part) if k % 2 else nodes.Text(part) for k, part in enumerate(parts))
    )


def option_list(command: click.Command, context: click.Context) -> nodes.definition_list:
    """Arguments and options with their help."""
    items = nodes.definition_list(classes=["options"])
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        name, text = record
        # arguments of typer carry their help, too
        term = nodes.term("", "", nodes.literal("", " ".join(name.split())))
        items += nodes.definition_list_item("", term, nodes.definition("", paragraph(text)))
    return items


class Commands(SphinxDirective):
    """All commands, groups opened."""

    def run(self) -> list[nodes.Node]:
        """A section for each command."""
        import typer.main

        from infer.cli.commands import app

        return self.sections(typer.main.get_command(app), "reverie", None)

    def sections(self, group: Any, name: str, parent: click.Context | None) -> list[nodes.Node]:
        """Sections of the commands of a group, in the order of its help."""
        context = click.Context(group, info_name=name, parent=parent)
        found: list[nodes.Node] = []
        for word in group.list_commands(context):
            command, full = group.get_command(context, word), f"{name} {word}"
            if hasattr(command, "list_commands"):
                found += self.sections(command, full, context)
                continue
            inner = click.Context(command, info_name=word, parent=context)
            section = nodes.section(ids=[full.replace(" ", "-")], names=[full])
            section += nodes.title("", full)
            for part in (command.help or "").split("\n\n"):
                section += paragraph(part)
            usage = " ".join(command.collect_usage_pieces(inner))
            section += nodes.literal_block("", f"{full} {usage}", language="text")
            section += option_list(command, inner)
            found.append(section)
        return found


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
