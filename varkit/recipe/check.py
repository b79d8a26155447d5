"""The sections of a recipe, and the check of each against the classes that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any

from varkit.errors import PluginError, did_you_mean
from varkit.interfaces.settings import EvalOptions, ModelOptions, TrainOptions
from varkit.plugins.kinds import KINDS
from varkit.plugins.loading import Plugins
from varkit.recipe.layers import Change, Layers, dotted
from varkit.recipe.options import options_of, supplied_to
from varkit.recipe.problems import Checker, Problem
from varkit.recipe.yaml import Document, KeyPath

VERSION = 1
"""The version of the format that recipes state."""


@dataclass(frozen=True)
class Section:
    """One section of a recipe.

    Attributes:
        summary: what it is, for editors.
        options: its own, or those beside a component's ``use``.
        kind: of its component or components; None = plain options.
        named: whether it holds several components by name.
        required: whether a recipe must have it; if ``named``, with at least one entry.
    """

    summary: str
    options: type[Any]
    kind: str | None = None
    named: bool = False
    required: bool = False


_OF_KINDS = {
    slot.section: Section(
        slot.summary, resolve_name(slot.settings), kind.name, slot.named, slot.required
    )
    for kind in KINDS.values()
    for slot in kind.slots
}
SECTIONS: Mapping[str, Section] = {
    "data": _OF_KINDS["data"],
    "model": Section("What all components agree on.", ModelOptions),
    **_OF_KINDS,
    "train": Section("How the model is trained.", TrainOptions),
    "eval": Section("How the model is measured.", EvalOptions),
}
"""A recipe's sections in the order in which they are written; ``version``, ``plugins`` and
``embedded`` are not sections."""


@dataclass(frozen=True)
class Component:
    """One component of a recipe.

    Attributes:
        kind: what it is.
        use: its name in the registry.
        options: all options of its constructor.
        settings: the options beside ``use`` that are not the constructor's, such as
            ``DetectorSettings``.
        places: paths among the options -> where they lead, if a run is opened in another folder.
    """

    kind: str
    use: str
    options: Mapping[str, Any]
    settings: Any
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def arguments(self) -> dict[str, Any]:
        """The options as its constructor gets them."""
        return {**self.options, **self.places}


@dataclass(frozen=True)
class Checked:
    """The result of a check.

    Attributes:
        layers: what was checked.
        parts: section -> its Component, Components by name, or options; None if the recipe does
            not have the section, or it is faulty.
        problems: everything that is wrong.
    """

    layers: Layers
    parts: dict[str, Any]
    problems: list[Problem]


def components(parts: Mapping[str, Any]) -> dict[KeyPath, Component]:
    """Return all components of a recipe's sections, by their path in the recipe."""
    listed: dict[KeyPath, Component] = {}
    for name, part in parts.items():
        if isinstance(part, Component):
            listed[(name,)] = part
        elif isinstance(part, dict):
            listed |= {(name, key): component for key, component in part.items()}
    return listed


def in_layers(
    document: Document, changes: Sequence[Change], plugins: Plugins, *, embedded: bool = False
) -> Layers:
    """Merge a recipe's layers; keys of its options' blocks may hold dots."""

    def is_block(value: Mapping[str, Any], path: KeyPath) -> bool:
        section = SECTIONS.get(str(path[0]))
        if section is None or len(path) != (3 if section.named else 2):
            return False
        cls: type[Any] = section.options
        try:
            if section.kind is not None:
                component: Any = value
                for key in path[:-1]:
                    component = component[key]
                cls = plugins.get(section.kind, component["use"]).load()
            option = options_of(cls).get(str(path[-1]))
        except (KeyError, TypeError, PluginError):  # the check reports it
            return False
        return option is not None and option.is_block

    return Layers(document, changes, embedded=embedded, is_block=is_block)


def check(layers: Layers, plugins: Plugins) -> Checked:
    """Check every section of a recipe."""
    return _RecipeChecker(layers, plugins).check()


class _RecipeChecker(Checker):
    def __init__(self, layers: Layers, plugins: Plugins) -> None:
        super().__init__(layers)
        self.plugins = plugins

    def check(self) -> Checked:
        value = self.layers.value
        allowed = ("version", "plugins", *SECTIONS, "embedded")
        for key in value:
            if key not in allowed:
                known = f"Known: {', '.join(allowed)}."
                self.problem((key,), f"no such section.{did_you_mean(key, allowed)} {known}")
        if "version" not in value:
            self.problem(("version",), f"is required: {VERSION}")
        elif type(value["version"]) is not int or value["version"] != VERSION:
            self.problem(("version",), f"must be {VERSION}; not {value['version']!r}")
        parts = {name: self.section(name, s, value.get(name)) for name, s in SECTIONS.items()}
        self.combinations(parts)
        return Checked(self.layers, parts, self.problems)

    def combinations(self, parts: Mapping[str, Any]) -> None:
        """Check values that are allowed alone, but not together; faulty sections are None."""
        train, detector, alignments = parts["train"], parts["detector"], parts["alignments"]
        settings = None if detector is None else detector.settings
        if settings is not None and settings.freeze and settings.pretrain_epochs == 0:
            self.problem(
                ("detector", "freeze"),
                "would freeze a detector that was never trained; set pretrain_epochs to at least 1",
            )
        if alignments and not any(part.settings.weight for part in alignments.values()):
            last = ("alignments", list(alignments)[-1], "weight")
            self.problem(last, "every weight is 0; at least one must be above 0")
        if train is None:
            return
        if train.batch_size % train.accumulate:
            self.problem(
                ("train", "batch_size"),
                f"{train.batch_size} is not a multiple of train.accumulate ({train.accumulate})",
            )
        if len(set(train.seeds)) < len(train.seeds):
            self.problem(("train", "seeds"), f"{list(train.seeds)} repeats a seed")
        for prefix in train.lr_factors:
            part, _, rest = prefix.partition(".")
            known: Any = ("video", "query", "alignments", "pretexts", "objective")
            if part in ("alignments", "pretexts") and rest and parts[part] is not None:
                part, known = rest.partition(".")[0], parts[part]
            if part not in known:
                self.problem(
                    ("train", "lr_factors", prefix),
                    f"no part of a model is named {part!r}.{did_you_mean(part, known)} "
                    f"Known: {', '.join(known) or 'none'}.",
                )

    def section(self, name: str, section: Section, value: Any) -> Any:
        if section.kind is None:
            return self.block((name,), section.options, {} if value is None else value)
        if section.named:
            return self.named(name, section, {} if value is None else value)
        if value is None:
            if section.required:
                self.problem((name,), f"is required: {self.example(section.kind)}")
            return None
        return self.component((name,), section.kind, section.options, value)

    def named(self, name: str, section: Section, value: Any) -> dict[str, Component] | None:
        assert section.kind is not None
        if not isinstance(value, dict):
            self.problem((name,), f"must be a block of names, each with its {section.kind}")
            return None
        entries = {key: entry for key, entry in value.items() if entry is not None}
        for key in value:
            if key not in entries:
                self.removed((name, key), f"{section.kind} of this name", entries)
        if section.required and not entries:
            self.problem((name,), f"needs at least one {section.kind}, under a name of your choice")
        components = {}
        for key, entry in entries.items():
            if not key.isidentifier():
                self.problem((name, key), "a name is made of letters, digits and _")
                continue
            others = [other for other in entries if other != key]
            component = self.component((name, key), section.kind, section.options, entry, others)
            if component is not None:
                components[key] = component
        return components

    def component(
        self,
        path: KeyPath,
        kind: str,
        settings_class: type[Any],
        value: Any,
        others: Sequence[str] = (),
    ) -> Component | None:
        if not isinstance(value, dict):
            self.problem(path, f"must be {self.example(kind)}; not {value!r}")
            return None
        use = value.get("use")
        if not isinstance(use, str):
            names = ", ".join(self.plugins.registry.names(kind)) or "none"
            fault = "is required" if use is None else f"must be text; not {use!r}"
            meant = did_you_mean(str(path[-1]), others) if use is None else ""
            listed = f"{KINDS[kind].plural}: {names}"
            self.problem((*path, "use"), f"{fault}; {listed}{meant and '.'}{meant}")
            return None
        try:
            entry = self.plugins.get(kind, use)
            with entry.contained():
                cls = entry.load()
                supplied_to(cls)
                own, beside = options_of(cls), options_of(settings_class)
                taken = [name for name in own if name == "use" or name in beside]
                if taken:
                    raise PluginError(
                        f"{kind} {use!r} has an option {taken[0]!r}, which the recipe uses itself"
                    )
                options = self.options(path, cls, {k: v for k, v in value.items() if k in own})
        except PluginError as error:
            self.problem((*path, "use"), error.line)
            return None
        known = ["use", *beside, *own]
        for key in value:
            if key not in known:
                self.unknown((*path, key), kind, use, known)
        kept = {k: v for k, v in value.items() if k in beside}
        settings = self.block(path, settings_class, kept)
        if options is None or settings is None:
            return None
        return Component(kind, use, options, settings)

    def unknown(self, path: KeyPath, kind: str, use: str, known: list[str]) -> None:
        message = f"{kind} {use!r} has no such option.{did_you_mean(str(path[-1]), known)}"
        message += f" Known: {', '.join(known)}."
        at, named = self.layers.place(path), self.layers.place((*path[:-1], "use"))
        if named.layer != "file" and at.layer not in (named.layer, "change"):
            at = named  # a later layer changed the component but kept its options
            message += f" To replace all of it, write '{dotted(path[:-1])}={{use: {use}, ...}}'."
        self.problems.append(Problem(at, path, message))

    def example(self, kind: str) -> str:
        names = self.plugins.registry.names(kind)
        return f"a block such as {{use: {names[0] if names else 'NAME'}, ...}}"
