"""A model folder made ready to be passed on: for the hub, or as the model that comes with a package.

record.py      what is known of the training: the run's folder, and the runs of the models that it started from
licences.py    may what was learnt from a text under this licence be passed on?
origins.py     what a model was trained on, and under which licences
figures.py     the figures of `sparse-ko evaluate --out` and `lex-dpr evaluate --out`
energy.py      how long, on what, and what that may have drawn
shown.py       paths and commands without the folders of the machine they were typed on
likeness.py    does the folder answer as the model did?
model.py       what publishing asks of an encoder
model_card.py  README.md for the hub, MODEL_CARD.md for a package
folder.py      all of it together: the folder, checked by loading it
hub.py         the upload
"""
