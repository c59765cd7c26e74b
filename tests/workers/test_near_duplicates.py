"""The job that groups near-duplicates, and what training, audit and later imports do with the groups."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.workers.conftest import COLOURS, add_image, picture
from mekiki.learning.near_duplicates import levels_of, survey_of


def test_explore(coloured: Any, work: Callable[..., dict[str, Any]]) -> None:
    work(coloured, "encode")
    from workers.steps.vectors import load_vectors
    from workers.steps.encoders import encoder_for
    enc, row = encoder_for(coloured)
    m = load_vectors(row, coloured, lambda **_f: None)
    V = m.vectors.astype(np.float32)
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    S = V @ V.T
    names = [i.name.split("-")[0] for i in coloured.images.order_by("pk")]
    same = np.array([[a == b for b in names] for a in names])
    np.fill_diagonal(same, False)
    diff = ~same
    np.fill_diagonal(diff, False)
    print(S[same].min(), S[same].max(), S[diff].min(), S[diff].max())
    admin = coloured.memberships.get(role="admin").user
    from mekiki.learning import services
    print(services.request_survey(dataset=coloured, user=admin))
    print(work(coloured, "near_duplicates"))
    for level in levels_of(survey_of(coloured)):
        print(level.threshold, level.groups, level.members, level.largest, level.above[:2], level.below[:2])
    assert 0
