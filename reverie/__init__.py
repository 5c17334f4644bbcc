"""Both packages under the name that is installed: `reverie.simulate` and `reverie.infer`.

They are the packages `simulate` and `infer` themselves, imported when they are first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import infer
    import simulate

    __version__: str

__all__ = ["__version__", "infer", "simulate"]


if not TYPE_CHECKING:  # to type checkers a name that is not imported above is an error

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            value = version("reverie")
        elif name in ("infer", "simulate"):
            value = import_module(name)
        else:
            raise AttributeError(f"module 'reverie' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
