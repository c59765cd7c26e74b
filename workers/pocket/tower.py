"""The image tower of `pocket`: a small residual network that reads texture.

It is registered with timm as ``mekiki_pocket``, so that open_clip's factory builds it from our JSON
configuration. Defects on metal differ by texture more than by shape, and texture is described by second
moments (Gatys et al., arXiv 1505.07376). Therefore every stage gives the mean and the standard deviation of
its channels. The last stage also gives their maximum: one small defect changes it, but is lost in a mean.
"""

import torch
from timm.models import register_model
from torch import Tensor, nn

__all__ = ["PocketTower"]


def _norm_conv(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut (arXiv 1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _norm_conv(inputs, outputs, stride=stride)
        self.second = _norm_conv(outputs, outputs)
        self.short: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.short = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride != 1 else nn.Identity(),
                _norm_conv(inputs, outputs, kernel=1),
            )
        self.act = nn.ReLU(inplace=True)
        scale = self.second[1].weight
        assert isinstance(scale, Tensor)
        nn.init.zeros_(scale)  # the block starts as the identity of its shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.act(self.first(x))) + self.short(x))


class PocketTower(nn.Module):
    """Image network: (n, 3, h, w) images → (n, ``num_features``) statistics.

    The statistics of three stages are pooled and standardised.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256)) -> None:
        super().__init__()
        stem, one, two, three = widths
        self.stem = nn.Sequential(_norm_conv(3, stem, stride=2), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList(
            [
                nn.Sequential(Block(stem, one, 2)),
                nn.Sequential(Block(one, two, 2), Block(two, two, 1)),
                nn.Sequential(Block(two, three, 2), Block(three, three, 1)),
            ]
        )
        self.num_features = 2 * (one + two + three) + three
        self.norm = nn.BatchNorm1d(self.num_features)
        self.default_cfg: dict[str, object] = {}  # timm's convention; open_clip reads a pool size from it

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Do nothing: timm's convention, but there is no classifier to remove."""

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the feature maps of the three stages, (n, c, h', w'), for (n, 3, h, w) images.

        Their side is a quarter, an eighth and a sixteenth of the image's side. Training uses the maps to
        locate defects; the product needs only `forward`.
        """
        x = self.stem(x)
        seen = []
        for stage in self.stages:
            x = stage(x)
            seen.append(x)
        return seen

    def pool(self, seen: list[Tensor]) -> Tensor:
        """Return (n, ``num_features``) statistics of the feature maps of all stages."""
        pooled = []
        for x in seen:
            variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
            pooled += [mean, (variance + 1e-4).sqrt()]
        pooled.append(seen[-1].amax(dim=(2, 3)))
        return self.norm(torch.cat(pooled, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.maps(x))


@register_model
def mekiki_pocket(pretrained: bool = False, **_: object) -> PocketTower:
    """Return the image tower; timm's entry point.

    Weights come with the whole open_clip model and never from timm. Raises ValueError if ``pretrained`` is
    true.
    """
    if pretrained:
        raise ValueError("mekiki_pocket has no weights of its own: load them through workers.encoders")
    return PocketTower()
