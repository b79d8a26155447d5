"""Extractors: what turns the pictures and the sound of media files into streams."""

from varkit import hookimpl
from varkit.plugins.registry import Register


@hookimpl
def register_extractors(register: Register) -> None:
    """Register the extractors."""
    register(
        "image",
        "varkit_extractors.image:Image",
        summary="a model of timm on single pictures: features and, of ImageNet, classes",
    )
    register(
        "i3d",
        "varkit_extractors.i3d:I3D",
        summary="I3D over colours: features and 400 actions of Kinetics",
    )
    register(
        "i3d_flow",
        "varkit_extractors.i3d:I3DFlow",
        summary="I3D over optical flow, with weights of yours",
    )
    register(
        "yamnet",
        "varkit_extractors.yamnet:YAMNet",
        summary="YAMNet: embeddings of sound and scores of AudioSet's 521 classes",
    )
    register(
        "vggish",
        "varkit_extractors.vggish:VGGish",
        summary="VGGish: AudioSet's embeddings of sound, with weights of yours",
    )
    register(
        "joint",
        "varkit_extractors.joint:Joint",
        summary="a CLIP- or SigLIP-like model: pictures in a space shared with sentences",
    )
    register(
        "motion",
        "varkit_extractors.motion:Motion",
        summary="histograms of colour, gradients and optical flow; nothing is learned",
    )


@hookimpl
def register_spaces(register: Register) -> None:
    """Register the space of CLIP-like models."""
    register(
        "joint",
        "varkit_extractors.joint_space:JointSpace",
        summary="pictures and sentences by a CLIP- or SigLIP-like model, sounds by YAMNet",
    )
