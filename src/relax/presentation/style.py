"""One style for every figure: an estimator's colour and line never change from figure to figure."""

from textwrap import fill

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from relax.estimators.registry import REGISTRY
from relax.files import placed_whole

mpl.use("agg")

# The paper's estimators have Okabe & Ito's palette, safe for colour-blind readers, in an order
# whose neighbours differ in lightness too. Those of later years have colours found beside it, as
# far apart as can be to all readers, foremost from those that share a panel of figure 15: a test
# holds them to that. A dash pattern each besides, so that curves stay apart in grey.
_COLOURS = ["#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"]
_COLOURS += ["#8C6D31", "#7F7F7F"]  # the last of the paper's own
_COLOURS += ["#6600EE", "#442200", "#000088", "#CC0088", "#8888EE", "#006600", "#0000CC"]
_COLOURS += ["#660044", "#88CC00", "#AA44EE", "#2244AA", "#CC0022", "#00CCAA", "#AACC66"]
_COLOURS += ["#660000", "#00EEAA"]
_DASHES = [(1, 1.2), (2.5, 1.2), (3, 1, 1, 1), (9, 2), (), (6, 1, 1, 1, 1, 1), (2, 1)]
_DASHES += [(4, 1, 4, 1, 1, 1), (7, 1, 2, 1)]
# Which of them an estimator has: none twice in a panel of figure 15.
_TURNS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 2, 3, 4, 5, 6, 7, 8, 0, 1, 4, 5, 6, 7, 8, 0, 2]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "p", "<", "h", ">", "d", "*"]
COST_COLOUR = "#555555"


def estimator_look(name):
    """Colour, dashes and label of an estimator, by its place in the registry.

    Of more estimators than there are colours, those further on begin with the first colour again,
    with other dashes.
    """
    place = list(REGISTRY).index(name)
    colour = _COLOURS[place % len(_COLOURS)]
    dashes = _DASHES[_TURNS[(place + place // len(_COLOURS)) % len(_TURNS)]]
    return {"color": colour, "dashes": dashes, "label": REGISTRY[name].label}


def estimator_marker(name):
    """An estimator's marker where it is a point; no two have colour and marker in common."""
    return _MARKERS[list(REGISTRY).index(name) % len(_MARKERS)]


def ordered(names):
    """These estimators in the registry's order."""
    present = set(names)
    return [name for name in REGISTRY if name in present]


class _Figure(Figure):
    """Drawn once a format: before matplotlib saves one it draws it for its layout alone."""

    def draw(self, renderer):
        layout = self.get_layout_engine()
        if isinstance(layout, ConstrainedLayoutEngine):  # while a file is written there is none
            layout.execute(self)
        else:
            super().draw(renderer)


def new_figure(rows, columns, width=7.0, row_height=2.5, **options):
    """A figure and its grid of axes [rows, columns], in the project's style."""
    mpl.rcdefaults()  # whatever a user's matplotlibrc says
    sns.set_theme(
        context="paper",
        style="ticks",
        rc={
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 9,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "lines.linewidth": 1.6,
            "font.family": "DejaVu Sans",
            "svg.hashsalt": "relax",
            "pdf.fonttype": 42,
        },
    )
    size = (width, row_height * rows + 0.7)
    figure = _Figure(size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def draw_band(axes, table, y, name, x="step", centre="median", band=None, **style):
    """An estimator's curve with its band over seeds.

    `centre`: "median" or "mean". `band`: "quartiles" (with the median the default) or "range" (from
    the least to the greatest seed; with the mean the default).
    """
    look = estimator_look(name) | style
    groups = table.groupby(x)[y]
    middle = groups.agg(centre)
    if (band or {"median": "quartiles", "mean": "range"}[centre]) == "quartiles":
        low, high = groups.quantile(0.25), groups.quantile(0.75)
    else:
        low, high = groups.min(), groups.max()
    axes.fill_between(middle.index, low, high, color=look["color"], alpha=0.18, linewidth=0)
    return axes.plot(middle.index, middle, **look)[0]


LETTERS = 16  # of the scale, that an inch holds


def finish(figure, title, handles, scale, columns=3):
    """Title above; below the panels the scale at which the figure was run, and one legend."""
    figure.suptitle(title, fontsize=10)
    widest = int(LETTERS * figure.get_figwidth())
    scale = "\n".join(fill(line, widest) for line in scale.splitlines())
    legend = figure.legend(
        handles=handles,
        title=scale,
        loc="outside lower center",
        ncols=len(handles) if len(handles) <= 4 else columns,
        handlelength=3.6,
        columnspacing=1.6,
        frameon=False,
    )
    legend.get_title().set(fontsize=8, color="#444444")
    return figure


def save(figure, paths):
    """Write a figure to each path, whole or not at all, undated: the same bytes every time."""
    undated = {"pdf": {"CreationDate": None, "ModDate": None}, "svg": {"Date": None}, "png": {}}
    for path in paths:
        kind = str(path).rsplit(".", 1)[-1]
        with placed_whole(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=200, metadata=undated[kind])
