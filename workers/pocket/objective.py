"""The training objective of `pocket`.

Contrastive learning of pictures and captions (arXiv 2103.00020) with three changes:

- Every caption has a claim. A caption of the batch is a positive for every picture for which its claim is
  true, not only for the picture it was written for. The soft targets are uniform over the true pairs.
- Some captions are repeated with another state, so that the words for the state weigh more than the words for
  the part (hard negatives, after arXiv 2210.01936).
- A caption is not a negative for a picture if the two together make a held-out pair. That training does not
  draw a pair is no evidence that the pair does not exist.

Three helper losses are dropped after training. Prototypes of the drawn facts are shared by pictures and
captions, so that both use the same direction for a fact. A map loss locates the damage, whose place the
picture generator knows. Instance discrimination between two crops of a picture (arXiv 2002.05709) keeps
information in the embedding that the captions do not contain.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workers.pocket import model as pocket
from workers.pocket.augment import GOOD
from workers.pocket.batches import HELD_OUT_MASK, Batch
from workers.pocket.pictures import FINISH_NAMES, STATES, SUBJECTS, TONE_NAMES
from workers.pocket.pictures.faults import BUILT_IN

FACTS = (len(SUBJECTS), len(FINISH_NAMES), len(TONE_NAMES), len(STATES))
FACT_WEIGHTS = (0.15, 0.2, 0.1, 1.0)
CAPTION_FACTS_WEIGHT = 0.25  # weight of the facts of captions beside those of pictures
DAMAGE_MAP_WEIGHT, INSTANCE_WEIGHT = 0.6, 0.3
# A cell is damaged above the first share and sound below the second. Cells between them have no loss.
DAMAGED_ABOVE, SOUND_BELOW = (0.25, 0.04)
# The picture generator does not know the place of damage that is built in or printed.
STATES_WITHOUT_PLACE = tuple(sorted(STATES.index(name) for name in (*BUILT_IN, "misprint")))


class ImageTowerWithMaps(nn.Module):
    """The image tower with two intermediate maps: returns (n, d) features and two (n, c, h, w) maps."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.trunk, self.head = visual.trunk, visual.head

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = self.trunk.maps(x)
        return self.head(self.trunk.pool(seen)), seen[-2], seen[-1]


class AuxiliaryLosses(nn.Module):
    """The parameters of the helper losses, which only training needs."""

    def __init__(self, dim: int, fine: int = 128, coarse: int = 256) -> None:
        super().__init__()
        self.prototypes = nn.ParameterList(nn.Parameter(torch.randn(count, dim)) for count in FACTS)
        self.log_scale = nn.Parameter(torch.full((len(FACTS),), 2.5))
        self.instance = nn.Linear(dim, 128)
        self.damage_heads = nn.ModuleList(nn.Conv2d(width, len(STATES), 1) for width in (fine, coarse))
        self.register_buffer("unspoken", torch.from_numpy(HELD_OUT_MASK), persistent=False)

    def facts(self, vectors: Tensor, column: int) -> Tensor:
        """Return (n, k) logits of the values of one fact for (n, d) unit vectors."""
        prototypes = F.normalize(self.prototypes[column], dim=-1)
        return self.log_scale[column].clamp(max=4).exp() * vectors @ prototypes.T


def contrastive(images: Tensor, texts: Tensor, scale: Tensor, true: Tensor, known: Tensor) -> Tensor:
    """Return the soft-target cross-entropy in both directions, over the known pairs.

    ``images`` (p, d) and ``texts`` (c, d) are unit vectors. ``true`` (p, c) holds which caption is true of
    which picture, ``known`` (p, c) which pairs are used.
    """
    logits = (scale * images @ texts.T).masked_fill(~known, -1e4)
    of_image = true / true.sum(1, keepdim=True).clamp(min=1)
    of_text = true / true.sum(0, keepdim=True).clamp(min=1)
    with_caption = (true.sum(1) > 0).float()
    to_text = -(of_image * logits.log_softmax(1)).sum(1)
    to_image = -(of_text * logits.log_softmax(0)).sum(0)
    return (to_text * with_caption).sum() / with_caption.sum().clamp(min=1) + to_image.mean()


def _state_logits(logits: Tensor, subjects: Tensor, helpers: Any) -> Tensor:
    """Mask the states that training never shows on the subject; a subject of -1 masks nothing."""
    hidden = helpers.unspoken[subjects.clamp(min=0)] & (subjects >= 0)[:, None]
    return logits.masked_fill(hidden.reshape(*hidden.shape, *[1] * (logits.ndim - 2)), -1e4)


def fact_loss(helpers: Any, vectors: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted cross-entropy of the stated facts (>= 0) and the share of correct states."""
    total, right = torch.zeros((), device=vectors.device), torch.zeros((), device=vectors.device)
    for column, weight in enumerate(FACT_WEIGHTS):
        logits, answer = helpers.facts(vectors, column), facts[:, column].clamp(min=-1)
        if column == 0:
            states = facts[:, 3]
            hidden = helpers.unspoken.T[states.clamp(min=0)] & (states >= 0)[:, None]
            logits = logits.masked_fill(hidden, -1e4)
        if column == 3:
            logits = _state_logits(logits, facts[:, 0], helpers)
            right = ((logits.argmax(1) == answer) & (answer >= 0)).sum() / (answer >= 0).sum().clamp(min=1)
        losses = F.cross_entropy(logits, answer, ignore_index=-1, reduction="none")
        total = total + weight * losses.sum() / (answer >= 0).sum().clamp(min=1)
    return total, right


def damage_map_loss(helpers: Any, maps: list[Tensor], damage: Tensor, facts: Tensor) -> Tensor:
    """Return the cross-entropy of the state in each cell.

    Damaged and sound cells have the same total weight.
    """
    states, subjects = facts[:, 3], facts[:, 0]
    has_place = ~torch.isin(states, torch.tensor(STATES_WITHOUT_PLACE, device=states.device))
    total = torch.zeros((), device=damage.device)
    for head, seen in zip(helpers.damage_heads, maps, strict=True):
        logits = _state_logits(head(seen.float()), subjects, helpers)
        much = F.adaptive_max_pool2d(damage, seen.shape[-2:])[:, 0]
        hit, sound = (
            (much > DAMAGED_ABOVE) & has_place[:, None, None],
            (much < SOUND_BELOW) & has_place[:, None, None],
        )
        answer = torch.where(hit, states[:, None, None], GOOD)
        losses = F.cross_entropy(logits, answer, reduction="none")
        for cells in (hit, sound):
            total = total + 0.25 * (losses * cells).sum() / cells.sum().clamp(min=1)
    return total


def loss_of(
    network: Any, helpers: Any, batch: Batch, image_tower: Any = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of one batch, and its parts for the log.

    ``sight`` is the compiled image tower, if there is one.
    """
    device = batch.views.device
    with torch.autocast(device.type, dtype=torch.bfloat16):
        features, fine, coarse = (ImageTowerWithMaps(network.visual) if image_tower is None else image_tower)(
            batch.views
        )
        words = pocket.embed_trimmed_texts(network, batch.ids)
    features, words = features.float(), words.float()
    count, second_views = len(batch.facts), len(batch.views) - len(batch.facts)
    images, texts = F.normalize(features[:count], dim=-1), F.normalize(words, dim=-1)
    match = contrastive(images, texts, network.logit_scale.exp(), batch.true, batch.known)
    facts, right = fact_loss(helpers, images, batch.facts)
    stated, _right = fact_loss(helpers, texts, batch.claims)
    where = damage_map_loss(
        helpers, [fine, coarse], batch.damage, torch.cat([batch.facts, batch.facts[:second_views]])
    )
    views = F.normalize(helpers.instance(features), dim=-1)
    likeness = views[count:] @ views[:count].T / 0.15
    same = F.cross_entropy(likeness, torch.arange(second_views, device=device))
    parts = {"match": match, "facts": facts, "said": stated, "where": where, "twins": same, "state": right}
    loss = match + facts + CAPTION_FACTS_WEIGHT * stated + DAMAGE_MAP_WEIGHT * where + INSTANCE_WEIGHT * same
    return loss, {name: value.detach() for name, value in parts.items()}
