"""One training run of a sparse encoder, on the floor of `training_ko`.

data.py        the pairs of every run, and pairs of terms
trainer.py     the trainer of every run, and the dial
measurement.py nDCG@10 and active dimensions on dev
run.py         all of it together: `train`
"""

from sparse_ko.training.run import train
from training_ko.run import TrainedModel

__all__ = ["TrainedModel", "train"]
