"""How long a benchmark takes, said before it starts."""


def announce(seconds: float, processors: int = 1) -> None:
    """Print about how long a benchmark takes, in seconds, minutes or hours.

    Parameters
    ----------
    seconds : float
        Measured on processors that do nothing else.
    processors : int, default 1
        How many it keeps busy.
    """
    number, unit = seconds, "second"
    for larger in ("minute", "hour"):
        if number < 90:
            break
        number, unit = number / 60, larger
    rounded = max(1, round(number)) if number < 10 else 5 * round(number / 5)
    words = f"{rounded} {unit}{'' if rounded == 1 else 's'}"
    machine = "one processor that does" if processors == 1 else f"{processors} processors that do"
    print(f"about {words} on {machine} nothing else", flush=True)
