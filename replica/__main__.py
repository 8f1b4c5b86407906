"""`python -m replica` is the `replica` command."""

from replica.cli import main

main(prog_name="python -m replica")
