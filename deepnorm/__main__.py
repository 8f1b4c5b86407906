"""`python -m deepnorm`."""

from deepnorm.cli import main

main(prog_name="deepnorm")
