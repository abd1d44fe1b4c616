"""One training run of a bi-encoder, on the floor of `training_ko`.

loss.py        multiple negatives ranking, and what it shows
guard.py       false negatives held back, by the encoder itself, another one, or a teacher
measurement.py quality and loss on dev
trainer.py     the trainer of every run, told what is dense about this one
run.py         all of it together: `train`
"""

from dense_ko.training.run import train
from training_ko.run import TrainedModel

__all__ = ["TrainedModel", "train"]
