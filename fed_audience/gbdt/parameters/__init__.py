"""What a user may choose about a training, under the names LightGBM gave it."""

from fed_audience.gbdt.parameters.training_parameters import ObjectiveName, TrainingParameters

__all__ = ["ObjectiveName", "TrainingParameters"]
