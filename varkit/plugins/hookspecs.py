"""What a plugin can add to varkit: the table of contents of the product.

A plugin is a module with functions marked ``@varkit.hookimpl`` and named as below. Each is handed
a ``register`` callable, to be called once for every component::

    from varkit import hookimpl

    @hookimpl
    def register_samplers(register):
        register("every_other", "my_plugin:EveryOther", summary="every second clip")

The target is a ``"module:Class"`` string, imported only when a recipe asks for it, or the class.
What each kind of component must do is said in :mod:`varkit.interfaces`. A plugin that is installed
may add verbs to the command line too; their target is a click command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from varkit.plugins.registry import Register, RegisterCommand

GROUP = "varkit"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_datasets(register: Register) -> None:
    """Register datasets: pairs of videos and queries, in splits."""


@hookspec
def register_samplers(register: Register) -> None:
    """Register samplers: which clips of a long video the encoder looks at."""


@hookspec
def register_detectors(register: Register) -> None:
    """Register detectors: how anomalous every clip is."""


@hookspec
def register_encoders(register: Register) -> None:
    """Register encoders: a video, a caption or a sound becomes a representation."""


@hookspec
def register_alignments(register: Register) -> None:
    """Register alignments: how similar a video and a query are."""


@hookspec
def register_pretexts(register: Register) -> None:
    """Register pretext tasks: further losses, used in training only."""


@hookspec
def register_objectives(register: Register) -> None:
    """Register objectives: the ranking loss over a batch of similarities."""


@hookspec
def register_commands(register: RegisterCommand) -> None:
    """Register verbs of the command line: ``varkit NAME`` runs the click command."""
