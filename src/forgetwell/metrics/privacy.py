"""Set metrics of whether one can tell that rows were once learned."""

from __future__ import annotations

from typing import Literal

import numpy as np

from forgetwell.metrics.sets import Read, set_metric
from forgetwell.metrics.statistics import Floats

_RATIO = "truth_ratio(variant=ratio)"
_EPSILON = 1e-10


def auc(negatives: Floats, positives: Floats) -> float:
    """Return the area under the ROC curve: P(positive > negative), ties counting half.

    Source: Mann and Whitney, 1947; equal to scikit-learn's roc_auc_score.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positives, negatives]))[: len(positives)]
    smallest = len(positives) * (len(positives) + 1) / 2
    return float((ranks.sum() - smallest) / (len(positives) * len(negatives)))


@set_metric(
    better="high",
    meaning="Whether the model could pass for one that never saw the forget rows; above 0.05 it could.",
    paper="2401.06121",
    interval=False,
    reads={
        "forget": Read(_RATIO, "forget/clean"),
        "forget_ref": Read(_RATIO, "forget/clean", whose="reference"),
    },
)
def forget_quality(forget: Floats, forget_ref: Floats) -> float:
    """p-value of the two-sided two-sample Kolmogorov-Smirnov test on truth ratios; 0 … 1.

    The truth ratios R of the forget rows under this model and under the reference, a model trained without
    them. A large p means that the two could not be told apart on so few rows, not that they are the same.
    It has no interval: resampled rows are not the samples that the test is about.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 2.2.1; exact distribution, as scipy's ks_2samp.
    """
    from scipy.stats import ks_2samp

    return float(ks_2samp(forget, forget_ref).pvalue)


@set_metric(
    better="low",
    meaning="Largest distance between the distributions of truth ratios of this model and the reference.",
    paper="2401.06121",
    interval=False,
    reads={
        "forget": Read(_RATIO, "forget/clean"),
        "forget_ref": Read(_RATIO, "forget/clean", whose="reference"),
    },
)
def ks_statistic(forget: Floats, forget_ref: Floats) -> float:
    """Two-sample Kolmogorov-Smirnov statistic on truth ratios: ``sup_r |F(r) - F_ref(r)|``; 0 … 1.

    Unlike the p-value of `forget_quality` it does not shrink as rows are added. Resampling rows would only
    push it up, so it has no interval.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 2.2.1.
    """
    from scipy.stats import ks_2samp

    return float(ks_2samp(forget, forget_ref).statistic)


@set_metric(
    better="none",
    meaning="How well forget rows can be recognized among rows never seen: 0.5 not at all, 1 always.",
    paper="2506.12618",
    reads={"forget": Read("{score}", "forget/clean"), "holdout": Read("{score}", "holdout/clean")},
)
def membership_auc(
    forget: Floats,
    holdout: Floats,
    *,
    score: Literal["loss", "zlib", "min_k", "min_k_plus_plus", "gradient_norm"] = "min_k",
) -> float:
    """Area under the ROC curve of a membership score, holdout rows as positives; 0 … 1.

    ``P(score(holdout) > score(forget)) + P(equal)/2``: 1 = the forget set is fully recognizable as
    trained on, 0.5 = not at all; below 0.5 it stands out as less likely than rows that were never seen, which
    gives it away as well.

    Source: the orientation is open-unlearning's (arXiv 2506.12618).
    """
    return auc(forget, holdout)


@set_metric(
    better="none",
    meaning="How well forget rows can be recognized beside a reference model: 0.5 not at all, 1 always.",
    paper="2012.07805",
    reads={
        "forget": Read("loss", "forget/clean"),
        "holdout": Read("loss", "holdout/clean"),
        "forget_ref": Read("loss", "forget/clean", whose="reference"),
        "holdout_ref": Read("loss", "holdout/clean", whose="reference"),
    },
)
def reference_auc(forget: Floats, holdout: Floats, forget_ref: Floats, holdout_ref: Floats) -> float:
    """Area under the ROC curve of ``loss - loss_ref``, holdout rows as positives; 0 … 1.

    How hard a text is anyway is taken out by the loss of a model that never saw it.

    Source: Carlini et al., arXiv 2012.07805, section 5.2; orientation as `membership_auc`.
    """
    return auc(forget - forget_ref, holdout - holdout_ref)


@set_metric(
    better="none",
    meaning="Whether the forget rows still look learned (below 0) or look suppressed (above 0); best is 0.",
    paper="2407.06460",
    range=(None, None),
    reads={
        "forget": Read("{score}", "forget/clean"),
        "holdout": Read("{score}", "holdout/clean"),
        "forget_ref": Read("{score}", "forget/clean", whose="reference", optional=True),
        "holdout_ref": Read("{score}", "holdout/clean", whose="reference", optional=True),
    },
)
def privleak(
    forget: Floats,
    holdout: Floats,
    forget_ref: Floats | None = None,
    holdout_ref: Floats | None = None,
    *,
    score: Literal["loss", "zlib", "min_k", "min_k_plus_plus"] = "min_k",
    without: float = 0.5,
) -> float:
    """PrivLeak in percent: ``100 (a - r) / (r + 1e-10)`` with a = 1 - AUC of this model, r of the reference.

    AUC as `membership_auc`. Without a reference run r is `without`: 0.5, as if a model that never saw the
    rows could not tell them from the holdout rows.

    Source: Shi et al. (MUSE), arXiv 2407.06460, section 3.1, eq. 4; the default of 0.5 is open-unlearning's.
    """
    r = without if forget_ref is None or holdout_ref is None else 1.0 - auc(forget_ref, holdout_ref)
    return 100.0 * (1.0 - auc(forget, holdout) - r) / (r + _EPSILON)
