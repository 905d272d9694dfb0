"""How many rows a share is taken of where it is a question of one class."""

from __future__ import annotations

MOST_CLASSES = 10
"""A class of fewer rows than one in so many of all is looked at as if all rows were so many classes of its size."""


def scope(class_rows: int, rows: int) -> int:
    """The rows of which a share is meant that was measured with few labels.

    What is too few rows to be a danger ("1 % of all rows") was measured with 2 to 10 labels. Over 100 labels a class
    has fewer rows than that altogether, and nothing in it would ever be a danger. So shares are taken of all rows or of
    ten times the class, whichever is less: 1 % of all rows is then never more than a tenth of a class.

    Args:
        class_rows: How many rows the class has.
        rows: How many rows there are.
    """
    return min(rows, MOST_CLASSES * class_rows)
