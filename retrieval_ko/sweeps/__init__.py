"""Sweeps: many runs of `train` over a space of settings, by one agent or several, on one machine or several.

settings.py      a sweep's YAML file, in the spelling of W&B
parameters.py space.py metrics.py    what is searched, and what for
sweep.py identity.py                 a sweep's folder and its id
claims.py        who runs which trial: files that one process alone can make
store.py         what is known of the trials, and which point comes next (Optuna)
trial_run.py agent.py time_window.py    a trial is a run in a process of its own
results.py pareto.py    the best, the front, and both in a picture
"""
