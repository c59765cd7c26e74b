"""The head of embedding and detail: an average of heads with different strengths of the detail.

The best relative strength γ of the detail differs between datasets, and with a dozen labels cross-validation
cannot name it. So heads of several γ are trained, and their calibrated logits are averaged. The weight of a
head is its pseudo-BMA+ weight (Yao, Vehtari, Simpson, Gelman: Using stacking to average Bayesian predictive
distributions, arXiv 1704.02030, section 3.4): exp of its log-likelihood of the labels, out of fold, averaged
over a Bayesian bootstrap of the labels. Without folds all heads weigh the same. All heads are linear, so the
average is one linear map.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.calibration import fit_calibration
from workers.heads.estimator import HeadEstimator, LabelledData
from workers.heads.folds import stratified_sample
from workers.heads.head import LogisticHead
from workers.heads.joint import DetailBlock, make_blocks, pad_text
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8

GAMMAS = (0.0, 1.0, 4.0)
WEIGHING_LABELS = 600  # labels that the heads are weighed on, for speed
LEAST_WEIGHT = 0.02  # a head with less is left out
_DRAWS = 400  # of the Bayesian bootstrap


@dataclass
class Member:
    """One head of the average."""

    block: DetailBlock
    model: LogisticTextPriorHead
    weight: float = 1.0
    temperature: float = 1.0
    _last: tuple[LabelledData, LabelledData] | None = None

    def joined(self, data: LabelledData, dim: int) -> LabelledData:
        """Return the data with the vectors that this head reads, from those of [embedding ; raw detail].

        The last data are kept: what a head computes from data, it computes once.
        """
        if self._last is None or self._last[0] is not data:
            vectors = self.block.join(data.vectors[:, :dim], data.vectors[:, dim:])
            self._last = data, replace(data, vectors=vectors)
        return self._last[1]


class DetailAverage(HeadEstimator):
    """A weighted average of heads with the text prior. Its vectors are [embedding ; raw detail], (n, d + k).

    Args:
        class_embeddings: (L, d) of the embedding.
        detail_dim: k. logit_scale, folds, seed: as in `LogisticTextPriorHead`.

    Fitted attributes: those of `HeadEstimator`, and members_, the heads with their weights, heaviest first.
    """

    head_class = LogisticHead

    def __init__(
        self,
        class_embeddings: ArrayLike,
        *,
        detail_dim: int,
        logit_scale: float = 100.0,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.class_embeddings = class_embeddings
        self.detail_dim = detail_dim
        self.logit_scale = logit_scale
        self.folds = folds
        self.seed = seed

    @property
    def lead_(self) -> Member:
        """The heaviest head."""
        return self.members_[0]

    @property
    def strengths_(self) -> tuple[tuple[float, float], ...]:
        """(γ, weight) of the heads, heaviest first."""
        return tuple((member.block.gamma, member.weight) for member in self.members_)

    @property
    def reads_detail_(self) -> bool:
        """Whether a head of the average reads the detail."""
        return any(member.block.gamma for member in self.members_)

    def joined(self, data: LabelledData) -> LabelledData:
        """Return the data as the heaviest head reads it."""
        return self.lead_.joined(data, self._dim)

    @property
    def _dim(self) -> int:
        return self._embeddings().shape[1] - self.detail_dim

    def _embeddings(self) -> F8:
        return pad_text(super()._embeddings(), self.detail_dim)

    def _choose_parameters(self, T: F8, data: LabelledData) -> None:
        d = self._dim
        embedding = replace(data, vectors=data.vectors[:, :d])
        blocks = make_blocks(embedding, data.vectors[:, d:], (0.0,) if data.empty else GAMMAS)
        self.members_ = [Member(block, self._model(T, block)) for block in blocks]
        first = self.members_[0]
        first.model.choose_parameters(first.joined(data, d))
        if len(self.members_) > 1:
            self._weigh(data, first)
        self._average_logits()

    def _cross_validate(self, T: F8, data: LabelledData) -> None:
        for member in self.members_:
            member.model.cross_validate(member.joined(data, self._dim))
        self._average_logits()

    def _refit(self, T: F8, data: LabelledData) -> None:
        self.coef_, self.intercept_ = np.zeros(T.shape), np.zeros(len(T))
        for member in self.members_:
            model = member.model.refit(member.joined(data, self._dim))
            coef, intercept = member.block.unfold(model.coef_, model.intercept_, float(self.logit_scale))
            share = member.weight / member.temperature
            self.coef_ += share * coef
            self.intercept_ += share * intercept

    def _model(self, T: F8, block: DetailBlock) -> LogisticTextPriorHead:
        text = T if block.gamma else T[:, : self._dim]
        return LogisticTextPriorHead(text, logit_scale=self.logit_scale, folds=self.folds, seed=self.seed)

    def _weigh(self, data: LabelledData, first: Member) -> None:
        """Set weights and temperatures on some labels, and leave out heads with little weight."""
        if data.fold is None or first.model.oof_logits_ is None:
            for member in self.members_:
                member.weight = 1 / len(self.members_)
                if member is not first:
                    member.model.choose_parameters(member.joined(data, self._dim))
            return
        few = stratified_sample(data.Y.argmax(axis=1), WEIGHING_LABELS, data.seed, groups=data.groups)
        part = _part(data, few)
        if not part.v.any():
            part, few = data, np.arange(len(data))
        losses = []
        for member in self.members_:
            if member is not first:
                # The metric is that of the embedding: to choose it for each head would double the time.
                member.model.whitening_power = first.model.whitening_power_
                member.model.choose_parameters(member.joined(part, self._dim))
            logits = member.model.oof_logits_
            assert logits is not None
            logits = logits[few] if member is first else logits
            calibration = fit_calibration(logits, part.Y, sample_weight=part.v)
            member.temperature = calibration.temperature
            losses.append(-(part.Y * calibration.observed_log_proba(logits)).sum(axis=1))
        for member, weight in zip(
            self.members_, model_weights(np.stack(losses), part.v, data.seed), strict=True
        ):
            member.weight = float(weight)
        kept = [member for member in self.members_ if member.weight >= LEAST_WEIGHT]
        total = sum(member.weight for member in kept)
        for member in kept:
            member.weight /= total
            if member is not first and len(part) < len(data):
                member.model.choose_parameters(member.joined(data, self._dim))
        self.members_ = sorted(kept, key=lambda member: -member.weight)

    def _average_logits(self) -> None:
        parts = [
            (member.weight / member.temperature, member.model.oof_logits_)
            for member in self.members_
            if member.model.oof_logits_ is not None
        ]
        self.oof_logits_ = np.sum([share * logits for share, logits in parts], axis=0) if parts else None


def model_weights(losses: F8, v: F8, seed: int) -> F8:
    """Return the pseudo-BMA+ weights (g,) of models.

    losses: (g, n) log-loss of each label in nats, out of fold. v: (n,) weights of the labels.
    """
    draws = np.random.default_rng(seed).dirichlet(np.ones(losses.shape[1]), _DRAWS) * losses.shape[1]
    total = draws @ (losses * v).T  # (draws, g)
    weights = np.exp(total.min(axis=1, keepdims=True) - total)
    mean: F8 = (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
    return mean


def _part(data: LabelledData, rows: NDArray[np.int64]) -> LabelledData:
    if len(rows) == len(data):
        return data
    arrays = {name: getattr(data, name)[rows] for name in ("vectors", "Y", "v", "groups", "fold")}
    return replace(data, **arrays)
