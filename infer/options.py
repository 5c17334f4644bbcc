"""Options with several possible values, for functions and the command line; without slow imports."""

from enum import StrEnum


class Missing(StrEnum):
    """Treatments of missing values."""

    ERROR = "error"
    DROP = "drop"
    FILL = "fill"
    MASK = "mask"


class Constant(StrEnum):
    """Treatments of spins that never change."""

    ERROR = "error"
    KEEP = "keep"
    DROP = "drop"
