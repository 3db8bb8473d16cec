"""The typed artifacts that travel from pass to pass. Values only: no behaviour, no globals.

Every stage is a frozen dataclass of modules, arrays, tuples and paths, so that the pipeline can
digest it, store it and read it back. Paths point into the folder of the pass that made them.
"""

from __future__ import annotations

# isort: off
# In the order of the way, which the reference keeps.
from compiler.stages.samples import (
    FloatArray,
    LabelArray,
    TargetArray,
    Dataset,
    streamed,
    InputFormat,
)
from compiler.stages.scored import (
    FoldedNorm,
    FloatModel,
    LayerRelevance,
    Relevance,
    PruneReport,
    LayerChoice,
    Allocation,
    ScoredModel,
)
from compiler.stages.insight import (
    Similarity,
    LayerInsight,
    BitMargin,
    Insight,
)
from compiler.stages.quantized import (
    Epoch,
    Codebook,
    QuantModel,
    QonnxModel,
    DataflowModel,
)
from compiler.stages.hardware import (
    SimReport,
    FinnUnits,
    RtlDesign,
    UnitReport,
    Resources,
    Implementation,
    Deployment,
)

# isort: on

__all__ = [
    "Allocation",
    "BitMargin",
    "Codebook",
    "DataflowModel",
    "Dataset",
    "Deployment",
    "Epoch",
    "FinnUnits",
    "FloatArray",
    "FloatModel",
    "FoldedNorm",
    "Implementation",
    "InputFormat",
    "Insight",
    "LabelArray",
    "LayerChoice",
    "LayerInsight",
    "LayerRelevance",
    "PruneReport",
    "QonnxModel",
    "QuantModel",
    "Relevance",
    "Resources",
    "RtlDesign",
    "ScoredModel",
    "SimReport",
    "Similarity",
    "TargetArray",
    "UnitReport",
    "streamed",
]
