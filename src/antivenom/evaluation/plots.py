"""A summary as a picture, drawn by matplotlib (extra `plots`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from antivenom.core.errors import MissingPackageError, OptionsError
from antivenom.core.files import STAMP, atomic_write
from antivenom.evaluation.summary import SummaryLine

ENDINGS = ("png", "svg", "pdf")
SHOWN = {"accuracy": "clean accuracy", "attacks.0.asr_deployed": "ASR deployed", "attacks.0.floor": "floor"}


def require_plots(path: Path) -> None:
    """Raise unless a plot can be written to this file, before hours are spent on what it shows.

    Raises:
        OptionsError: the ending is none of `ENDINGS`.
        MissingPackageError: matplotlib is not installed.
    """
    from importlib.util import find_spec

    if path.suffix.lstrip(".") not in ENDINGS:
        raise OptionsError(f"{path}: plots are not written to {path.suffix or 'a nameless'} file", mend="Use .png.")
    if find_spec("matplotlib") is None:
        raise MissingPackageError("plots need matplotlib", mend="Run `pip install 'antivenom[plots]'`.")


def write_plot(path: Path, lines: Sequence[SummaryLine]) -> None:
    """Draw, for each attack, bars of clean accuracy, deployed attack success and floor for each defense.

    Bars are means over seeds, their whiskers one standard deviation.

    Args:
        path: A .png, .svg or .pdf file.
        lines: The summary.

    Raises:
        OptionsError: the ending is another one.
        MissingPackageError: matplotlib is not installed.
    """
    require_plots(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    attacks = list(dict.fromkeys(line.attack for line in lines))
    figure = Figure(figsize=(6, 2.6 * len(attacks)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, attack in zip(figure.subplots(len(attacks), 1, squeeze=False)[:, 0], attacks, strict=True):
        some = [line for line in lines if line.attack == attack]
        for number, (name, label) in enumerate(SHOWN.items()):
            spreads = [line.numbers.get(name) for line in some]
            places = [place + 0.27 * (number - 1) for place in range(len(some))]
            heights = [100 * spread.mean if spread else 0.0 for spread in spreads]
            errors = [100 * (spread.sd or 0.0) if spread else 0.0 for spread in spreads]
            axes.bar(places, heights, 0.25, yerr=errors, label=label)
        axes.set_xticks(range(len(some)), [_plain(line.defense) for line in some])
        axes.set_ylim(0, 105)
        axes.set_ylabel("percent")
        axes.set_title(_plain(attack), fontsize="small")
    figure.axes[0].legend(fontsize="small", ncols=len(SHOWN))
    with atomic_write(path, "wb") as file:
        kind = path.suffix.lstrip(".")
        figure.savefig(file, format=kind, metadata={"Software" if kind == "png" else "Creator": STAMP})


def _plain(text: str) -> str:
    """A text that is drawn as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
