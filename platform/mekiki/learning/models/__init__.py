"""Tables of encoders, embeddings, heads, training runs and predictions."""

from mekiki.learning.models.encoder_changes import (
    EncoderChange,
)
from mekiki.learning.models.encoders import (
    Embedding,
    EmbeddingChange,
    EmbeddingRemoval,
    Encoder,
    EncoderProbe,
    EncodingProblem,
    LongPrompt,
    TextEmbedding,
    WorkerDifference,
    WorkerReport,
)
from mekiki.learning.models.explanations import HeatMap, PromptEmbedding
from mekiki.learning.models.heads import (
    Champion,
    Evaluation,
    Head,
    HeadTrainingLabel,
    Prediction,
    TrainingRun,
    confidence_of_runner_up,
)
from mekiki.learning.models.near_duplicates import (
    GroupedImage,
    NearDuplicateGrouping,
    NearDuplicateSurvey,
)
from mekiki.learning.models.prompt_trials import PromptTrial

__all__ = [
    "Champion",
    "Embedding",
    "EmbeddingChange",
    "EmbeddingRemoval",
    "Encoder",
    "EncoderChange",
    "EncoderProbe",
    "EncodingProblem",
    "Evaluation",
    "GroupedImage",
    "Head",
    "HeadTrainingLabel",
    "HeatMap",
    "LongPrompt",
    "NearDuplicateGrouping",
    "NearDuplicateSurvey",
    "Prediction",
    "PromptEmbedding",
    "PromptTrial",
    "TextEmbedding",
    "TrainingRun",
    "WorkerDifference",
    "WorkerReport",
    "confidence_of_runner_up",
]
