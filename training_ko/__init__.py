"""The floor that training stands on, sparse or dense. Needs torch.

settings.py    what every run is told; a YAML file, checked before anything starts
data.py        where pairs come from
batches.py     the batch of every step, for every process; collator.py: pairs → tokens and keys
losses/        ranking losses, and the step that computes any loss over the whole batch, in chunks and over processes
encoder.py     what is asked of an encoder
trainer.py     transformers.Trainer over the whole-batch loss; arguments.py: settings → its arguments; steps.py: those still to take
dev_part.py    what dev is measured on; dev_figures.py: what was found there; dev_loss.py: the valid loss
recording.py   events, progress, and the end of a run whose loss is no number
checkpoints.py what is needed to resume, written whole
run.py         what every run does around its trainer
weights.py     weights on disk: half precision, shards
publishing/    a trained model made ready to be passed on, with its card
libraries.py   the outside libraries, kept quiet
"""
