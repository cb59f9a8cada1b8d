"""A policy's run that has not ended: the table that it would write, as far as it came."""

from relax.experiments.control.history import History
from relax.numerics.finite import NEVER
from relax.runs.tables import labelled


def table_so_far(settings, state):
    """The table `training` of `relax.experiments.control.training.train`, from a state.

    Args:
        settings: the run's `ControlSettings`.
        state: what the run has saved (`relax.runs.resume.waiting_runs`).

    Returns:
        The table; and how many frames every seed has lived, but those that diverged.
    """
    history = History(settings)
    history.load(state["history"])
    pairs = zip(history.frames, history.diverged, strict=True)
    frames = min([lived for lived, at in pairs if at == NEVER] or history.frames)
    return labelled(history.table(), **settings.labels), frames
