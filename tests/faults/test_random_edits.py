"""Random edits of the project, against a model of what must run again.

What a job depends on in the package is measured: the modules that it had loaded when it ended
(`workflow/probe.py`). What follows from what is the order of the rules. So the model knows nothing
of digests and declarations, which is what the workflow goes by.
"""

import random
import re

import pytest
from workflow.conftest import tiny  # noqa: F401 (a fixture)
from workflow.project import TINY, write_config
from workflow.test_reruns import EDITED_KEYS, with_provenance

TRIALS, EDITS = 50, 4  # dry runs, and edits before each: 200 edits
SEED = 21
# The rules whose jobs take what jobs of a rule make.
FEEDS = {
    "prepare_data": ["train_vae", "measure_variance", "midtraining", "pictures"],
    "train_toy": ["figure_1", "figure_2", "table_toy", "table_claims"],
    "train_categorical_toy": ["figure_1", "figure_2", "table_toy"],
    "tune_relaxation": ["figure_2"],
    "theory": ["figure_6", "figure_7", "figure_8", "figure_9", "figure_10", "table_claims"],
    "train_vae": [
        *("measure_variance", "midtraining", "pictures", "figure_3", "figure_4", "figure_5"),
        *("table_vae", "table_midtraining", "table_claims"),
    ],
    "measure_variance": ["figure_4", "table_claims"],
    "midtraining": ["figure_5", "table_midtraining", "table_claims"],
    "pictures": ["figure_12"],
    "train_policy": ["figure_11", "figure_13", "table_rl", "table_claims"],
    "reparameterize": ["figure_16", "table_reparameterization", "table_claims"],
    "train_factors": ["figure_16", "table_reparameterization", "table_claims"],
    "table_claims": ["figure_0"],
}
TRAJECTORY = "rebar"  # whose checkpoints are measured: another's training feeds tables alone
AT_CHECKPOINTS = ("measure_variance", "midtraining", "pictures")
"""


"""


@pytest.fixture(scope="module")
def loaded(tiny):  # noqa: F811
    """{job: modules that it loaded}, a job as "rule" or "rule estimator"."""
    found = {}
    for note in tiny.notes:
        estimator = note["wildcards"].get("estimator", "")
        found.setdefault(f"{note['rule']} {estimator}".strip(), set()).update(note["loaded"])
    return found


def followed(jobs, every):
    """These jobs and all that take what they make."""
    todo, seen = list(jobs), set()
    while todo:
        job = todo.pop()
        if job in seen:
            continue
        seen.add(job)
        rule, _, estimator = job.partition(" ")
        for after in FEEDS.get(rule, []):
            if after in AT_CHECKPOINTS and rule == "train_vae" and estimator != TRAJECTORY:
                continue
            todo += [other for other in every if other.split(" ")[0] == after]
    return with_provenance([*seen, "all"] if seen else [])


def edits(project, rng):
    """Ways to edit: a function of the project that says what it did, and the module, if any."""
    package = project.path / "src" / "relax"
    path = rng.choice(sorted(package.rglob("*.py")))
    parts = path.relative_to(package).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")

    def comment():
        path.write_text(text + f"\n# {rng.random()}\n", encoding="utf-8")
        return None

    def docstring():
        words = f'"""Edited: {rng.random()}."""'
        path.write_text(re.sub(r'\A""".*?"""', words, text, flags=re.DOTALL), encoding="utf-8")
        return None

    def layout():
        path.write_text(text.replace("\n\n\n", "\n\n\n\n"), encoding="utf-8")
        return None

    def code():
        path.write_text(text + f"\nEDITED = {rng.random()}\n", encoding="utf-8")
        return module

    return {"comment": comment, "docstring": docstring, "layout": layout, "code": code}


def test_random_edits_rerun_what_they_must(tiny, loaded, tmp_path):  # noqa: F811
    """Of each kind of edit in turn, some on top of others; each dry run is what the model says."""
    rng, differences = random.Random(SEED), []
    every = sorted(loaded)
    for trial in range(TRIALS):
        project = tiny.copied(tmp_path / f"copy {trial}")
        touched, changes, done, environment = set(), {}, [], {}
        for _ in range(EDITS):
            kind = rng.choice(["comment", "docstring", "layout", "code", "setting", "registry"])
            if kind == "setting":
                key = rng.choice(sorted(EDITED_KEYS))
                value, jobs = EDITED_KEYS[key]
                changes[key] = value
                touched |= set(jobs)
                done.append(f"{key}: {value}")
            elif kind == "registry":
                estimator, jobs = edit_registry(project, rng, every)
                touched |= jobs
                done.append(f"registry: {estimator}")
            else:
                module = edits(project, rng)[kind]()
                done.append(f"{kind} {module or ''}")
                if module:
                    touched |= {job for job in every if module in loaded[job]}
        if trial % 10 == 9:  # a lock with another torch, installed
            environment = another_torch(tmp_path)
            touched |= set(every)
            done.append("torch")
        config = write_config(tmp_path, changes) if changes else TINY
        planned = project.planned(config=config, environment=environment)
        expected = followed(touched - {"all", "provenance"}, every)
        if planned != expected:
            odd = sorted(set(planned) ^ set(expected))
            differences.append(f"after {done}: {odd}")
    assert differences == []


def edit_registry(project, rng, every):
    """Change what the registry says of an estimator that the tiny run uses."""
    path = project.path / "src" / "relax" / "estimators" / "registry.py"
    text = path.read_text(encoding="utf-8")
    name = rng.choice(["rebar", "relax", "concrete"])
    before = text
    text = re.sub(
        rf'("relax\.estimators\.{name}",.*?)"temperature"', r'\1"temperature", "squash"', text,
        count=1, flags=re.DOTALL,
    )  # fmt: skip
    assert text != before
    path.write_text(text, encoding="utf-8")
    readers = ("figure", "table", "theory")
    jobs = {job for job in every if job.startswith(readers) or job.endswith(f" {name}")}
    measured = {"rebar", "relax"}  # by the rules at the checkpoints, besides the trajectory's own
    if name in measured:
        jobs |= {job for job in every if job.split(" ")[0] in AT_CHECKPOINTS[:2]}
    return name, jobs


def another_torch(folder):
    """An environment in which torch's version is another."""
    site = folder / "site" / "torch-9.9.9.dist-info"
    site.mkdir(parents=True, exist_ok=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n")
    return {"PYTHONPATH": str(site.parent)}
