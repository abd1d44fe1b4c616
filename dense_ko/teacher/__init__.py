"""The cross-encoder teacher: it reads query and passage together, so it judges better than any bi-encoder, and is too slow to search with.

settings.py   what a run is told; presets/ has S2's two
model.py      CrossEncoderTeacher: pairs of texts → logits; folders. lora.py: adapters, restored exactly or not at all
building.py   a base from a folder, from the hub, or small from scratch
losses.py     pointwise (binary cross-entropy) and in-list (softmax)
data.py       pairs → one batch; reranking.py: BM25's best, put in the teacher's order
training.py   a run, on the floor of training_ko
evaluation.py how well it re-ranks, how far apart it holds answers and negatives
"""
