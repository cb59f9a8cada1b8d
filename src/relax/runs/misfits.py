"""Estimators that a configuration asks for what they do not do. Light to import."""

from relax.estimators.registry import REGISTRY, calls, estimator_names, misfit

# VAEs whose latents may be categorical: those of one stochastic layer.
CATEGORICAL_MODELS = ("linear1", "nonlinear", "nonlinear_wide")

# What an estimator must be for to learn a graph: a bit for each edge, or an ordering beside bits.
STRUCTURE_KINDS = {"edges": {"bernoulli"}, "ordering": {"ordering", "joint"}}
SACHS_LATENTS = 66  # of an ordering of its 11 columns and its pairs; edges are more


def vae_mistakes(vae):
    """A line for each estimator or model that has not the latents of the VAE."""
    kind, trajectory = vae["latent_kind"], vae["variance"]["trajectory"]
    categorical = kind == "categorical"
    width = vae["latents"] * (vae["outcomes"] if categorical else 1)
    wanted = [("vae.estimators", name) for name in vae["estimators"]]
    wanted += [("vae.variance.trajectory", trajectory)] if trajectory else []
    for key, name in wanted:
        if why := misfit(name, width, kind):
            has = f" and vae has {width}" if "at most" in why else ""
            able = ", ".join(estimator_names(width, kind=kind))
            yield f"  {key}: '{name}' {why}{has}; allowed here: {able}"
    for index, model in enumerate(vae["models"]):
        if categorical and model not in CATEGORICAL_MODELS:
            allowed = ", ".join(CATEGORICAL_MODELS)
            yield (
                f"  vae.models[{index}]: '{model}' has no categorical latents, which "
                f"vae.latent_kind asks for; allowed here: {allowed}"
            )


def own_mistakes(own):
    """A line for each estimator that cannot take the user's own latents, or cost."""
    kind = "categorical" if own["outcomes"] else "bernoulli"
    latents = own["latents"] * (own["outcomes"] or 1)
    relaxed = own["surrogate"]["add_relaxed_cost"]
    for name in own["estimators"]:
        if why := misfit(name, latents, kind):
            able = estimator_names(latents, kind=kind)
            yield f"  own.estimators: '{name}' {why}; allowed here: {', '.join(able)}"
        elif not own["differentiable"] and REGISTRY[name].needs_gradient(relaxed):
            able = estimator_names(latents, kind=kind)
            able = [other for other in able if not REGISTRY[other].needs_gradient(relaxed)]
            yield (
                f"  own.estimators: '{name}' needs the gradient of the cost, and "
                f"own.differentiable says that there is none; allowed here: {', '.join(able)}"
            )


def toy_mistakes(toy):
    """A line for each of the two toys that no estimator is for."""
    for kind, key in (("bernoulli", "toy.targets"), ("categorical", "toy.categorical")):
        if not any(kind in REGISTRY[name].kinds for name in toy["estimators"]):
            able = estimator_names(section="toy", kind=kind)
            yield (
                f"  toy.estimators: one must be for {kind} latents, which {key} has; got "
                f"{toy['estimators']}; for them are: {', '.join(able)}"
            )


def benchmark_mistakes(config):
    """A line for each estimator that no number of samples fits, or on the bound not every one."""
    block = config["benchmark"]
    samples = block["samples"]
    able = [
        name
        for name, entry in REGISTRY.items()
        if any(entry.allows(k) for k in samples) and entry.sections != ("rl",)
    ]
    for key in ("estimators", "training"):
        for name in block[key]:
            if "samples" in REGISTRY[name].reads and name not in able:
                why = misfit(name, samples=samples[0])
                yield f"  benchmark.samples: '{name}' {why}; with {samples}: {', '.join(able)}"
    misfits = {name: _bound_misfit(name, samples) for name in estimator_names(section="bound")}
    able = [name for name, why in misfits.items() if not why]
    for name in block["bound"]:
        if why := misfits[name]:
            yield (
                f"  benchmark.bound: '{name}' {why}, and is measured with every K of "
                f"benchmark.samples; with {samples}: {', '.join(able)}"
            )


def _bound_misfit(name, samples):
    """Why the bound of some of these numbers of samples is not for the estimator, or None."""
    if "samples" not in REGISTRY[name].reads:
        return None  # it draws its one sample K times
    return next(filter(None, (misfit(name, samples=k) for k in samples)), None)


def structure_latents(name, latents):
    """Of the kinds of latents in the configuration's list those that the estimator can take."""
    return [kind for kind in latents if STRUCTURE_KINDS[kind] <= set(REGISTRY[name].kinds)]


def structure_misfit(name, structure):
    """Why the estimator cannot learn these graphs, or None."""
    most = REGISTRY[name].max_latents
    if not structure_latents(name, structure["latents"]):
        return f"is not for {' or '.join(structure['latents'])}"
    if most and structure["file"] is None:
        return f"takes at most {most} latents, and Sachs's table has {SACHS_LATENTS} or more"
    return None


def structure_mistakes(structure):
    """A line for each estimator that cannot take its latents or has too few evaluations a step."""
    able = [name for name in estimator_names() if not structure_misfit(name, structure)]
    budget, settings = structure["evaluations_per_step"], structure["surrogate"]
    for name in structure["estimators"]:
        if why := structure_misfit(name, structure):
            yield f"  structure.estimators: '{name}' {why}; allowed here: {', '.join(able)}"
            continue
        shape = structure["noise"], settings["add_relaxed_cost"]
        each = calls(name, settings["samples"], 1, *shape).evaluations
        if each > budget:
            yield (
                f"  structure.evaluations_per_step: an estimate of '{name}' takes {each} "
                f"evaluations; must be as many or more; got {budget}"
            )
    for name in structure["random"]["estimators"]:
        if name not in structure["estimators"]:
            yield (
                f"  structure.random.estimators: must be among structure.estimators "
                f"({', '.join(structure['estimators'])}); got '{name}'"
            )


def sample_mistakes(config, section):
    """A line for each estimator of the section that cannot take its number of samples."""
    samples = config[section]["surrogate"]["samples"]
    able = [name for name, entry in REGISTRY.items() if entry.samples[1] and entry.allows(samples)]
    for name in config[section]["estimators"]:
        if "samples" in REGISTRY[name].reads and (why := misfit(name, samples=samples)):
            known = "toy" if section == "toy" else "vae"  # own and structure name the vae's
            alone = estimator_names(section=known, samples=1)
            would = f"with {samples}: {', '.join(able)}" if able else f"with 1: {', '.join(alone)}"
            yield f"  {section}.surrogate.samples: '{name}' {why}; {would}"
