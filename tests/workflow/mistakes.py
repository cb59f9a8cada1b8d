"""What can be wrong in a configuration, and what can be otherwise: every key, by its schema."""

import copy
import datetime
import math
import re
from collections import namedtuple

# A value that is changed: where, in words how, to what, and the key that a message must name.
Change = namedtuple("Change", ["path", "how", "value", "key"])
GONE = object()  # the key is taken away

# One value of each kind that YAML can write.
KINDS = {
    "null": None,
    "boolean": True,
    "integer": 3,
    "number": 0.5,
    "string": "words",
    "array": ["words"],
    "object": {"words": 1},
    "date": datetime.date(2018, 4, 30),
    "set": {"words"},
}
LIMITS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
UNDERSTOOD = {
    *("$schema", "$defs", "$ref", "title", "description", "type", "enum", "format", "pattern"),
    *("properties", "required", "additionalProperties", "propertyNames", "items"),
    *("minItems", "maxItems", "uniqueItems", "minLength", "maxLength", *LIMITS),
}


def key_of(path):
    """A path as messages write it: toy.targets[0]."""
    words = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(words).removeprefix(".")


def applied(config, *changes):
    """A copy of the configuration with these changes."""
    config = copy.deepcopy(config)
    for path, _, value, _ in changes:
        block = config
        for part in path[:-1]:
            block = block[part]
        if value is GONE:
            del block[path[-1]]
        else:
            block[path[-1]] = copy.deepcopy(value)
    return config


class Walk:
    """A walk through a schema, beside a configuration that it allows.

    `met` are the schema's keys that the configuration has, `missed` those that it lacks.
    """

    def __init__(self, schema):
        self.schema, self.met, self.missed = schema, set(), set()

    def resolved(self, node):
        """The node that a reference stands for; no word of it may be one that is unknown here."""
        if "$ref" in node:
            return self.resolved(self.schema["$defs"][node["$ref"].removeprefix("#/$defs/")])
        assert set(node) <= UNDERSTOOD, f"extend the walk: {sorted(set(node) - UNDERSTOOD)}"
        return node

    def children(self, node, value, path):
        """What a value contains: nodes, values and paths."""
        if isinstance(value, list) and value:
            yield node["items"], value[0], (*path, 0)
        if not isinstance(value, dict):
            return
        for name, child in node.get("properties", {}).items():
            if name in value:
                self.met.add(key_of((*path, name)))
                yield child, value[name], (*path, name)
            else:
                self.missed.add(key_of((*path, name)))
        if "propertyNames" in node:
            yield from (
                (node["additionalProperties"], child, (*path, name))
                for name, child in value.items()
            )

    def every(self, changes, node, value, path=()):
        """The changes of this value and of all that it contains."""
        node = self.resolved(node)
        for how, to, *names in changes(node, value):
            yield Change((*path, *names), how, to, key_of((*path, *map(str, names))))
        for child in self.children(node, value, path):
            yield from self.every(changes, *child)

    def mistakes(self, config):
        """One change for each way in which the schema can be disobeyed."""
        changes = [c for c in self.every(_mistakes, self.schema, config) if c.path]
        named_by_parent = [
            # A bad name in a block of names is told by the block's own key.
            Change((*c.path, c.value), c.how, {}, c.key)
            for c in self.every(_bad_names, self.schema, config)
        ]
        return changes + named_by_parent

    def variations(self, config):
        """Changes that the schema allows."""
        return list(self.every(_variations, self.schema, config))


def _types(node):
    if "enum" in node:
        return ["string"]
    types = node["type"] if isinstance(node["type"], list) else [node["type"]]
    return [*types, "integer"] if "number" in types else types


def _mistakes(node, value):
    types = _types(node)
    yield from ((kind, example) for kind, example in KINDS.items() if kind not in types)
    if "integer" in types:
        yield from _bad_numbers(node, whole="number" not in types)
    if "string" in types:
        yield from _bad_texts(node, value)
    if "array" in types:
        yield from _bad_lists(node, value)
    if node.get("additionalProperties") is False:
        yield "unknown", 1, "unheard_of"
        yield "not text", 1, 5
        for name in node.get("required", ()):
            yield "missing", GONE, name


def _bad_numbers(node, whole):
    smallest = 1 if whole else 1e-9
    for limit in LIMITS:
        if limit in node:
            away = -smallest if "inimum" in limit else smallest
            beyond = node[limit] if "exclusive" in limit else node[limit] + away
            yield f"beyond {limit}", beyond
            yield f"far beyond {limit}", node[limit] + away * 10**12
    yield from (("not finite", v) for v in (math.nan, math.inf, -math.inf))
    yield from (("too large", v) for v in (2**63, 10**400, -(10**400)))
    yield "negative zero", -0.0
    yield from (("text", v) for v in ("3", "1e-3", ""))
    if whole:
        yield from (("not whole", v) for v in (1.5, 1000.0, 1e300))


def _bad_texts(node, value):
    if "enum" in node or "format" in node:
        # Where nothing is named, any name that the configuration has serves as an example.
        name = node["enum"][0] if "enum" in node else value or "rebar"
        unknown = ("", "unheard_of", name.upper(), name + " ", name + "\n")
        yield from (("unknown name", v) for v in unknown)
    if "pattern" in node:
        yield from (("pattern", v) for v in _unlike(node["pattern"], value))
    if "minLength" in node:
        yield "too short", "x" * (node["minLength"] - 1)
    if "maxLength" in node:
        yield "too long", "x" * (node["maxLength"] + 1)


def _bad_lists(node, value):
    if "minItems" in node:
        yield "too short", value[: node["minItems"] - 1]
    if "maxItems" in node:
        yield "too long", [value[0]] * (node["maxItems"] + 1)
    if node.get("uniqueItems"):
        yield "duplicate", [*value, value[0]]
    yield "a list in a list", [[]]


def _bad_names(node, value):
    if "propertyNames" in node:
        names = node["propertyNames"]
        example = next(iter(value))
        bad = [*_unlike(names["pattern"], example), 5, None, True]
        bad += ["x" * (names["maxLength"] + 1)] if "maxLength" in names else []
        yield from (("bad name", name) for name in bad)


def _unlike(pattern, example):
    """Texts that a pattern should not allow; one that ends must allow nothing behind its end."""
    whole = pattern.endswith(("$", "\\Z"))
    like = re.fullmatch if whole else re.match
    texts = ["", " ", f" {example}", f"{example}\n", f"{example}é", f"../{example}", f"-{example}"]
    return [text for text in texts if not like(pattern, text)]


OTHER_THAN_NULL = {"string": "some text", "integer": 7}


def _variations(node, value):
    if "enum" in node:
        yield from (("another name", name) for name in node["enum"] if name != value)
        return
    types = _types(node)
    if "null" in types:
        yield "null", None
        if value is None:
            others = {} if "format" in node else OTHER_THAN_NULL
            yield from ((kind, others[kind]) for kind in types if kind in others)
            return
    if "boolean" in types:
        yield "the other", not value
    if "integer" in types and "number" not in types:
        yield "one more", value + 1
    elif "number" in types:
        bounds = [node[limit] for limit in LIMITS if limit in node]
        yield from (("nearer", (value + bound) / 2) for bound in bounds)
        yield from (("the limit", node[key]) for key in ("minimum", "maximum") if key in node)
        yield "a little more", value + 1e-6
    if "array" in types:
        yield "the other way round", value[::-1]
