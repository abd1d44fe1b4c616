"""Teachers: judges of a query and a passage that are too slow to search with, or know what only training data says.

A cross-encoder reads both together. An ensemble looks up: BM25, what similar training queries cite, other encoders.

settings.py   what a run is told; presets/ has S2's two
model.py      CrossEncoderTeacher: pairs of texts → logits; folders. lora.py: adapters, restored exactly or not at all
building.py   a base from a folder, from the hub, or small from scratch
losses.py     pointwise (binary cross-entropy) and in-list (softmax)
data.py       pairs → one batch; reranking.py: BM25's best, put in the teacher's order
training.py   a run, on the floor of training_ko
asked.py      what is asked of any teacher; loading.py: a teacher by its folder
citations.py  similar training queries and what they cite, the query's own pairs left out
signals.py    what an ensemble judges by; ensemble.py: their weighted sum, its folder; fitting.py: the weights
evaluation.py how well it re-ranks, how far apart it holds answers and negatives
"""
