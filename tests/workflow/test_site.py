"""The documentation's site: built without a warning, and without anything from elsewhere."""

import os
import re
import shutil
import subprocess
import sys

from workflow.project import ROOT


def test_the_site_builds(tmp_path):
    """Every page, the reference from the docstrings, and no font or script from a network.

    Built from a copy with a link to nowhere, as a control: that is an error, and the only one.
    """
    for part in ("docs", "results/README.md", "figures/README.md", "mkdocs.yml"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (tmp_path / part).parent.mkdir(exist_ok=True)
        copy(ROOT / part, tmp_path / part)
    (tmp_path / "src").symlink_to(ROOT / "src")
    with open(tmp_path / "docs" / "data.md", "a", encoding="utf-8") as page:
        page.write("\nSee [nothing](nowhere.md).\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # its makers' news, on every build
    made = subprocess.run(
        command, cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False
    )
    assert made.returncode != 0
    (warning,) = [line for line in made.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
    assert "'data.md' contains a link 'nowhere.md'" in warning
    site = tmp_path / "site"
    pages = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    sources = [p.relative_to(ROOT / "docs").with_suffix(".html") for p in ROOT.glob("docs/**/*.md")]
    assert {path.as_posix() for path in sources} <= set(pages)
    assert "d E[f(b)] / d logits" in pages["api/estimators.html"].read_text(encoding="utf-8")
    elsewhere = re.compile(r'<(?:script|link|img)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    assert [name for name, path in pages.items() if elsewhere.search(path.read_text("utf-8"))] == []
