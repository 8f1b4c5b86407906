"""The table of learning curves that a user brings, checked once.

Test error against the norm, record by record, for several P and, where there are
any, several seeds. Rows are never dropped in silence: a table is refused with the
row that is wrong, or kept with a note of what was noticed, joined or left out.
"""

from replica.scaling.curves.record import Curves
from replica.scaling.curves.table import curves_from_table

__all__ = ["Curves", "curves_from_table"]
