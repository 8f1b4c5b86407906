"""Learning curves from the files that training frameworks write.

Every format is a module with one function that takes what a file holds and gives a `Log`, or None
if it is another format's. `read_curves` finds out which, by the content, labels the rows with P
and seed, and hands them to the same checks as any table.
"""

from replica.scaling.logs.learning_curve import learning_curve_table
from replica.scaling.logs.reading import holds_tables, read_curves

__all__ = ["holds_tables", "learning_curve_table", "read_curves"]
