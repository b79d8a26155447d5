"""ALAN: anomaly-led alignment network (arXiv 2307.12545), one file per component."""

from varkit import hookimpl
from varkit.plugins.registry import Register


@hookimpl
def register_samplers(register: Register) -> None:
    """Register fixed-frame and anomaly-led sampling, and controls for the latter."""
    register(
        "fixed_frame",
        "varkit_alan.fixed_frame:FixedFrame",
        summary="N clips spread over the video (ALAN III-C, FS)",
    )
    register(
        "anomaly_led",
        "varkit_alan.anomaly_led:AnomalyLed",
        summary="N clips drawn by anomaly confidence (ALAN Eq. 1-2, AS)",
    )
    register("random", "varkit_alan.random_clips:Random", summary="N clips drawn uniformly")
    register(
        "top_k",
        "varkit_alan.top_k:TopK",
        summary="the N clips with the highest anomaly confidence",
    )
    register(
        "oracle",
        "varkit_alan.oracle:Oracle",
        summary="N clips drawn from the true anomaly, as if the detector were perfect",
    )


@hookimpl
def register_detectors(register: Register) -> None:
    """Register ALAN's anomaly detector."""
    register(
        "temporal_convolution",
        "varkit_alan.temporal_convolution:TemporalConvolution",
        summary="three temporal convolutions, trained by top-k BCE (ALAN III-C, Eq. 7-8)",
    )


@hookimpl
def register_encoders(register: Register) -> None:
    """Register ALAN's video, audio and text encoders."""
    register(
        "two_stream",
        "varkit_alan.two_stream:TwoStream",
        summary="Self and Cross Encoder over sampled clips of two streams (ALAN III-C)",
    )
    register(
        "audio",
        "varkit_alan.audio:Audio",
        summary="Self Encoder over sampled clips of a sound, gated into experts (ALAN III-D)",
    )
    register(
        "bert",
        "varkit_alan.bert:Bert",
        summary="a BERT with gated embedding units (ALAN III-D)",
    )


@hookimpl
def register_alignments(register: Register) -> None:
    """Register the two alignments."""
    register(
        "cls",
        "varkit_alan.alignment:Cls",
        summary="expert-weighted cosine of the CLS vectors (ALAN Eq. 3)",
    )
    register(
        "avg",
        "varkit_alan.alignment:Avg",
        summary="expert-weighted cosine of the averaged vectors (ALAN Eq. 4)",
    )


@hookimpl
def register_pretexts(register: Register) -> None:
    """Register video prompt based masked phrase modeling."""
    register(
        "vpmpm",
        "varkit_alan.vpmpm:Vpmpm",
        summary="predict masked noun and verb phrases from video and text (ALAN III-E)",
    )


@hookimpl
def register_objectives(register: Register) -> None:
    """Register the ranking loss."""
    register(
        "margin_ranking",
        "varkit_alan.margin_ranking:MarginRanking",
        summary="hinge over all negatives of the batch, both ways (ALAN Eq. 6)",
    )
