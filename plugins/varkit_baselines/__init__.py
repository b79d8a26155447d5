"""The methods that ALAN is compared with, one file per method."""

from varkit import hookimpl
from varkit.plugins.registry import Register


@hookimpl
def register_encoders(register: Register) -> None:
    """Register the baselines' encoders."""
    register(
        "mean_pool",
        "varkit_baselines.mean_pool:MeanPool",
        summary="the mean of all clips of each stream, projected: the simplest baseline",
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
    register(
        "ce",
        "varkit_baselines.ce:CollaborativeExperts",
        summary="streams' means, gated by one another (Collaborative Experts, Liu et al. 2019)",
    )
    register(
        "mmt",
        "varkit_baselines.mmt:MultiModalTransformer",
        summary="all streams' clips in one Transformer (MMT, Gabeur et al. 2020)",
    )
    register(
        "t2vlad",
        "varkit_baselines.t2vlad:T2VladVideo",
        summary="all clips in one layer, and each stream's maximum (T2VLAD, Wang et al. 2021)",
    )
    register(
        "x_clip",
        "varkit_baselines.x_clip:XClipVideo",
        summary="clips as frames, a Transformer for the whole video (X-CLIP, Ma et al. 2022)",
    )
    register(
        "xml",
        "varkit_baselines.xml:XmlVideo",
        summary="sampled clips of each stream through one self-attention block (XML)",
    )
    register(
        "hl_net",
        "varkit_baselines.hl_net:HlNet",
        summary="all clips along graphs of similarity, distance and score, averaged (HL-Net)",
    )
    register(
        "random_vectors",
        "varkit_baselines.random_vectors:RandomVectors",
        summary="random unit vectors: the chance level",
    )


@hookimpl
def register_alignments(register: Register) -> None:
    """Register the baselines' query heads and similarities."""
    register(
        "ce",
        "varkit_baselines.ce:CeSimilarity",
        summary="words pooled by NetVLAD, weighted experts (Collaborative Experts)",
    )
    register(
        "mmt",
        "varkit_baselines.mmt:MmtSimilarity",
        summary="the sentence, gated for weighted experts (MMT)",
    )
    register(
        "t2vlad",
        "varkit_baselines.t2vlad:T2Vlad",
        summary="words and clips in shared cluster centres, and weighted experts (T2VLAD)",
    )
    register(
        "x_clip",
        "varkit_baselines.x_clip:XClip",
        summary="videos and frames with sentences and words, by attention (X-CLIP)",
    )
    register(
        "xml",
        "varkit_baselines.xml:XmlAlignment",
        summary="the best clip of each stream for the query's vector of that stream (XML)",
    )


@hookimpl
def register_objectives(register: Register) -> None:
    """Register the ranking losses of the baselines' papers."""
    register(
        "hardest_negative",
        "varkit_baselines.hardest_negative:HardestNegative",
        summary="hinge over the hardest negative of the batch, both ways (VSE++, T2VLAD)",
    )
    register(
        "info_nce",
        "varkit_baselines.info_nce:InfoNCE",
        summary="symmetric cross-entropy over the batch (CLIP, X-CLIP)",
    )
    register(
        "sampled_negative",
        "varkit_baselines.sampled_negative:SampledNegative",
        summary="hinge over one drawn negative, both ways, later a hard one (XML)",
    )


@hookimpl
def register_detectors(register: Register) -> None:
    """Register the anomaly detectors of the baselines' papers."""
    register(
        "hl_net",
        "varkit_baselines.hl_net_detection:OnlineHead",
        summary="a causal convolution, trained by top-k BCE (HL-Net)",
    )


@hookimpl
def register_pretexts(register: Register) -> None:
    """Register the baselines' further losses."""
    register(
        "hl_net",
        "varkit_baselines.hl_net_detection:OfflineHead",
        summary="detect anomalies from the graphs' output and teach the detector (HL-Net)",
    )
