"""A VAE's run that has not ended: the tables that it would write, as far as it came."""

import torch

from relax.errors import DataError
from relax.experiments.vae.trainer import fresh_model
from relax.experiments.vae.training import score, stacked, without_diverged
from relax.numerics.finite import NEVER
from relax.numerics.replicas import parameter_generators
from relax.runs.tables import labelled


def tables_so_far(settings, state, images=None):
    """The tables `training` and `best` of `relax.experiments.vae.training.train`, from a state.

    Args:
        settings: the run's `VAESettings`, of one learning rate.
        state: what the run has saved (`relax.runs.resume.waiting_runs`).
        images: its data set; without it there is no table `best`. The model that validates best so
            far is scored with `settings.bound_samples` samples, as at the run's end.

    Returns:
        {name: table}.

    Raises:
        DataError: the state is of other seeds than the settings, or trains several rates at once.
    """
    history = state["history"]
    replicas = len(history["running"])
    if replicas != len(settings.seeds):
        raise DataError(
            f"a state of {replicas} replicas is not of {len(settings.seeds)} seeds: a job that "
            f"trains several learning rates side by side can be packed when it has ended"
        )
    if not history["rows"]:
        return {}
    per_epoch = history["rows"][0]["step"] / history["rows"][0]["epoch"]
    never = torch.full((replicas,), NEVER)  # states from before this was noted
    diverged = state["trainer"].get("diverged_step", never).numpy()
    rows = [_columns(row) for row in history["rows"]]
    training = stacked(rows, {"seed": list(settings.seeds)}, diverged, per_epoch)
    tables = {"training": labelled(training, **settings.labels)}
    best, _, step = history["best"]
    if images is not None:
        generators = parameter_generators(settings.replicas)
        model = fresh_model(settings, images, generators)
        model.load_state_dict(best)
        scores = score(settings, model, images, step.cpu(), per_epoch)
        scores = without_diverged(scores, diverged).drop(columns="block")
        tables["best"] = labelled(scores, **settings.labels)
    return tables


def _columns(row):
    return {k: v.cpu() if hasattr(v, "cpu") else v for k, v in row.items()}
