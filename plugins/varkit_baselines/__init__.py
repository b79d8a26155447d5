"""The methods that ALAN is compared with, one file each."""

from varkit import hookimpl
from varkit.registry import Register


@hookimpl
def register_encoders(register: Register) -> None:
    """Register the baselines' encoders."""
    register(
        "mean_pool",
        "varkit_baselines.mean_pool:MeanPool",
        summary="the mean of all clips of each stream, projected: the floor for every method",
    )
    register(
        "words",
        "varkit_baselines.words:Words",
        summary="the hidden states of a BERT: the baselines' captions",
    )
    register(
        "sounds",
        "varkit_baselines.sounds:Sounds",
        summary="sampled clips of a sound through a Transformer: the baselines' sounds",
    )
