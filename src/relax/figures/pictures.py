"""Figure of the images that the discrete VAE learns."""

import numpy as np

from relax.figures.style import count, new_figure
from relax.registry import REGISTRY

STRIPS = {"data": "data", "reconstruction": "reconstructions", "sample": "samples"}
RUN = ["dataset", "model", "estimator", "learning_rate"]


def fig12_vae_pictures(pictures):
    """Images, their reconstructions, and samples from the model: a block of strips a run.

    Of several seeds the first is shown.

    Args:
        pictures: rows of `results/vae/**/pictures.csv`.
    """
    seed = pictures.seed.min()
    pictures = pictures[pictures.seed == seed]
    runs = list(pictures.groupby(RUN))
    strips = [(key, own, kind) for key, own in runs for kind in STRIPS if kind in set(own.kind)]
    figure, axes = new_figure(len(strips), 1, row_height=0.85)
    for (panel,), ((dataset, model, name, rate), own, kind) in zip(axes, strips, strict=True):
        image = tiled(own[own.kind == kind])
        panel.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panel.set(xticks=[], yticks=[], anchor="W")
        panel.spines[:].set_visible(False)
        panel.set_ylabel(STRIPS[kind], rotation=0, ha="right", va="center")
        if kind == strips[0][2]:
            steps = count(own.step.max(), "iteration")
            label = REGISTRY[name].label
            title = f"{dataset}, {model}: {label}, {steps}, learning rate {rate:g}"
            panel.set_title(title, loc="left")
    figure.suptitle("Discrete VAE: images, reconstructions, and samples", fontsize=10)
    scale = ", ".join(sorted(pictures.dataset.unique()))
    text = f"{scale}; seed {seed}; grey levels: probability of a 1"
    figure.supxlabel(text, fontsize=8, color="#444444")
    return figure


def tiled(pictures):
    """The images of one strip side by side, with a blank column between two."""
    width = pictures.column.max() + 1
    at = pictures.image.rank(method="dense").astype(int) - 1
    strip = np.full((pictures.row.max() + 1, (at.max() + 1) * (width + 1) - 1), np.nan)
    strip[pictures.row, at * (width + 1) + pictures.column] = pictures.value
    return strip
