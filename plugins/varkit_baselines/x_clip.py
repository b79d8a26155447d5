"""X-CLIP: videos and frames are compared with sentences and words, in all four pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from varkit.blocks.sampling import draw, gather
from varkit.blocks.streams import expect_samplers, expect_streams, mean_of_experts
from varkit.blocks.transformer import check_heads
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Clips, Count, Positive, Representation, Sampler

PIECE = 2**20
"""Most word-frame similarities in memory at a time (4 MiB in fp32), unless one query has more."""


class XClipVideo(nn.Module):
    """Sampled clips as X-CLIP's frames, and a Transformer over them for the whole video.

    f_t = mean_e Linear_e(F_e[t]);  f' = f + Transformer(f + position);  v = mean_t f'_t / |f'_t|

    Source: Ma et al., X-CLIP, ACM MM 2022 (arXiv 2207.07285), and its code,
    xuguohai/X-CLIP@6b5344f, ``sim_header=seqTransf``: pre-norm layers as in CLIP, no dropout.
    The Transformer changes v only; the frames stay as they are
    (``use_original_clip_for_frame_features``).

    Differs from the paper:

    * Projected clips replace CLIP's image vectors. The experts' clips of one moment are averaged
      into one frame. If they were separate frames, a word, and with this sharp attention even a
      sentence, would see only one of them.
    * The Transformer starts at random, not from CLIP's text layers.
    * A video shorter than the sampler's count repeats clips; no frame is padding.
    * CLIP's images are never missing; here the mean leaves out the streams that a video lacks.

    Args:
        dim: D.
        experts: the E experts.
        widths: of the streams, by name.
        samplers: by name; their clips, concatenated, become the frames.
        max_frames: the longest sequence of frames (MSR-VTT: 12, ActivityNet and DiDeMo: 64).
        layers: of the Transformer (4).
        heads: of its attention; CLIP has D / 64.

    Raises:
        VarkitError: a stream of an expert is missing, there is no sampler, or the heads do not
            divide D.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: Any = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        samplers: Mapping[str, Sampler],
        *,
        max_frames: Count = 12,
        layers: Count = 4,
        heads: Count = 12,
    ) -> None:
        super().__init__()
        expect_streams("x_clip", experts, widths)
        expect_samplers("x_clip", samplers, count=max_frames)
        check_heads(dim, heads)
        self.samplers = dict(samplers)
        self.project = nn.ModuleDict({name: nn.Linear(widths[name], dim) for name in experts})
        self.position = nn.Parameter(torch.empty(max_frames, dim).normal_(std=0.02))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim,
                heads,
                4 * dim,
                dropout=0.0,
                activation=quick_gelu,
                layer_norm_eps=1e-12,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos.

        Returns:
            Vectors ``cls`` ``(B, E, D)``, the same for every expert; tokens
            ``(B, F, D)`` by expert, whose mean are the frames; picks ``(B, N)`` by sampler.

        Raises:
            VarkitError: the samplers choose more than ``max_frames`` clips.
        """
        picks = draw(self.samplers, None, clips, training=self.training)
        chosen = torch.cat(list(picks.values()), dim=1)
        count, longest = chosen.shape[1], len(self.position)
        if count > longest:
            raise VarkitError(
                f"x_clip: the samplers choose {count} clips, but max_frames={longest}",
                hint=f"set video.max_frames={count}, and that of the alignment",
            )
        tokens = {
            name: project(gather(clips.features(name), chosen))
            for name, project in self.project.items()
        }
        has = clips.has([*tokens])
        counts = has | ~has.any(dim=1, keepdim=True)  # of a video without any, all are zeros
        masks = {name: counts[:, [e]].expand_as(chosen) for e, name in enumerate(tokens)}
        frames = mean_of_experts([*tokens.values()], [*masks.values()])
        z = frames + self.position[:count]
        for layer in self.layers:
            z = layer(z)
        whole = unit(frames + z).mean(dim=1, keepdim=True)
        return Representation(
            vectors={"cls": whole.expand(-1, len(tokens), -1)},
            tokens=tokens,
            masks=masks,
            picks=picks,
        )


class XClip(nn.Module):
    """Similarity at four granularities, pooled by attention over similarities (AOSM).

    pool_a(x; M) = sum_a (softmax(x / tau) M)_a x_a,  over an axis a, M learned

    * video, sentence:  s G v'
    * video, words:     pool_w(<w, v>; M_1)
    * frames, sentence: pool_f(<s, f>; M_2)
    * frames, words:    with x = w L f', the mean of pool_f(pool_w(x; M_3); M_4) and
      pool_w(pool_f(x; M_5); M_6)

    The similarity is the mean of the four. All vectors have length 1, a zero vector stays 0; all
    matrices start as the identity. The objective (``info_nce``) has the logit scale.

    Source: Ma et al., X-CLIP, ACM MM 2022 (arXiv 2207.07285), and its code,
    xuguohai/X-CLIP@6b5344f, ``modules/modeling_xclip.py``.

    Differs from the code:

    * Padded words and frames are left out of the attention and of the sums. In the code they
      count, and a frame of zeros becomes NaN.
    * The start and end tokens of a caption do not count as words; in the code they do.
    * The similarity is computed for a few queries at a time, and computed again in the backward
      pass, so that the (Q, V, W, F) similarities of words and frames never exist at once.

    Args:
        dim: D.
        experts: the E experts; the mean of their tokens are the frames, that of their vectors
            ``cls`` is the video.
        max_words: W, the longest query: ``query.max_tokens``, or what the samplers choose of a
            sound (MSR-VTT: 32, ActivityNet and DiDeMo: 64).
        max_frames: F, what the samplers choose of a video (MSR-VTT: 12, ActivityNet and DiDeMo:
            64).
        temperature: tau (0.01).
        mask_padding: leave padding out. ``false`` is close to the code, which always pads to
            ``max_words``: a score then depends on the padding, and so on the rest of the batch.
    """

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        max_words: Count = 32,
        max_frames: Count = 12,
        temperature: Positive = 0.01,
        mask_padding: bool = True,
    ) -> None:
        super().__init__()
        self.experts = tuple(experts)
        self.temperature = temperature
        self.mask_padding = mask_padding
        self.coarse = nn.Parameter(torch.eye(dim))  # G
        self.words = nn.Parameter(torch.eye(max_words))  # M_1
        self.frames = nn.Parameter(torch.eye(max_frames))  # M_2
        self.fine = nn.Parameter(torch.eye(dim))  # L
        self.words_first = nn.Parameter(torch.eye(max_words))  # M_3
        self.then_frames = nn.Parameter(torch.eye(max_frames))  # M_4
        self.frames_first = nn.Parameter(torch.eye(max_frames))  # M_5
        self.then_words = nn.Parameter(torch.eye(max_words))  # M_6

    def factors(
        self, representation: Representation, side: Literal["video", "query"]
    ) -> Tensor | None:
        """Return None: the attention depends on both sides."""
        return None

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the (V, Q) similarity.

        Raises:
            VarkitError: a part is missing, or there are more words or frames than matrices for
                them.
        """
        try:
            whole = unit(video.vectors["cls"].mean(dim=1))
            masks = [video.masks[expert] for expert in self.experts]
            real = torch.stack(masks).any(dim=0)
            if not self.mask_padding:  # an expert's padding counts where it has any frame
                masks = [mask.any(dim=1, keepdim=True).expand_as(mask) for mask in masks]
            clips = mean_of_experts([video.tokens[expert] for expert in self.experts], masks)
            frames = self._fit(clips, real, len(self.frames), "max_frames")
            sentence = unit(query.tokens["sentence"][:, 0])
            words = self._fit(
                query.tokens["words"], query.masks["words"], len(self.words), "max_words"
            )
        except KeyError as error:
            raise VarkitError(
                f"alignment x_clip needs {error.args[0]!r}; the video encoder gave vectors "
                f"{sorted(video.vectors)} and tokens {sorted(video.tokens)}, the query encoder "
                f"tokens {sorted(query.tokens)}",
                hint="set video.use=x_clip, and query.use=words or query.use=sounds",
            ) from None
        # How many queries at a time, whose similarities are (Q, V, W, F).
        size = max(1, PIECE // (frames[1].numel() * words[1].shape[1]))
        pieces = zip(*(torch.split(x, size) for x in (sentence, *words)), strict=True)
        rows = [
            checkpoint(
                self._rows, *piece, whole, *frames, use_reentrant=False, preserve_rng_state=False
            )
            for piece in pieces
        ]
        return torch.cat(rows).T

    def _rows(
        self,
        sentence: Tensor,
        words: Tensor,
        real_words: Tensor,
        video: Tensor,
        frames: Tensor,
        real_frames: Tensor,
    ) -> Tensor:
        """Return the ``(Q, V)`` similarity of unit vectors.

        Args:
            sentence: ``(Q, D)``.
            words: ``(Q, W, D)``, 0 in the padding.
            real_words: ``(Q, W)``.
            video: ``(V, D)``.
            frames: ``(V, F, D)``, 0 in the padding.
            real_frames: ``(V, F)``.
        """
        real_words = real_words.unsqueeze(1)  # (Q, 1, W)
        x = torch.einsum("qwd,vfd->qvwf", words @ self.fine, frames)
        by_frame = self._pool(x.transpose(2, 3), self.words_first, real_words.unsqueeze(1))
        by_word = self._pool(x, self.frames_first, real_frames.unsqueeze(1))
        fine = self._pool(by_frame, self.then_frames, real_frames)
        fine = fine + self._pool(by_word, self.then_words, real_words)
        video_words = self._pool((words @ video.T).transpose(1, 2), self.words, real_words)
        sentence_frames = self._pool(
            torch.einsum("qd,vfd->qvf", sentence, frames), self.frames, real_frames
        )
        return (sentence @ self.coarse @ video.T + video_words + sentence_frames + fine / 2) / 4

    def _pool(self, x: Tensor, mix: Tensor, real: Tensor) -> Tensor:
        """Pool the last axis of ``x``, which must be 0 where ``real`` is False."""
        share = (x / self.temperature).masked_fill(~real, -torch.inf).softmax(dim=-1)
        length = x.shape[-1]  # positions beyond the length are padding and add 0
        return (share @ mix[:length, :length] * x).sum(dim=-1)

    def _fit(
        self, tokens: Tensor, real: Tensor, longest: int, option: str
    ) -> tuple[Tensor, Tensor]:
        """Return unit tokens and their mask, no longer than the learned matrices."""
        used = real.any(dim=0).nonzero()
        needed = int(used.max()) + 1 if len(used) else 0
        if needed > longest:
            raise VarkitError(
                f"alignment x_clip: a sequence of {needed} tokens, but {option}={longest}",
                hint=f"set {option}={needed} or more for the alignment, or make the sequences "
                "shorter: query.max_tokens, or the samplers' count",
            )
        tokens, real = tokens[:, :longest], real[:, :longest]
        if not self.mask_padding:
            return unit(tokens), torch.ones_like(real)
        return unit(tokens.masked_fill(~real.unsqueeze(-1), 0.0)), real


def quick_gelu(x: Tensor) -> Tensor:
    """Return x sigmoid(1.702 x), CLIP's activation."""
    return x * torch.sigmoid(1.702 * x)
