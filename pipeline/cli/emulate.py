"""`nightcap emulate`."""

import click


@click.command()
def emulate() -> None:
    """Serve a local endpoint that behaves like OpenAI or Azure, to rehearse a job without money."""
