# What the other files here share. Light imports only: every job parses this again.
from relax.runs.config import (
    check_config,
    check_keys_stand_once,
    check_preset,
    settle,
)
from relax.data.datasets import data_sets, preparation
from relax.estimators.registry import REGISTRY, estimator_names
from relax.data.pins import pin_of
from relax.runs.archives import files_of, find_packed, tables_of
from relax.runs.environments import DRAWN
from relax.runs.misfits import structure_latents
from relax.runs.sources import code_of, versions

try:
    check_keys_stand_once(workflow.configfiles)
    check_config(config, os.path.join(PROJECT, "workflow/schemas/config.schema.yaml"))
except ConfigError as error:
    raise WorkflowError(str(error))
settle(config)


# The default preset writes to results/ and figures/ themselves, another one to its own folder there.
SUBFOLDER = "" if config["preset"] == "default" else config["preset"] + "/"
RESULTS = f"results/{SUBFOLDER}".rstrip("/")
FIGURES = f"figures/{SUBFOLDER}".rstrip("/")
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
DATA_SETS = data_sets(config)
try:
    PLACES = [os.getcwd(), os.path.join(PROJECT, "archive")]
    PACKED, TRIED = (
        find_packed(config["archive"][key], PLACES, f"archive.{key}")
        for key in ("runs", "tried")
    )
    PACKED_TABLES = {name for folder in PACKED for name in tables_of(folder)}
    PACKED_FILES = [file for folder in (*PACKED, *TRIED) for file in files_of(folder)]
except (ConfigError, DataError) as error:
    raise WorkflowError(str(error))
BENCHMARK_VAE = f"{RESULTS}/benchmark/vae/{{dataset}}/{{model}}"
VAE_RUN = "vae/{dataset}/{model}/{estimator}/lr{learning_rate}/seeds{first}-{last}"


wildcard_constraints:
    target=r"[0-9][0-9.e+-]*",
    learning_rate=r"[0-9][0-9.e+-]*",
    surrogate_learning_rate=r"[0-9][0-9.e+-]*",
    estimator="|".join(REGISTRY),
    dataset="|".join(DATA_SETS),
    file="[^/]+",
    model="[a-z0-9_]+",
    task="|".join(config["rl"]["environments"]),
    first="[0-9]+",
    last="[0-9]+",
    step="[0-9]+",


# What the experiments' files add to: outputs of their figures' and tables' rules, every other table
# that they made; and by the experiment's folder in the package, which of those its claims are
# judged from, by the names that the claims know them by.
FIGURES_MADE, TABLES_MADE, RESULTS_MADE, CLAIMS = [], [], [], {}
# Columns that readers of tables get from the configuration (`runs.tables.read_named`), by the name of
# the input that has them.
JOINED = {}


def tell_params_apart(made):
    """Give a rule one parameter more, `said`, with the names of the others beside their values.

    Snakemake compares the values as a set: `draws` going from 4 to 5 is no change to it where other
    parameters are 4 and 5 too, and the job would be left as it was. `code` names its own parts.
    """
    own = {name: value for name, value in made.params.items() if name != "code"}

    def said(wildcards):
        return str({k: v(wildcards) if callable(v) else v for k, v in own.items()})

    if own and "said" not in own:
        made.set_params(said=said)


def growing(amount):
    """A resource for attempt 1; attempt 2 gets twice as much, and so on (a profile sets retries)."""
    return lambda wildcards, attempt: amount * attempt


def seed_ranges(section):
    """The jobs' seed ranges, as "first-last"."""
    seeds, per_job = config[section]["seeds"], config[section]["seeds_per_job"]
    return [
        f"{first}-{min(first + per_job, seeds) - 1}"
        for first in range(0, seeds, per_job)
    ]


def sources(*modules, estimators=()):
    """A parameter `code`: what the code of these modules of relax says, and of all they import.

    With it stand the versions of the packages that compute, and of estimators that the rule uses
    what the registry says of them.
    """
    found = code_of(
        *modules,
        *(REGISTRY[name].module.removeprefix("relax.") for name in estimators),
    )
    entries = {f"registry: {name}": REGISTRY[name].said() for name in estimators}
    return found | entries | {"packages": versions()}


def figure_sources(module):
    """Of a module with figures, everything that a figure depends on."""
    return sources(
        f"experiments.{module}",
        "presentation.style",
        "estimators.registry",
        "runs.jobs",
        "runs.tables",
    )


def table_sources(*modules):
    """Of modules that summarise, everything that their tables depend on."""
    return sources(
        *(f"experiments.{module}" for module in modules),
        "presentation.common",
        "estimators.registry",
        "runs.jobs",
        "runs.tables",
    )


def estimator_sources(*modules):
    """The same where there is a wildcard `estimator`: with that estimator's file, no other's."""
    return lambda wildcards: sources(*modules, estimators=[wildcards.estimator])


def learned_with(settings):
    """Settings of how φ is learned, where the wildcard's estimator learns: no reason else."""
    return lambda wildcards: settings if REGISTRY[wildcards.estimator].learns else {}


def of_kind(kind, estimators):
    """Of these estimators those that are for latents of this kind."""
    return [name for name in estimators if kind in REGISTRY[name].kinds]


def surrogate_settings(section):
    """Of the surrogate's settings, those that the wildcard's estimator reads."""
    return lambda wildcards: {
        key: config[section]["surrogate"][key]
        for key in REGISTRY[wildcards.estimator].reads
    }


def run_tables(section, path, **wildcards):
    """Every table of this path under results/, over the wildcards and the section's seed ranges."""
    return expand(f"{RESULTS}/{path}", seeds=seed_ranges(section), **wildcards)


def unpacked(name):
    """The path of a table of the packed runs, stacked (rules/archive.smk)."""
    return f"{RESULTS}/unpacked/{name}.csv"


UNPACKED = [unpacked(name) for name in sorted(PACKED_TABLES)]


def packed(files):
    """Whether these are packed tables and nothing else."""
    files = [files] if isinstance(files, str) else [*map(str, files)]
    return bool(files) and {*files} <= {*UNPACKED}


def from_packed(made):
    """Of outputs of figures' and tables' rules, those that read packed tables and nothing else."""
    readers = {
        str(rule.output[0]): rule.input for rule in workflow.rules if rule.output
    }
    return [output for output in made if packed(readers[str(output[0])])]


def vae_tables(name, estimators):
    """Paths of this table of every VAE run of these estimators; or of the packed runs."""
    if PACKED:
        return [unpacked(name)]
    return run_tables(
        "vae",
        f"vae/{{dataset}}/{{model}}/{{estimator}}/lr{{lr}}/seeds{{seeds}}/{name}.csv",
        dataset=config["vae"]["datasets"],
        model=config["vae"]["models"],
        estimator=estimators,
        lr=config["vae"]["learning_rates"],
    )


def training_files(rates, *names):
    """Of each learning rate, these files of a VAE's run, with the other wildcards left open."""
    return [
        f"{RESULTS}/{VAE_RUN}/{name}".replace("{learning_rate}", str(rate))
        for rate in rates
        for name in names
    ]


def learning_settings(estimators):
    """How a VAE's surrogates are learned, for rules where one of these estimators learns one."""
    keys = ("surrogate_learning_rate_scale", "surrogate_weight_decay")
    learns = any(REGISTRY[name].learns for name in estimators)
    return {key: config["vae"][key] for key in keys} if learns else {}


def in_one_order(block):
    """The block with its keys sorted: Snakemake compares params as they print."""
    return {
        key: in_one_order(value) if isinstance(value, dict) else value
        for key, value in sorted(block.items())
    }


def policy_runs(task):
    """Of a task, each estimator with its pairs of rates; without a surrogate, its first ones."""
    block = config["rl"]["environments"][task]
    rates = block["surrogate_learning_rates"]
    return [
        (name, rate, own)
        for name in block["estimators"]
        for rate in block["learning_rates"]
        for own in (rates if REGISTRY[name].learns else rates[:1])
    ]


def task_tables(table, tasks):
    """Paths of this table of every run of these tasks; or of the packed runs."""
    if PACKED:
        return [unpacked({"training": "policies"}.get(table, table))]
    return [
        f"{RESULTS}/rl/{task}/{name}/lr{rate}/c{own}/seeds{seeds}/{table}.csv"
        for task in tasks
        for name, rate, own in policy_runs(task)
        for seeds in seed_ranges("rl")
    ]


def benchmark_runs(name):
    """Paths of this table of every VAE that the benchmark of estimators measures: of bits alone."""
    if config["vae"]["latent_kind"] == "categorical":
        return []
    return expand(
        f"{BENCHMARK_VAE}/{name}.csv",
        dataset=config["benchmark"]["vae"]["datasets"],
        model=config["benchmark"]["vae"]["models"],
    )


def environment_files(wildcards):
    """The file of the working directory that registers the task's environment, where one does."""
    place, colon, _ = config["rl"]["environments"][wildcards.task]["id"].partition(":")
    file = os.path.join(*place.split(".")) + ".py"
    return [file] if colon and os.path.isfile(file) else []


def own_file(wildcards):
    """The user's file with a cost: where snakemake runs, else beside the Snakefile, as the example.

    A function, so that a file that is missing stops only who asks for it.
    """
    file, function = config["own"]["file"], config["own"]["function"]
    for path in (file, os.path.join(PROJECT, file)):
        if os.path.isfile(path):
            return path
    raise WorkflowError(
        f"own.file: there is no file '{file}'; it is to hold the function '{function}'"
    )


def structure_file(wildcards):
    """The user's table for structure learning, where snakemake runs; none: Sachs's, packaged."""
    file = config["structure"]["file"]
    if file is None:
        return []
    if not os.path.isfile(file):
        raise WorkflowError(f"structure.file: there is no file '{file}'")
    return file


def random_nodes():
    """The numbers of nodes of the random graphs that some estimator is trained on."""
    random = config["structure"]["random"]
    return random["nodes"] if random["estimators"] else []


def structure_problems(estimator):
    """Of each problem that the estimator is trained on, the latents that it can take there."""
    kinds = structure_latents(estimator, config["structure"]["latents"])
    random = config["structure"]["random"]
    more = random["nodes"] if estimator in random["estimators"] else []
    names = ["data", *(f"random{nodes}" for nodes in more)]
    return {name: kinds for name in names}


def figure_outputs(name, category, what):
    """The three files of a figure; the web report shows the svg."""
    svg = report(
        f"{FIGURES}/{name}.svg",
        caption=f"../report/{name}.rst",
        category=category,
        labels={"what": "figure", "name": what},
    )
    return {"svg": svg, "pdf": f"{FIGURES}/{name}.pdf", "png": f"{FIGURES}/{name}.png"}


def table_outputs(name, category, what):
    """The two files of a table; the web report shows the csv."""
    csv = report(
        f"{RESULTS}/tables/{name}.csv",
        caption=f"../report/table_{name}.rst",
        category=category,
        labels={"what": "table", "name": what},
    )
    return {"csv": csv, "md": f"{RESULTS}/tables/{name}.md"}


def ledger_outputs(stem):
    """The two files of a ledger; the web report shows the one of all claims."""
    if stem == "claims":
        return table_outputs(stem, "Claims", "verdicts")
    return {kind: f"{RESULTS}/tables/{stem}.{kind}" for kind in ("csv", "md")}
