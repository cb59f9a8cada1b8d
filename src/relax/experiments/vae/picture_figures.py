"""Figure of the images that the discrete VAE learns."""

import numpy as np

from relax.errors import NonFiniteError
from relax.estimators.registry import REGISTRY
from relax.presentation.common import count
from relax.presentation.style import new_figure, ordered

KINDS = ["data", "reconstruction", "sample"]
RUN = ["dataset", "model", "estimator", "learning_rate"]


def fig12_vae_pictures(pictures):
    """Images, their reconstructions, and samples from the model: a block of three rows a run.

    Of several seeds the first is shown that did not diverge; runs whose seeds all did are named.

    Args:
        pictures: rows of `results/vae/**/pictures.csv`.

    Raises:
        NonFiniteError: every run diverged.
    """
    every, pictures = pictures, pictures[pictures.kind != "diverged"]
    if pictures.empty:
        raise NonFiniteError("no pictures are left to show: every run of the VAE has diverged")
    gone = sorted(set(every.learning_rate) - set(pictures.learning_rate))
    pictures = pictures[pictures.seed == pictures.groupby(RUN).seed.transform("min")]
    runs = list(pictures.groupby(RUN))
    blocks = [tiled(own) for _, own in runs]
    columns = min(len(runs), 2)
    tallest = max(block.shape[0] / block.shape[1] for block in blocks)
    height = 4.2 * tallest + 0.45  # a block is a little over 4 inches wide, below two title lines
    figure, axes = new_figure(-(-len(runs) // columns), columns, 5.2 * columns, height)
    for panel in axes.flat[len(runs) :]:
        panel.set_visible(False)
    for panel, ((dataset, model, name, rate), own), block in zip(axes.flat, runs, blocks):
        panel.imshow(block, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        rows = (np.arange(len(KINDS)) + 0.5) * block.shape[0] / len(KINDS) - 0.5
        panel.set_yticks(rows, KINDS)
        panel.set_xticks([])
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        steps = count(own.step.max(), "iteration")
        scale = f"{REGISTRY[name].label}, {steps}, learning rate {rate:g}"
        panel.set_title(f"{dataset}, {model}\n{scale}", loc="left", fontsize=8)
    figure.suptitle("Discrete VAE: images, reconstructions, and samples", fontsize=10)
    labels = [REGISTRY[name].label for name in ordered(pictures.estimator)]
    seeds = " or ".join(f"{seed}" for seed in sorted(pictures.seed.unique()))
    parts = [*sorted(pictures.dataset.unique()), *labels, f"seed {seeds}"]
    note = "".join(f"\ndiverged: learning rate {rate:g}" for rate in gone)
    figure.supxlabel(
        f"{', '.join(parts)}; black 0, white 1 (data: pixels; else: probabilities){note}",
        fontsize=8,
        color="#444444",
    )
    return figure


def tiled(pictures):
    """The images of one run: a row for each of `KINDS`, blank pixels (NaN) between two images."""
    height, width = pictures.row.max() + 2, pictures.column.max() + 2
    kind = pictures.kind.map(KINDS.index)
    place = pictures.groupby("kind").image.rank(method="dense").astype(int) - 1
    tiles = np.full((len(KINDS) * height - 1, (place.max() + 1) * width - 1), np.nan)
    tiles[kind * height + pictures.row, place * width + pictures.column] = pictures.value
    return tiles
