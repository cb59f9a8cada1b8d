"""The documentation's site: built without a warning, and without anything from elsewhere."""

import os
import re
import shutil
import subprocess
import sys

from workflow.project import ROOT


def build(root, target):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", target]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # its makers' news, on every build
    return subprocess.run(command, cwd=root, env=quiet, capture_output=True, text=True, check=False)


def test_the_site_builds(tmp_path):
    """Every page of it, the reference from the docstrings, and no font or script from a network."""
    made = build(ROOT, tmp_path)
    assert made.returncode == 0, made.stderr
    assert "WARNING" not in made.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.html")}
    sources = [p.relative_to(ROOT / "docs").with_suffix(".html") for p in ROOT.glob("docs/**/*.md")]
    assert {path.as_posix() for path in sources} <= set(pages)
    assert "d E[f(b)] / d logits" in pages["api/estimators.html"].read_text(encoding="utf-8")
    elsewhere = re.compile(r'<(?:script|link|img)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    assert [name for name, path in pages.items() if elsewhere.search(path.read_text("utf-8"))] == []


def test_a_link_to_nowhere_is_an_error(tmp_path):
    """The control."""
    for part in ("docs", "results/README.md", "figures/README.md", "mkdocs.yml"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (tmp_path / part).parent.mkdir(exist_ok=True)
        copy(ROOT / part, tmp_path / part)
    (tmp_path / "src").symlink_to(ROOT / "src")
    with open(tmp_path / "docs" / "data.md", "a", encoding="utf-8") as page:
        page.write("\nSee [nothing](nowhere.md).\n")
    made = build(tmp_path, tmp_path / "site")
    assert made.returncode != 0
    assert "nowhere.md" in made.stderr
