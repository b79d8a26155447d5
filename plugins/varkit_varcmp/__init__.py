"""VarCMP-style retrieval over features of one space, after the abstract of VarCMP (AAAI 2025).

Only the abstract is public, so this is not a reproduction; docs/varcmp.md says which parts are
known.
"""

from varkit import hookimpl
from varkit.plugins.registry import Register


@hookimpl
def register_encoders(register: Register) -> None:
    """Register the adapters over frozen features, and pooling without adapters."""
    register(
        "clip_video",
        "varkit_varcmp.video:ClipVideo",
        summary="frame and patch embeddings with a temporal adapter (VarCMP-style)",
    )
    register(
        "clip_text",
        "varkit_varcmp.text:ClipText",
        summary="embeddings of a caption and its words with a bottleneck adapter (VarCMP-style)",
    )
    register(
        "clip_audio",
        "varkit_varcmp.audio:ClipAudio",
        summary="embeddings of a sound's clips with a temporal adapter (VarCMP-style)",
    )
    register(
        "frozen_pool",
        "varkit_varcmp.pool:FrozenPool",
        summary="the features' mean or first row as they are: zero-shot retrieval",
    )


@hookimpl
def register_alignments(register: Register) -> None:
    """Register the hierarchy of similarities."""
    register(
        "hierarchical",
        "varkit_varcmp.alignment:Hierarchical",
        summary="semantic, fine, temporal and spatial, anomaly-biased (VarCMP-style)",
    )


@hookimpl
def register_pretexts(register: Register) -> None:
    """Register additional losses of the hierarchy."""
    register(
        "level_losses",
        "varkit_varcmp.level_losses:LevelLosses",
        summary="a separate InfoNCE for each level of the hierarchy (VarCMP-style)",
    )
    register(
        "distillation",
        "varkit_varcmp.distillation:Distillation",
        summary="keep the adapted scores near zero-shot ones (VarCMP-style)",
    )
