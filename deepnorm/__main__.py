"""`python -m deepnorm` is the `deepnorm` command."""

from deepnorm.cli import main

main(prog_name="python -m deepnorm")
