"""The JSON Schema of recipes: what an editor needs to complete and check them.

It is made from the components that are registered, so it knows the plugins that are installed.
What only the program can tell, such as what this machine lacks, is not in it.
"""

from __future__ import annotations

from typing import Any

from varkit.describe import summary
from varkit.errors import PluginError
from varkit.plugins import Plugins
from varkit.registry import KINDS, Entry, Kind
from varkit.schema import Option, options_of
from varkit.sections import SECTIONS, VERSION, Section

Schema = dict[str, Any]


def json_schema(plugins: Plugins) -> Schema:
    """Return the schema (draft 2020-12) of recipes that use the components of ``plugins``."""
    beside = {section.kind: section.options for section in SECTIONS.values()}
    definitions: Schema = {kind: _choice(kind, plugins) for kind in KINDS}
    for entry in plugins.registry:
        definitions[_key(entry.kind, entry.name)] = _component(entry, beside[entry.kind])
    schema: Schema = {
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
            **{name: _section(section) for name, section in SECTIONS.items()},
            "embedded": {
                "type": ["object", "null"],
                "properties": {n: _section(s, partial=True) for n, s in SECTIONS.items()},
                "additionalProperties": False,
                "description": "Overrides that apply where something is missing.",
            },
        },
        "required": ["version", *(name for name, s in SECTIONS.items() if s.required)],
        "additionalProperties": False,
    }
    _hoist(definitions, definitions)
    _hoist(schema, definitions)
    return schema | {"$defs": definitions}


def _section(section: Section, *, partial: bool = False) -> Schema:
    """Return a section's schema; ``partial`` as in the embedded block, where ``use`` may lack."""
    described: Schema = {"description": section.summary}
    if section.kind is None:
        return described | _block(options_of(section.options)) | {"type": ["object", "null"]}
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


def _choice(kind: Kind, plugins: Plugins) -> Schema:
    """Return the schema of any component of a kind: ``use`` decides what else may be there."""
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


def _component(entry: Entry, beside: type[Any]) -> Schema:
    """Return the schema of one component; of one that cannot be loaded here, anything goes."""
    try:
        cls = entry.load()
        block = _block({**options_of(beside), **options_of(cls)})
    except PluginError as error:
        return {"description": error.what}
    block["properties"] = {"use": {"const": entry.name}} | block["properties"]
    return {"description": summary(cls) or entry.summary} | block


def _block(options: dict[str, Option]) -> Schema:
    return {
        "type": "object",
        "properties": {name: _option(option) for name, option in options.items()},
        "required": [name for name, option in options.items() if option.required],
        "additionalProperties": False,
    }


def _option(option: Option) -> Schema:
    schema: Schema = option.adapter().json_schema()
    if option.doc:
        schema["description"] = option.doc
    if not option.required:
        schema["default"] = option.plain_default()
    return schema


def _key(kind: Kind, name: str) -> str:
    return f"{kind}.{name}"


def _hoist(schema: Any, definitions: Schema) -> None:
    """Move the definitions of nested types to the top, where their references look for them."""
