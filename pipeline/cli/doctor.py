"""`nightcap doctor`."""

import click


@click.command()
def doctor() -> None:
    """Check credentials, endpoint, model and output folder before the night."""
