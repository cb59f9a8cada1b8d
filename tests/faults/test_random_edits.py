"""Random edits of the project, against a model of what must run again.

What a job depends on in the package is measured: the modules that it had loaded when it ended
(`workflow/probe.py`). What follows from what is the order of the rules. So the model knows nothing
of digests and declarations, which is what the workflow goes by.
"""

import random
import re
import shutil

import pytest
from workflow.conftest import tiny  # noqa: F401 (a fixture)
from workflow.project import TINY, write_config
from workflow.test_reruns import EDITED_KEYS, with_provenance

TRIALS, EDITS = 50, 4  # dry runs, and edits before each: 200 edits
SEED = 21
ROOT_MODULE = "relax"  # its own __init__, which every job runs


@pytest.fixture(scope="module")
def feeds(tiny):  # noqa: F811
    """{job: the jobs that take what it makes}, by the files that each names, all jobs at once."""
    run = tiny.snakemake("--dry-run", "--forceall")
    made, taken = {}, {}
    for block in re.split(r"^(?:local)?rule (?=\w+:$)", run.stdout, flags=re.MULTILINE)[1:]:
        fields = dict(re.findall(r"^    (input|output|wildcards): (.*)$", block, re.MULTILINE))
        wildcards = dict(w.split("=", 1) for w in fields.get("wildcards", "").split(", ") if w)
        job = f"{block[: block.index(':')]} {wildcards.get('estimator', '')}".strip()
        for what, files in (("output", made), ("input", taken)):
            for file in filter(None, fields.get(what, "").split(", ")):
                files.setdefault(file, set()).add(job)
    assert made
    found = {}
    for file, makers in made.items():
        for job in makers:
            found.setdefault(job, set()).update(taken.get(file, ()))
    return found


@pytest.fixture(scope="module")
def loaded(tiny):  # noqa: F811
    """{job: modules that it loaded}, a job as "rule" or "rule estimator"."""
    found = {}
    for note in tiny.notes:
        estimator = note["wildcards"].get("estimator", "")
        modules = [*note["loaded"], ROOT_MODULE]
        found.setdefault(f"{note['rule']} {estimator}".strip(), set()).update(modules)
    return found


def followed(jobs, feeds):
    """These jobs and all that take what they make."""
    todo, seen = list(jobs), set()
    while todo:
        job = todo.pop()
        if job not in seen:
            seen.add(job)
            todo += feeds.get(job, ())
    return with_provenance([*seen, "all"] if seen else [])


def edits(project, rng):
    """Ways to edit: a function of the project that says what it did, and the module, if any."""
    package = project.path / "src" / "relax"
    path = rng.choice(sorted(package.rglob("*.py")))
    parts = path.relative_to(package).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or ROOT_MODULE
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


def test_random_edits_rerun_what_they_must(tiny, loaded, feeds, tmp_path):  # noqa: F811
    """Of each kind of edit in turn, some on top of others; each dry run is what the model says."""
    rng, differences = random.Random(SEED), []
    every = sorted(loaded)
    for trial in range(TRIALS):
        project = tiny.copied(tmp_path / "copy")
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
                estimator, jobs = edit_registry(project, rng, loaded)
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
        expected = followed(touched - {"all", "provenance"}, feeds)
        for what, odd in (
            ("stale", set(expected) - set(planned)),
            ("for nothing", set(planned) - set(expected)),
        ):
            if odd:
                differences.append(f"after {done}: {what}: {sorted(odd)}")
        shutil.rmtree(project.path)
    assert differences == []


def edit_registry(project, rng, loaded):
    """Change what the registry says of an estimator that the tiny run uses.

    Jobs that load the estimator take its entry; whoever draws, tabulates or judges takes them all.
    """
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
    return name, {
        job
        for job, modules in loaded.items()
        if job.startswith(readers) or f"estimators.{name}" in modules
    }


def another_torch(folder):
    """An environment in which torch's version is another."""
    site = folder / "site" / "torch-9.9.9.dist-info"
    site.mkdir(parents=True, exist_ok=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n")
    return {"PYTHONPATH": str(site.parent)}
