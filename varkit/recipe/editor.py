"""The JSON Schema of recipes, with which an editor completes and checks them.

It is made from the registered components, so it covers all installed plugins. It leaves out what
only the program can check, such as what this machine lacks.
"""

from __future__ import annotations

from typing import Any

from varkit.errors import PluginError
from varkit.plugins.loading import Plugins
from varkit.plugins.registry import Entry
from varkit.recipe.check import SECTIONS, VERSION, Section
from varkit.recipe.descriptions import summary
from varkit.recipe.options import Option, options_of

Schema = dict[str, Any]


def json_schema(plugins: Plugins) -> Schema:
    """Return the schema (draft 2020-12) of recipes that use the components of ``plugins``."""
    beside = {section.kind: section.options for section in SECTIONS.values() if section.kind}
    definitions: Schema = {kind: _choice(kind, plugins) for kind in beside}
    for entry in plugins.registry:
        if entry.kind in beside:
            key = _key(entry.kind, entry.name)
            definitions[key] = _component(entry, beside[entry.kind], definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "varkit recipe",
        "type": "object",
        "properties": {
            "version": {"const": VERSION, "description": "The version of the format."},
            "plugins": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "description": "Plugin files, relative to the recipe's folder.",
            },
            **{name: _section(s, definitions) for name, s in SECTIONS.items()},
            "embedded": {
                "type": ["object", "null"],
                "properties": {
                    name: _section(s, definitions, partial=True) for name, s in SECTIONS.items()
                },
                "additionalProperties": False,
                "description": "Overrides that apply where something is missing.",
            },
        },
        "required": ["version", *(name for name, s in SECTIONS.items() if s.required)],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _section(section: Section, definitions: Schema, *, partial: bool = False) -> Schema:
    """Return a section's schema; in a ``partial`` one, the embedded block, ``use`` is optional."""
    described: Schema = {"description": section.summary}
    if section.kind is None:
        block = _block(options_of(section.options), definitions)
        return described | block | {"type": ["object", "null"]}
    component: Schema = {"$ref": f"#/$defs/{section.kind}"}
    if not partial:
        component["required"] = ["use"]
    optional: Schema = {"anyOf": [component, {"type": "null"}]}
    if not section.named:
        return described | (component if section.required else optional)
    return described | {
        "type": "object" if section.required else ["object", "null"],
        "propertyNames": {"pattern": r"^[^\W\d]\w*$"},
        "additionalProperties": optional,
    }


def _choice(kind: str, plugins: Plugins) -> Schema:
    """Return the schema of any component of a kind: ``use`` decides which options it has."""
    entries = [entry for entry in plugins.registry if entry.kind == kind]
    return {
        "type": "object",
        "properties": {
            "use": {
                "enum": [entry.name for entry in entries],
                "description": "; ".join(f"{entry.name}: {entry.summary}" for entry in entries),
            }
        },
        "allOf": [
            {
                "if": {"properties": {"use": {"const": entry.name}}, "required": ["use"]},
                "then": {"$ref": f"#/$defs/{_key(kind, entry.name)}"},
            }
            for entry in entries
        ],
    }


def _component(entry: Entry, beside: type[Any], definitions: Schema) -> Schema:
    """Return the schema of one component; if it cannot be loaded here, anything is valid."""
    try:
        with entry.contained():
            cls = entry.load()
            block = _block({**options_of(beside), **options_of(cls)}, definitions)
    except PluginError as error:
        return {"description": error.what}
    block["properties"] = {"use": {"const": entry.name}} | block["properties"]
    return {"description": summary(cls) or entry.summary} | block


def _block(options: dict[str, Option], definitions: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {name: _option(option, definitions) for name, option in options.items()},
        "required": [name for name, option in options.items() if option.required],
        "additionalProperties": False,
    }


def _option(option: Option, definitions: Schema) -> Schema:
    schema: Schema = option.adapter().json_schema()
    definitions |= schema.pop("$defs", {})  # references expect nested types at the top
    if option.doc:
        schema["description"] = option.doc
    if not option.required:
        schema["default"] = option.plain_default()
    return schema


def _key(kind: str, name: str) -> str:
    return f"{kind}.{name}"
