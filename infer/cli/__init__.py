"""Command line: arguments in, exit status out."""


def main() -> None:
    """Entry point of the `reverie` command."""
    from infer.cli.commands import main as run

    run()
