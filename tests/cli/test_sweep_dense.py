"""The published sweep of LexDPR, run: its bases two folders made on the spot, its trials real ones, begun by its agent."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from dense_ko.settings import read_settings as read_train_settings
from dense_ko.stock import bi_encoder_around, save_sentence_transformer
from retrieval_ko.collection import Collection
from retrieval_ko.pairs.training_pairs import write_pairs
from retrieval_ko.records import Passage, Query, TrainingPair
from retrieval_ko.runs import Run
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer
from sparse_ko_cli.lexdpr import app

THINGS = ("보증금", "법인세", "최저임금", "상속", "도로", "건축", "특허", "소음", "퇴직금", "양육비", "계약", "해고")
ASPECTS = ("신고", "허가", "반환", "기간")
POSITIONS = 512
SHAPE = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.3}


@pytest.fixture(scope="module")
def lexdpr():
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "OMP_NUM_THREADS": "1"})

    def call(*arguments):
        answer = runner.invoke(app, [str(argument) for argument in arguments])
        assert answer.exit_code == 0, answer.output
        return answer

    return call


@pytest.fixture(scope="module")
def law(tmp_path_factory):
    """A collection of 48 passages with what the sweep's `data` names: train with five negatives a pair, and as many augmented queries."""
    folder = tmp_path_factory.mktemp("law") / "tiny"
    subjects = [f"{thing} {aspect}" for thing in THINGS for aspect in ASPECTS]
    passages = {f"p{number}": Passage(id=f"p{number}", text=f"{subject}에 관한 조문이다.") for number, subject in enumerate(subjects)}
    queries = {f"q{number}": Query(id=f"q{number}", text=subject) for number, subject in enumerate(subjects)}
    judged = {"train": {f"q{number}": {f"p{number}": 1} for number in range(36)}, "dev": {f"q{n}": {f"p{n}": 1} for n in range(36, 48)}}
    Collection("tiny", passages, queries, judged).write(folder)

    def pair(number, query):
        others = [f"p{(number + step) % 48}" for step in range(1, 8)]
        of = {"positive_passages": [f"p{number}"], "hard_negatives": others[:3], "random_negatives": others[3:]}
        return TrainingPair(query_id=f"q{number}", query_text=query, **of)

    for name, form in (("train", "{}"), ("augmented", "{} 어떻게 하나요")):
        write_pairs(folder / "pairs" / f"{name}.jsonl", [pair(number, form.format(subjects[number])) for number in range(36)])
    return folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Two BERT bi-encoders of sentence-transformers, of 16 and of 32 dimensions."""
    import torch
    from transformers import BertConfig, BertModel

    root = tmp_path_factory.mktemp("bases")
    characters = sorted(set("".join((*THINGS, *ASPECTS, "에 관한 조문이다.어떻게 하나요"))) - {" "})
    pieces = build_tokenizer([*SPECIAL_TOKENS, *characters, *(f"##{char}" for char in characters)], POSITIONS)
    torch.manual_seed(3)
    for name, dimensions in (("small", 16), ("large", 32)):
        body = BertModel(BertConfig(vocab_size=len(pieces), hidden_size=dimensions, max_position_embeddings=POSITIONS, **SHAPE))
        save_sentence_transformer(bi_encoder_around(body, pieces, POSITIONS), root / name)
    return [str(root / "small"), str(root / "large")]


def test_two_trials_of_the_published_sweep_run_over_local_bases(lexdpr, law, bases, tmp_path):
    sweep_file, runs = tmp_path / "sweep.yaml", tmp_path / "runs"
    changes = [f"model.base=[{', '.join(bases)}]", f"collection={law}", "training.epochs=1", "seed=2"]
    words = [word for change in changes for word in ("--set", change)]
    lexdpr("sweep", "preset", *words, "--no-run-agent", "--output", sweep_file, "--runs", runs)
    shown = json.loads(lexdpr("sweep", "agent", "--config", sweep_file, "--runs", runs, "--count", "2", "--json").stdout)

    trials = shown["trials"]
    assert [trial["state"] for trial in trials] == ["finished"] * 2
    assert {trial["settings"]["model.base"] for trial in trials} == set(bases)
    for trial in trials:
        run = Run(runs / shown["sweep"] / f"trial-{trial['trial']:04}")
        assert trial["eval/ndcg_at_10"] == pytest.approx(run.metadata()["dev_ndcg@10"])
        config = yaml.safe_load((run.folder / "config.yaml").read_text(encoding="utf-8"))
        adapters = json.loads((run.folder / "model" / "training_config.json").read_text(encoding="utf-8"))["lora"]
        assert adapters["r"] == trial["settings"]["model.lora.r"] == config["model"]["lora"]["r"]
        assert config["training"]["learning_rate"] == trial["settings"]["training.learning_rate"]
        assert config["training"]["hard_negatives"] + config["training"]["random_negatives"] == 5
        assert {place["collection"] for place in config["data"]} == {str(law)}
    assert read_train_settings(shown["best_config"]).model.base in bases
