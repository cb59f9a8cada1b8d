"""The blocks of `rl.environments`: what they leave out, and mistakes in them. Light to import."""

# Estimators that learn a value function V.
VALUED = ("a2c", "lax")
# Trained policies can be drawn of environments whose id begins so.
DRAWN = "CartPole-"


def filled(defaults, block):
    """The block with what it leaves out, within its own blocks too; a configuration likewise."""
    whole = dict(defaults)
    for key, value in block.items():
        nested = isinstance(value, dict) and isinstance(defaults.get(key), dict)
        whole[key] = filled(defaults[key], value) if nested else value
    return whole


def environment_mistakes(rl, definitions):
    """A line for each key of `rl.defaults` that is missing, and each environment without an id."""
    networks = set(definitions["network"]["properties"])
    for key in definitions["environment"]["properties"]:
        if (key in rl["defaults"]) == (key == "id"):
            what = "is an environment's own: give it there" if key == "id" else "missing"
            yield f"  rl.defaults.{key}: {what}"
        elif key in ("policy", "surrogate"):
            missing = sorted(networks - set(rl["defaults"][key]))
            yield from (f"  rl.defaults.{key}.{part}: missing" for part in missing)
    yield from (
        f"  rl.environments.{name}.id: missing"
        for name, block in rl["environments"].items()
        if "id" not in block
    )


def bootstrap_mistakes(rl):
    """A line for each estimator that has no value function to go on with."""
    for task in rl["tasks"]:
        block = filled(rl["defaults"], rl["environments"][task])
        for name in block["estimators"]:
            if block["bootstrap"] and name not in VALUED:
                yield (
                    f"  rl.environments.{task}.bootstrap: '{name}' learns no value function; "
                    f"allowed with it: {', '.join(VALUED)}"
                )
