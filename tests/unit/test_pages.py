"""README and the documentation: pages agree with their tables, and links lead somewhere."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from relax.runs.tables import write_table

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
READ = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "results/README.md", ROOT / "figures/README.md"]
RESULTS = [page for page in PAGES if page.parent.name == "results"]
WRITTEN = re.compile(r"<!-- (\w+) (\S+)(.*?) -->\n(.*?)<!-- end -->", re.DOTALL)


def name(page):
    return str(page.relative_to(ROOT))


def text(page):
    return page.read_text(encoding="utf-8")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages():
    """docs/pages.py, a script and no part of the package."""
    return load(DOCS / "pages.py")


@pytest.fixture(scope="module")
def published(pages):
    return pages.Published(DOCS / "tables")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_agrees_with_its_tables(pages, published, page):
    """What stands between its comments is what `make pages` writes there."""
    assert pages.filled(text(page), page, published) == text(page), "run `make pages`"


def test_one_changed_number_is_seen(pages, tmp_path):
    """The control: another digit in a table, and the pages that show it disagree."""
    tables = shutil.copytree(DOCS / "tables", tmp_path / "tables")
    path = tables / "mnist_linear1" / "vae.csv"
    table = pd.read_csv(path)
    table.loc[table.index[-1], "best_train_elbo"] -= 0.01
    table.to_csv(path, index=False)
    changed = pages.Published(tables)
    differ = {name(p) for p in PAGES if pages.filled(text(p), p, changed) != text(p)}
    assert differ == {"docs/results/mnist.md"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("table default/vea", "no table default/vea: there are "),
        ("table default/vae model=linear9", "no row of default/vae has {'model': 'linear9'}"),
        ("table default/vae colour=red", "no column 'colour' in default/vae"),
        ("table default/vae show=colour", "no column 'colour'"),
        (
            "table default/vae rows=model columns=rate cells=estimator",
            "do not tell the rows apart",
        ),
        ("claims default fig99", "no claim of default rests on fig99"),
        ("run nowhere", "no table nowhere/provenance"),
    ],
)
def test_a_comment_that_asks_for_what_is_not_there(pages, published, asked, words):
    """One sentence, with the page and the comment."""
    with pytest.raises(pages.PageError) as error:
        pages.filled(f"<!-- {asked} -->\n\n<!-- end -->\n", DOCS / "page.md", published)
    assert words in str(error.value)
    assert str(error.value).startswith(f"page.md: <!-- {asked} -->")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_number_has_its_command(page):
    """A page that shows a run's table says what made the run."""
    asked = [(kind, run.partition("/")[0]) for kind, run, _, _ in WRITTEN.findall(text(page))]
    assert {run for _, run in asked} == {run for kind, run in asked if kind == "run"}


# Numbers of prose that no run of ours has made.
OF_THE_PAPER = {"2,000,000", "5,000,000"}
LEVELS = {"95%"}


def prose(page):
    """A page without what is written into it, code, links' targets and figures' numbers."""
    rest = WRITTEN.sub("", text(page))
    rest = re.sub(r"```.*?```|`[^`]*`|^    .*?$", " ", rest, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"[Ff]igures? \d+(?:(?:, | and | to )\d+)*|1/2|\]\(\S+?\)", " ", rest)


@pytest.mark.parametrize("page", RESULTS, ids=name)
def test_prose_states_no_number_that_is_not_in_a_table(page):
    shown = set(re.findall(r"\d[\d,.]*\d|\d", "".join(w[3] for w in WRITTEN.findall(text(page)))))
    said = set(re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?%?", prose(page)))
    assert said - OF_THE_PAPER - LEVELS - shown - {"0", "1"} == set()


def test_the_readme_is_a_page():
    assert len(text(ROOT / "README.md").splitlines()) <= 150


def test_the_readmes_example_runs_and_learns():
    """As it stands there; the loss falls from that of fair coins."""
    (code,) = re.findall(r"```python\n(.*?)```", text(ROOT / "README.md"), re.DOTALL)
    place = {}
    exec("import torch\ntorch.manual_seed(0)\n" + code, place)
    start = 4 * 0.0 + place["cost"](place["torch"].full((1, 8), 0.5)).item()
    assert start < 0.05  # the mean of b is nearly right from the start; the cost is in its spread
    assert place["loss"].mean() < 0.2


LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page):
    """The anchors of a page's headings, as the site and code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text(page), flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in headings}


@pytest.mark.parametrize("page", READ, ids=name)
def test_links_lead_somewhere(page):
    """Every relative link, and its anchor."""
    body = re.sub(r"```.*?```|`[^`\n]*`|^    .*$", "", text(page), flags=re.DOTALL | re.MULTILINE)
    for link in LINK.findall(body):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_times_every_figure():
    """Each that has a caption is among the rows that `times` fills."""
    rows = pd.read_csv(DOCS / "figures.csv", dtype=str)
    listed = set()
    for figures in rows.figures:
        first, _, last = figures.partition(" to ")
        named = range(int(first), int(last) + 1) if last else map(int, figures.split(", "))
        listed |= {int(number) for number in named}
    captions = [path.name for path in (ROOT / "workflow/report").glob("fig*.rst")]
    numbers = [re.match(r"fig(\d+)_", each) for each in captions]
    assert listed == {int(number[1]) for number in numbers if number}
    stems = re.findall(r"`figures/(\w+)\.pdf`", " ".join(rows.targets))
    assert [s for s in stems if not (ROOT / "workflow/report" / f"{s}.rst").exists()] == []


def test_the_site_has_every_page():
    """And names none that is not there."""
    _, _, nav = text(ROOT / "mkdocs.yml").partition("\nnav:\n")
    named = re.findall(r"[\w/-]+\.md$", nav.partition("\n\n")[0], re.MULTILINE)
    assert sorted(named) == sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md"))


def test_the_reference_has_every_room():
    shown = "".join(text(page) for page in (DOCS / "api").glob("*.md"))
    rooms = [path.parent.name for path in (ROOT / "src/relax").glob("*/__init__.py")]
    assert [room for room in rooms if f"::: relax.{room}\n" not in shown] == []


def test_the_front_door_says_what_each_name_is():
    hooks = load(DOCS / "hooks.py")
    names = hooks.front_door()
    assert {"Expectation", "load_estimator", "enumerate_gradient"} <= set(names)
    assert [each for each, module in names.items() if not hooks.says(each, module)] == []
    page = hooks.on_page_markdown(text(DOCS / "api/index.md"))
    assert all(f"[`relax.{each}`]" in page for each in names)


NAMED = ["estimators.md", "errata.md", "extending.md", "data.md", "running.md", "index.md"]
MADE_UP = {"src/relax/estimators/baseline.py"}  # the example of extending.md


@pytest.mark.parametrize("page", [DOCS / each for each in NAMED] + READ[-3:], ids=name)
def test_files_that_are_named_are_there(page):
    """Paths of code, from the project's folder or from the package's."""
    found = set(re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:py|smk|sh|yaml))`", text(page))) - MADE_UP
    places = (ROOT, ROOT / "src/relax", ROOT / "src")
    mine = ("my/", "NAME/", "results/", "config/own")
    gone = [f for f in found if not any((p / f).exists() for p in places)]
    assert [f for f in gone if not f.startswith(mine) and "NAME" not in f] == []


@pytest.fixture
def finished(tmp_path):
    """A project whose run has ended: its results are the published ones, a digit changed."""
    for part in ("docs", "benchmarks"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "figures").mkdir()
    made = shutil.copytree(DOCS / "tables" / "default", tmp_path / "results" / "tables")
    facts = pd.read_csv(made / "provenance.csv", dtype=str)
    facts = facts[facts.topic != "run"]
    facts.loc[facts.item == "commit", "value"] = "c0ffee" * 7
    facts.to_csv(made / "provenance.csv", index=False)
    Image.new("RGB", (7, 5), "red").save(tmp_path / "figures" / "fig1_toy_training.png")
    return tmp_path


def run(project, *words):
    command = [sys.executable, project / "docs" / "pages.py", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_publishing_a_run(finished):
    """Its tables and pictures are taken, its command noted, and the pages written."""
    done = run(finished, "publish", "--command", "snakemake --cores 7")
    assert done.returncode == 0, done.stderr
    assert "README.md" in done.stdout
    readme = (finished / "README.md").read_text(encoding="utf-8")
    assert "Made by `snakemake --cores 7` at commit `c0ffeec0ffee`" in readme
    with Image.open(finished / "docs/gallery/fig1_toy_training.png") as picture:
        assert picture.size == (7, 5)
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    assert run(finished).stdout == "written: nothing has changed\n"


def test_publishing_what_has_not_ended(finished):
    """One sentence, and nothing is changed."""
    (finished / "results/tables/provenance.csv").unlink()
    before = sorted((finished / "docs/tables/default").iterdir())
    done = run(finished, "publish")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "let the whole run end first" in done.stderr
    assert sorted((finished / "docs/tables/default").iterdir()) == before


def test_publishing_a_part(finished):
    """With what it was started with: the claims of its experiments, times and provenance."""
    folder = finished / "results" / "part"
    made_up = {"claims_toy": {"claim": ["one"]}, "claims_vae": {"claim": ["two"]}, "rl": {"a": [1]}}
    for name, table in made_up.items():
        write_table(pd.DataFrame(table), folder / "tables" / f"{name}.csv")
        benchmark = folder / "benchmarks" / "tables" / f"{name}.tsv"
        benchmark.parent.mkdir(parents=True, exist_ok=True)
        benchmark.write_text("s\th:m:s\n1.5\t0:00:01\n")
    (finished / "figures" / "part").mkdir()
    shutil.copy(ROOT / "config.yaml", finished)
    mine = finished / "mine.yaml"
    mine.write_text("preset: part\ndata: {mirror: /home/me/data}\ntoy: {seeds: 7}\n")
    done = run(finished, "publish", "part")
    assert "name what it was started with, --configfile" in done.stderr
    done = run(finished, "publish", "part", "--configfile", mine, "--note", "by hand")
    assert done.returncode == 0, done.stderr
    target = finished / "docs" / "tables" / "part"
    assert sorted(path.stem for path in target.iterdir()) == ["claims", "provenance", "rl"]
    assert list(pd.read_csv(target / "claims.csv").claim) == ["one", "two"]
    facts = pd.read_csv(target / "provenance.csv").set_index(["topic", "item"]).value
    assert facts["config", "toy.seeds"] == "7"
    assert ("config", "data.mirror") not in facts
    assert facts["seconds", "all jobs"] == "4.5"
    assert facts["run", "note"] == "by hand"


def test_publishing_a_benchmark(finished):
    """Its table, the command that writes it, and where it ran; the run beside it is left alone."""
    before = {path: path.read_bytes() for path in (finished / "docs/tables/default").iterdir()}
    target = finished / "docs/tables/policy_speed"
    shutil.rmtree(target)
    done = run(finished, "publish", "policy_speed")
    assert done.returncode == 1
    assert "there is no " in done.stderr
    assert "`python benchmarks/control.py` writes it" in done.stderr
    assert not target.exists()
    table = pd.read_csv(DOCS / "tables/policy_speed/bench_policies.csv")
    write_table(table.assign(machine="mine"), finished / "results/tables/bench_policies.csv")
    done = run(finished, "publish", "policy_speed", "--note", "by night")
    assert done.returncode == 0, done.stderr
    assert sorted(path.stem for path in target.iterdir()) == ["bench_policies", "provenance"]
    facts = pd.read_csv(target / "provenance.csv").set_index(["topic", "item"]).value
    assert facts["run", "command"] == "python benchmarks/control.py"
    assert facts["run", "note"] == "by night"
    assert facts["machine", "mine"] == "1 thread"
    page = (finished / "docs/results/policies.md").read_text(encoding="utf-8")
    assert "Made by `python benchmarks/control.py` at commit" in page
    assert before == {path: path.read_bytes() for path in before}


def test_what_is_not_published_yet_can_be_said_in_words(pages, published):
    """A table and claims that an older run lacks; asked for without words it is still an error."""
    for asked in ("table default/absent", "claims default absent"):
        page = f'<!-- {asked} without="not yet" -->\n\n<!-- end -->\n'
        assert "\nnot yet\n" in pages.filled(page, DOCS / "page.md", published)
        with pytest.raises(pages.PageError):
            pages.filled(f"<!-- {asked} -->\n\n<!-- end -->\n", DOCS / "page.md", published)
