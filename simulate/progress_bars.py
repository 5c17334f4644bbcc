"""The progress bar of tqdm that fits the place: widgets in notebooks that have them, else text.

`tqdm.auto` warns on import, "IProgress not found", in a notebook without ipywidgets, whether or not a bar is shown.
"""

from importlib.util import find_spec


def _has_widgets() -> bool:
    try:
        return find_spec("ipywidgets") is not None
    except ValueError:  # a module that somebody has blocked or made up
        return False


if _has_widgets():
    from tqdm.auto import tqdm
else:
    from tqdm import tqdm

__all__ = ["tqdm"]
