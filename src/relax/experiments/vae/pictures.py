"""Pictures of what a trained VAE has learned: images, their reconstructions, and samples."""

import math

import pandas as pd
import torch

from relax.experiments.vae.frozen import load_model, standing
from relax.experiments.vae.trainer import DTYPE, fresh_model
from relax.numerics.replicas import parameter_generators
from relax.numerics.streams import NoiseStream
from relax.runs.tables import labelled


def reconstruct(model, x, noise):
    """Pixel probabilities of p(x|b_1), b_1 ~ q(b_1|x): [replica, batch, pixel]."""
    b = model.relaxation.hard_sample(model.encode(0, x), noise)
    return torch.sigmoid(model.decode(0, b))


def sample(model, noise):
    """Pixel probabilities of p(x|b_1), the latents drawn from the prior downwards.

    Args:
        noise: uniforms, one tensor [replica, batch, latent] a stochastic layer.
    """
    logits = model.prior_logits
    for layer, u in reversed(list(enumerate(noise))):
        logits = logits.expand(*u.shape[:2], -1)
        logits = model.decode(layer, model.relaxation.hard_sample(logits, u))
    return torch.sigmoid(logits)


def pictures(settings, images, path, count=10):
    """The first test images, their reconstructions, and as many samples, of the first seed's model.

    The first that did not diverge: where all did, there is one row, of kind "diverged".

    Args:
        settings: `VAESettings` of the run that wrote `path`.
        images: `Images`.
        path: the run's kept model.
    Returns:
        A tidy table, one row a pixel: dataset, model, estimator, learning_rate, seed, step (of
        the kept model), kind ("data", "reconstruction" or "sample"), image, row, column, value
        (the pixel, or its probability).

    Raises:
        DataError: the file cannot be read or is of another model.
    """
    names = ("dataset", "model", "estimator", "learning_rate")
    labels = {name: settings.labels[name] for name in names}
    first = settings.seeds[0]
    settings, places = standing(settings, path)
    if not places:
        row = {"seed": first, "step": 0, "kind": "diverged"}
        blank = {"image": 0, "row": 0, "column": 0, "value": math.nan}
        return pd.DataFrame([labels | row | blank])
    seeds, (height, width) = settings.seeds, images.shape
    generators = parameter_generators(seeds)
    model = fresh_model(settings, images, generators)
    steps = load_model(model, path, places)["step"]
    layers, logits = len(model.encoders), settings.width
    x = images.test[:count].expand(len(seeds), -1, -1)
    kind = settings.relaxation.noise_type(DTYPE)
    noise = NoiseStream(
        seeds, "pictures", x.shape[1], (layers + 1) * logits, "coupled", kind, block=1
    )
    first, *rest = noise(0).u.chunk(layers + 1, -1)
    with torch.no_grad():
        kinds = {
            "data": x,
            "reconstruction": reconstruct(model, x, first),
            "sample": sample(model, rest),
        }
    shape = (x.shape[1], height, width)
    pixels = pd.MultiIndex.from_product([range(n) for n in shape], names=["image", "row", "column"])
    of = {"seed": seeds[0], "step": int(steps[0])}
    tables = []
    for kind, value in kinds.items():
        table = pixels.to_frame(index=False).assign(value=value[0].flatten().numpy())
        tables.append(labelled(table, **of, kind=kind))
    return labelled(pd.concat(tables, ignore_index=True), **labels)
