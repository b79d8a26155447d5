"""All baselines with an alignment of their own, small, with sounds as the query."""

from __future__ import annotations

import torch
from varkit_baselines.ce import CeSimilarity, CollaborativeExperts
from varkit_baselines.hardest_negative import HardestNegative
from varkit_baselines.info_nce import InfoNCE
from varkit_baselines.mmt import MmtSimilarity, MultiModalTransformer
from varkit_baselines.sampled_negative import SampledNegative
from varkit_baselines.sounds import Sounds
from varkit_baselines.t2vlad import T2Vlad, T2VladVideo
from varkit_baselines.x_clip import XClip, XClipVideo
from varkit_baselines.xml import XmlAlignment, XmlVideo

from varkit.model.retrieval import RetrievalModel, Weighted
from varkit.testing.stand_ins import Spread

DIM = 8
EXPERTS = ("object", "motion")
SAMPLERS = {"fixed": Spread(count=5)}
ADDITIVE = ("ce", "mmt", "t2vlad")
"""Those whose alignment has factors and gated embedding units."""
METHODS = (*ADDITIVE, "x_clip", "xml")


def make_method(name, widths, query_widths, samplers=SAMPLERS):
    """Return the method's model, in training, without dropout."""
    torch.manual_seed(0)
    shared = (DIM, EXPERTS, widths, samplers)
    if name == "ce":
        video = CollaborativeExperts(*shared[:3])
        alignment, objective = CeSimilarity(DIM, EXPERTS, clusters=3), InfoNCE(learned=True)
    elif name == "mmt":
        video = MultiModalTransformer(*shared, layers=2, heads=2, feedforward=16)
        alignment, objective = MmtSimilarity(DIM, EXPERTS), SampledNegative(hard_from_epoch=1)
    elif name == "t2vlad":
        video = T2VladVideo(*shared, heads=2)
        alignment, objective = T2Vlad(DIM, EXPERTS, clusters=3), HardestNegative()
    elif name == "x_clip":
        video = XClipVideo(*shared, layers=1, heads=2)
        alignment, objective = XClip(DIM, EXPERTS), InfoNCE(learned=True)
    else:
        video = XmlVideo(*shared, heads=2)
        alignment, objective = XmlAlignment(DIM, EXPERTS, heads=2), SampledNegative()
    query = Sounds(DIM, query_widths, SAMPLERS, heads=2)
    alignments = {name: Weighted(alignment, 1.0)}
    model = RetrievalModel(video=video, query=query, alignments=alignments, objective=objective)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    return model.train()
