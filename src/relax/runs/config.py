"""Check a configuration against its schema; say what is wrong in plain words. Light to import."""

import difflib
import math
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import extend

from relax.data.datasets import data_set_names, mistakes
from relax.errors import ConfigError, DataError
from relax.estimators.registry import REGISTRY, estimator_names
from relax.runs.environments import bootstrap_mistakes, environment_mistakes, filled
from relax.runs.misfits import (
    benchmark_mistakes,
    own_mistakes,
    sample_mistakes,
    structure_mistakes,
    toy_mistakes,
    vae_mistakes,
)

# What is of a machine alone: no result depends on it.
OF_THE_MACHINE = ("data.mirror", "device")

# JSON Schema calls 1000.0 an integer; Python's range() does not.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def check_config(config, schema_path):
    """Raise if the configuration is not allowed.

    Raises:
        ConfigError: one line for each mistake, naming the key, the value and what is allowed.
    """
    known = {
        "estimator": estimator_names(),
        "toy estimator": estimator_names(section="toy"),
        "policy estimator": estimator_names(section="rl"),
        "bound estimator": estimator_names(section="bound"),
        "data set": data_set_names(config),
        "task": _environments(config),
    }
    schema = _read_schema(schema_path)
    validator = _Validator(schema, format_checker=_names_checker(known))
    errors = sorted(validator.iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path])
    messages = [_explain(error, known) for error in errors]
    messages = messages or [*environment_mistakes(config["rl"], schema["$defs"])]
    messages = messages or _check_beyond_schema(config)
    if messages:
        raise ConfigError("\n".join(["the configuration is not valid:", *messages]))


def check_preset(preset, folder, paths):
    """Raise if the preset's folder would be one of the default preset's own.

    Args:
        preset: its name.
        folder: where this run writes, as "results/mine".
        paths: of everything that the rules write; wildcards may be in them.

    Raises:
        ConfigError: a rule has a folder of that name, whatever the case: some file systems ignore
            it.
    """
    inside = (path.removeprefix(f"{folder}/") for path in paths if path.startswith(f"{folder}/"))
    if preset.lower() in {path.partition("/")[0].lower() for path in inside if "/" in path}:
        raise ConfigError(
            f"the configuration is not valid:\n  preset: '{preset}' is a folder of the default "
            f"preset; take another name"
        )


def settle(config):
    """Fill in what is left to other keys: whose training is measured, what an environment has."""
    environments = config["rl"]["environments"]
    for name, block in environments.items():
        environments[name] = filled(config["rl"]["defaults"], block)
    estimators, measured = config["vae"]["estimators"], config["vae"]["variance"]
    if measured["trajectory"] is None:
        measured["trajectory"] = "rebar" if "rebar" in estimators else estimators[0]


def configuration(root, configfiles):
    """The configuration of a run of the project in `root` that was started with these files.

    Raises:
        DataError: one of the files cannot be read.
    """
    config = {}
    for file in (root / "config.yaml", *configfiles):
        try:
            changes = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise DataError(f"{file} cannot be read: {error}") from None
        config = filled(config, changes)
    settle(config)
    return config


def check_keys_stand_once(paths):
    """Raise if a block of a configuration file has a key twice: YAML silently takes the last.

    Raises:
        ConfigError: one line for each, naming the file, the key and both lines.
    """
    messages = []
    for path in map(Path, paths):
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
        except yaml.YAMLError:  # Snakemake has read it, as JSON
            continue
        for line, key, first in sorted(_repetitions(root)):
            where = "the same line" if line == first else f"line {first}"
            messages.append(f"  {path}, line {line}: '{key}' stands on {where} already; keep one")
    if messages:
        raise ConfigError("\n".join(["the configuration has keys twice:", *messages]))


def _repetitions(root):
    """(line, key, line where it stands first); a block that aliases share is looked at once."""
    blocks, seen = [] if root is None else [root], set()
    while blocks:
        block = blocks.pop()
        if id(block) in seen or isinstance(block, yaml.ScalarNode):
            continue
        seen.add(id(block))
        if isinstance(block, yaml.SequenceNode):
            blocks += block.value
            continue
        lines = {}
        for key, value in block.value:
            blocks.append(value)
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in lines:
                yield line, key.value, lines[key.value]
            elif isinstance(key, yaml.ScalarNode):
                lines[key.value] = line


def _environments(config):
    """Names under rl.environments, also where the configuration is not what it should be."""
    block = config.get("rl") if isinstance(config, dict) else None
    block = block.get("environments") if isinstance(block, dict) else None
    return list(block) if isinstance(block, dict) else []


@cache
def _read_schema(path):
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def _names_checker(known):
    """The schema's formats: each is the kind of a name, and allows the names `known` of it."""
    checker = FormatChecker(formats=())
    for kind, names in known.items():
        checker.checks(kind)(
            lambda value, names=names: not isinstance(value, str) or value in names
        )
    return checker


def _explain(error, known):
    key = _key(error.absolute_path) or "the configuration"
    value, wants = _show(error.instance), error.validator_value
    match error.validator:
        case "additionalProperties":
            known = list(error.schema["properties"])
            unknown = [str(name) for name in error.instance if name not in known]
            close = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            names = ", ".join(_key([*error.absolute_path, name]) for name in unknown)
            return f"  {names}: unknown key; {hint}Allowed here: {', '.join(known)}"
        case "required":
            missing = [name for name in wants if name not in error.instance]
            return "\n".join(f"  {_key([*error.absolute_path, m])}: missing" for m in missing)
        case "type":
            hint = ""
            if (
                wants in ("number", "integer")
                and isinstance(error.instance, str)
                and _numeric(error.instance)
            ):
                hint = (
                    " (YAML reads this as text: write 1000, 0.001 or 1.0e-3, without quotes, in a "
                    "--configfile; numbers in blocks given with --config are text)"
                )
            return f"  {key}: must be {_article(wants)}; got {value}{hint}"
        case "enum":
            return f"  {key}: must be one of {', '.join(map(str, wants))}; got {value}"
        case "format":
            allowed = ", ".join(known[wants])
            if wants.endswith("estimator") and error.instance in REGISTRY:
                sections = ", ".join(REGISTRY[error.instance].sections)
                return f"  {key}: {value} is for {sections}, not for here; allowed here: {allowed}"
            return f"  {key}: unknown {wants.removeprefix('toy ')} {value}; there are: {allowed}"
        case "minimum":
            return f"  {key}: must be {wants} or more; got {value}"
        case "maximum":
            return f"  {key}: must be {wants} or less; got {value}"
        case "exclusiveMinimum":
            return f"  {key}: must be greater than {wants}; got {value}"
        case "exclusiveMaximum":
            return f"  {key}: must be less than {wants}; got {value}"
        case "minLength":
            return f"  {key}: must not be empty"
        case "maxLength":
            return f"  {key}: must have {wants} characters or fewer; got {value}"
        case "minItems":
            if error.instance:
                more = "" if error.schema.get("maxItems") == wants else " or more"
                return f"  {key}: must have {wants}{more} values; got {value}"
            return f"  {key}: must name at least {wants}; the list is empty"
        case "maxItems":
            return f"  {key}: must have {wants} values; got {value}"
        case "uniqueItems":
            return f"  {key}: names something twice; got {value}"
        case "pattern":
            return f"  {key}: must be {error.schema['description']}; got {value}"
    return f"  {key}: {error.message}"


def _check_beyond_schema(config):
    """What a schema cannot say: ordinary numbers, and keys that depend on each other."""
    messages = [f"  {_key(path)}: {mistake}" for path, mistake in _odd_numbers(config)]
    messages += [f"  {key}: {mistake}" for key, mistake in mistakes(config)]
    if config["archive"]["tried"] and not config["archive"]["runs"]:
        messages.append(
            f"  archive.tried: stands beside archive.runs, which names none; must be empty then; "
            f"got {config['archive']['tried']}"
        )
    messages += toy_mistakes(config["toy"])
    messages += vae_mistakes(config["vae"])
    trajectory = config["vae"]["variance"]["trajectory"]
    asked = [] if trajectory is None else [trajectory]
    messages += [
        mistake
        for section in ("toy", "vae", "own", "structure")
        for mistake in sample_mistakes(config, section)
    ]
    messages += own_mistakes(config["own"])
    messages += benchmark_mistakes(config)
    messages += structure_mistakes(config["structure"])
    messages += bootstrap_mistakes(config["rl"])
    tuned = config["toy"]["relaxation"]["estimators"]
    drawable = [n for n in estimator_names() if REGISTRY[n].learns and REGISTRY[n].of_z]
    messages += [
        f"  toy.relaxation.estimators: '{name}' learns no function of z; allowed here: "
        f"{', '.join(drawable)}"
        for name in tuned
        if name not in drawable
    ]
    if not set(asked) <= set(config["vae"]["estimators"]):
        messages.append(
            f"  vae.variance.trajectory: must be one of vae.estimators "
            f"({', '.join(config['vae']['estimators'])}); got '{trajectory}'"
        )
    halfway = config["vae"]["midtraining"]
    for block, key, parts, whole in (
        (config["vae"], "vae", "checkpoints", "steps"),
        (halfway, "vae.midtraining", "measurements", "tuning_steps"),
    ):
        if block[parts] > block[whole]:
            messages.append(
                f"  {key}.{parts}: must not exceed {key}.{whole}; got {block[parts]} "
                f"and {block[whole]}"
            )
    return messages


def _odd_numbers(value, path=()):
    """Pairs (path, mistake): numbers that are none, or that a path or a computation cannot have."""
    if isinstance(value, dict):
        return [hit for k, v in value.items() for hit in _odd_numbers(v, (*path, k))]
    if isinstance(value, list):
        return [hit for i, v in enumerate(value) for hit in _odd_numbers(v, (*path, i))]
    if isinstance(value, float) and not math.isfinite(value):
        return [(path, f"must be finite; got {value}")]
    if isinstance(value, float) and value == 0 and math.copysign(1, value) < 0:
        return [(path, "must be written as 0; got -0.0")]
    if isinstance(value, int) and abs(value) >= 2**63:
        return [(path, f"must be less than 2^63 in size; got {_show(value)}")]
    return []


def _key(path):
    key = ""
    for part in path:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    return key


def _show(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _article(kind):
    if isinstance(kind, list):
        return " or ".join(map(_article, kind))
    return {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "a block of keys",
    }.get(kind, kind)


def _numeric(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
