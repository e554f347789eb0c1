"""Searches for the nearest latent whose image the classifier reads otherwise.

δz is the nearest that was found, and not proved to be the nearest there is. Linear bounds through generator and LeNet (CROWN,
Zhang et al., NeurIPS 2018, by auto_LiRPA 0.7.1) prove that the answer stays within 5 % of δz around I(x), not within 10 %, and
take 22 to 47 s a bound: too little and too slow to be shown.
"""

from robust.metrics.search.gradient import nearest_counterexample
from robust.metrics.search.result import SearchResult

__all__ = ["SearchResult", "nearest_counterexample"]
