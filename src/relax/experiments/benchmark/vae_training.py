"""One variant's training of a discrete VAE, for figure 15."""

from relax.experiments.vae.training import train
from relax.runs.tables import labelled


def train_variant(settings, images, log=None, unfinished=None, device="cpu"):
    """A row a seed and epoch: the loss is the negative ELBO of the epoch's minibatches, in nats.

    Columns: problem, objective ("cost"), latents, relaxed, noise, estimator, samples, seed, step,
    loss, valid_loss.

    Args:
        settings: `VAESettings`; `spec.samples` is K.
        images: `Images`.
        log, unfinished, device: as `relax.experiments.vae.training.train` takes them.
    """
    table, _ = train(settings, images, {}, None, log, unfinished, device)
    rows = table[["noise", "estimator", "seed", "step"]].copy()
    rows.insert(2, "samples", settings.spec.samples)
    rows = rows.assign(loss=-table.train_elbo, valid_loss=-table.valid_elbo)
    labels = {"problem": f"{settings.dataset}, {settings.model}", "objective": "cost"}
    labels |= {"latents": settings.latents, "relaxed": settings.spec.add_relaxed_cost}
    return labelled(rows, **labels)
