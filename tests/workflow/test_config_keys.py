"""Keys of the configuration: each once, each required, each explained."""

import math

import pytest
import yaml
from workflow.project import ROOT, TINY, changed
from workflow.test_bad_config import (
    DEFAULT,
    REPEATED,
    SCHEMA,
    refusal,
)

from relax.errors import ConfigError
from relax.runs.config import check_config, check_keys_stand_once, check_preset, settle
from relax.runs.environments import filled


def test_a_key_that_stands_twice_is_named(tmp_path):
    """YAML would take the last without a word; the same key in another block is no mistake."""
    path = tmp_path / "twice.yaml"
    path.write_text(REPEATED, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        check_keys_stand_once([ROOT / "config.yaml", path])
    assert str(error.value).splitlines() == [
        "the configuration has keys twice:",
        f"  {path}, line 5: 'steps' stands on line 3 already; keep one",
        f"  {path}, line 6: 'models' stands on the same line already; keep one",
    ]


def test_keys_that_stand_once_are_accepted(tmp_path):
    """In every preset, a block that refers to itself, an empty file, and JSON with tabs."""
    odd = tmp_path / "odd.yaml"
    odd.write_text("toy: &toy {steps: 1, again: *toy}\nvae: [*toy, *toy]\n", encoding="utf-8")
    empty = tmp_path / "empty.yaml"
    empty.write_text("", encoding="utf-8")
    json = tmp_path / "tabs.json"
    json.write_text('{"toy":\n\t{"steps": 1}}', encoding="utf-8")
    presets = [ROOT / "config.yaml", *(ROOT / "config").glob("*.yaml")]
    check_keys_stand_once([*presets, odd, empty, json])


@pytest.mark.parametrize("preset", ["own", "OWN", "Logs"])
def test_a_folder_of_the_default_preset_is_no_name(preset):
    """Whatever a rule writes to, also one that is added tomorrow, and where case is ignored."""
    folder = f"results/{preset}"
    paths = [f"{folder}/own/{{estimator}}/a.csv", f"{folder}/logs/a.log", "theirs/tomorrow/a.csv"]
    with pytest.raises(ConfigError, match=f"'{preset}' is a folder of the default preset; take"):
        check_preset(preset, folder, paths)
    check_preset("tomorrow", "results/tomorrow", [*paths, "results/tomorrow/tomorrow.csv"])


def test_the_trajectory_follows_the_list():
    """Who asks for RELAX alone need not know of figure 4's setting."""
    for estimators, trajectory in ((["relax"], "relax"), (["nvil", "rebar"], "rebar")):
        config = changed(DEFAULT, {"vae.estimators": estimators})
        check_config(config, SCHEMA)
        settle(config)
        assert config["vae"]["variance"]["trajectory"] == trajectory
    chosen = changed(DEFAULT, {"vae.variance.trajectory": "relax"})
    settle(chosen)
    assert chosen["vae"]["variance"]["trajectory"] == "relax"


def test_every_mistake_is_named():
    """A user who made three learns of three at once."""
    config = changed(DEFAULT, {"toy.steps": 0, "vae.batch": "all", "vae.noise": "none"})
    message = refusal(config)
    for key in ("toy.steps", "vae.batch", "vae.noise"):
        assert f"  {key}: " in message
    message = refusal(changed(DEFAULT, {"vae.variance.trajectory": "exact"}))
    assert "vae.variance.trajectory: 'exact' takes at most 16 latents" in message
    assert "vae.variance.trajectory: must be one of vae.estimators" in message


def leaves(block, path=()):
    for key, value in block.items():
        # The names in there are the user's, and what a block leaves out has its default.
        if path[:2] != ("rl", "environments") or key == "id":
            yield ".".join((*path, key))
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))


@pytest.mark.parametrize("key", list(leaves(DEFAULT)))
def test_every_key_is_required(key):
    """A preset cannot take one away, but another program that builds a configuration can."""
    config = changed(DEFAULT, {})
    block = config
    *path, last = key.split(".")
    for part in path:
        block = block[part]
    del block[last]
    assert f"  {key}: missing" in refusal(config)


@pytest.mark.parametrize("key", list(leaves(DEFAULT)))
def test_no_key_takes_a_value_that_is_not_a_number(key):
    """A NaN anywhere is refused, by its key."""
    assert f"  {key}: " in refusal(changed(DEFAULT, {key: math.nan}))


def test_the_presets_are_valid():
    """The default as it is; every other one, and the tests' own, on top of it."""
    check_config(DEFAULT, SCHEMA)
    for path in [TINY, TINY.with_name("mirror.yaml"), *(ROOT / "config").glob("*.yaml")]:
        overrides = yaml.safe_load(path.read_text(encoding="utf-8"))
        check_config(filled(DEFAULT, overrides), SCHEMA)
        assert overrides["preset"] != "default", path.name  # it would write over the default's
