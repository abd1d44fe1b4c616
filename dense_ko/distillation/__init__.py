"""A bi-encoder, dense or sparse, learns from a cross-encoder's scores.

settings.py    what a run is told; presets/ has S2's two
scoring.py     candidates of every query and the teacher's scores of them, into a pair file; resumable
losses.py      listwise KL, contrastive margin, negative penalty, on raw cosines
run.py         score, then train the student
margins.py     how far apart a student holds answers and others, on both scales; uniformity
"""
