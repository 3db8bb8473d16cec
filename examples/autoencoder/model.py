"""The autoencoder of MLPerf Tiny: sounds of machines that it cannot give again are anomalies."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from compiler.frontend.generated import settled

SHAPE = (640,)
"""Five frames of 128 log-mel energies."""
PLAN = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)


class Autoencoder(nn.Module):
    """640-128-128-128-128-8-128-128-128-128-640. Takes (N, 640), gives (N, 640).

    Koizumi et al., DCASE 2020 task 2; sizes of MLPerf Tiny, arXiv 2106.07597.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(PLAN):
            layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(PLAN[-1], *SHAPE))

    def forward(self, x: Tensor) -> Tensor:
        values: Tensor = self.layers(x)
        return values


def seeded() -> nn.Module:
    """The network with weights drawn from a seed, not trained."""
    return settled(Autoencoder, SHAPE)
