"""Import of arviz where it is needed, also where the home directory cannot be written to."""

from __future__ import annotations

import os
import tempfile
from types import ModuleType

from simulate.user_warnings import libraries_silenced

__all__ = ["load_arviz"]


def load_arviz() -> ModuleType:
    """arviz, imported when first needed: it takes seconds to load, and 0.23 warns of a change of interface.

    0.23 notes in the cache of the user that it has warned today, and cannot be imported where there is no such place:
    it is given a temporary one for the time of the import.
    """
    with libraries_silenced():
        try:
            import arviz
        except OSError:
            before = os.environ.get("XDG_CACHE_HOME")
            with tempfile.TemporaryDirectory(prefix="reverie-") as folder:
                os.environ["XDG_CACHE_HOME"] = folder
                try:
                    import arviz
                finally:
                    if before is None:
                        del os.environ["XDG_CACHE_HOME"]
                    else:
                        os.environ["XDG_CACHE_HOME"] = before
    return arviz
