"""What the site's generator is told beside `mkdocs.yml`: the names at the library's front door."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "relax"
PLACE = "<!-- the names of relax -->"


def front_door():
    """The names that `import relax` offers, each with the module it lives in."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (home,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME"
    ]
    return {name: f"relax.{module}" for name, module in ast.literal_eval(home).items()}


def says(name, module):
    """The first paragraph of its docstring, on one line."""
    source = (PACKAGE.parent / module.replace(".", "/")).with_suffix(".py").read_text("utf-8")
    (node,) = [node for node in ast.parse(source).body if getattr(node, "name", None) == name]
    return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())


def release():
    """The package's version, as its source states it."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (version,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    return ast.literal_eval(version)


def on_config(config, **_):
    """Let every page's foot say which release it is of."""
    config.copyright = f"relax-reproduction {release()}"
    return config


def on_page_markdown(markdown, **_):
    """Write the list of names where a page asks for it."""
    if PLACE not in markdown:
        return markdown
    rows = [
        f"| [`relax.{name}`][{module}.{name}] | {says(name, module)} |"
        for name, module in front_door().items()
    ]
    return markdown.replace(PLACE, "\n".join(["| name | what |", "| --- | --- |", *rows]))
