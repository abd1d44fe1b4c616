"""One teacher, two students: the pair file that a teacher scored also distils a sparse encoder, by the divergence and by the margin."""

import numpy as np
import pytest

from dense_ko.distillation.scoring import score_pairs
from dense_ko.distillation.settings import CandidateSettings
from retrieval_ko.collection import Collection
from retrieval_ko.pairs.training_pairs import read_pairs, write_pairs
from retrieval_ko.records import TrainingPair


class Opinionated:
    """Scores answers 3 and others by their number, whatever they say: nothing that an untrained encoder could know."""

    out_of_memory = 0

    def score_candidates(self, asked, passages, batch_size=32, *, on_progress=None):
        return [[3.0 if passage == f"p{one.query[-1]}" else float(passage[-1]) - 5 for passage in one.passages] for one in asked]


@pytest.fixture(scope="module")
def folder(collection, tmp_path_factory):
    folder = tmp_path_factory.mktemp("both") / "collection"
    judged = collection.judgements["train"]
    Collection("tiny", collection.passages, collection.queries, {"train": judged, "dev": judged}, []).write(folder)
    ids = list(collection.passages)
    pairs = [
        TrainingPair(
            query_id=f"q{key}",
            query_text=collection.queries[f"q{key}"].text,
            positive_passages=[key],
            hard_negatives=[other for other in ids if other != key],
        )
        for key in ids
    ]
    write_pairs(folder / "pairs" / "train.jsonl", pairs)
    files = [folder / "pairs" / f"{name}.jsonl" for name in ("train", "train-scored")]
    score_pairs(Opinionated(), "t", Collection.read(folder), *files, CandidateSettings(k=5, filter_share=None))
    return folder


def differences(encoder, folder, collection):
    """What the student says of every list and what the teacher says: mean KL divergence, and mean squared difference of the leads."""
    divergences, leads = [], []
    for pair in read_pairs(folder / "pairs" / "train-scored.jsonl"):
        passages = [collection.passages[passage].passage_text for passage in pair.scores]
        query = encoder.encode_query([pair.query_text])
        student = (query @ encoder.encode_document(passages).T).toarray()[0].astype(np.float64)
        teacher = np.array(list(pair.scores.values()))
        target, said = (scores - np.log(np.exp(scores - scores.max()).sum()) - scores.max() for scores in (teacher, student))
        divergences.append((np.exp(target) * (target - said)).sum())
        leads.append(np.square((student[0] - student[1:]) - (teacher[0] - teacher[1:])).mean())
    return {"kl": np.mean(divergences), "margin-mse": np.mean(leads)}


@pytest.mark.parametrize("loss", ["kl", "margin-mse"])
def test_a_sparse_student_comes_nearer_to_the_teacher(loss, folder, tmp_path):
    from safetensors.torch import load_model

    from sparse_ko.building import build_encoder
    from sparse_ko.settings import TrainSettings
    from sparse_ko.training import train

    settings = TrainSettings.model_validate(
        {
            "name": "sparse-student",
            "collection": str(folder),
            "data": [{"collection": str(folder), "pairs": "train-scored"}],
            "vocabulary": {"size": 6000},
            "model": {"body": "static", "dimensions": 32, "max_tokens": 64},
            "ranking": {"loss": loss},
            "sparsity": {"document_weight": 0.0, "query_weight": 0.0},
            "synonyms": {"as_pairs": False},
            "training": {"max_steps": 30, "batch_size": 5, "hard_negatives": 4, "learning_rate": 5e-3, "eval_steps": 30},
        }
    )
    data = Collection.read(folder)
    encoder = build_encoder(settings, data)
    before = differences(encoder, folder, data)[loss]
    train(settings, data, tmp_path / "run", data_hash="0")
    load_model(encoder.module, str(tmp_path / "run" / "checkpoint-30" / "model.safetensors"))
    assert differences(encoder, folder, data)[loss] < before / 2
