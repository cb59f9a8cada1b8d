"""Settings from a rule's wildcards and params: one place turns workflow values into typed ones."""

from dataclasses import fields

from relax.surrogates.base import SurrogateSpec

# Parameters of rules that are no settings: what the code says, and blocks that hold settings.
NO_SETTINGS = {"code", "said", "learning", "surrogate"}


def collect(kind, wildcards, params, beside=(), **surrogate_shape):
    """An instance of the settings dataclass `kind` from a rule's wildcards and params.

    Names are matched to fields, those inside `params.learning` too, numbers in wildcards are read
    as such, `first` and `last` become the range of seeds, and `params.surrogate` with
    `surrogate_shape` becomes the `SurrogateSpec`.

    Args:
        beside: other dataclasses that take their part of the same params, and names that the job
            reads itself.

    Raises:
        TypeError: a param has a name that nobody reads, which a default would hide.
    """
    given = {*params.keys(), *dict(params.items()).get("learning", {})}
    known = NO_SETTINGS.union(*map(_names, (kind, *beside)))
    if strangers := given - known:
        raise TypeError(f"no setting of {kind.__name__}: {', '.join(sorted(strangers))}")
    values = {**dict(params.items()), **dict(wildcards.items())}
    values |= values.pop("learning", {})
    if "first" in values:
        values["seeds"] = range(int(values["first"]), int(values["last"]) + 1)
    if "surrogate" in values:
        chosen = dict(values["surrogate"])
        if "hidden" in chosen:
            chosen["hidden"] = tuple(chosen["hidden"])
        values["spec"] = SurrogateSpec(**chosen, **surrogate_shape)
    for number in ("target", "learning_rate"):
        given = values.get(number)
        if isinstance(given, list):  # of learning rates: trained side by side
            values[number] = tuple(map(float, given))
        elif given is not None:
            values[number] = float(given)
    return kind(**{f.name: values[f.name] for f in fields(kind) if f.name in values})


def _names(kind):
    return {kind} if isinstance(kind, str) else {field.name for field in fields(kind)}
