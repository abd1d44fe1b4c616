"""`sparse-ko train`: what a person sees before, instead of and after a run."""

import json

SMALL = [
    word
    for change in ("vocabulary.size=6000", "model.dimensions=32", "model.neighbour_pull=0", "training.batch_size=128")
    for word in ("--set", change)
]


def test_a_dry_run_counts_and_writes_nothing(run, sample, tmp_path):
    answer = run("train", "demo", *SMALL, "--set", "training.epochs=2", "--out", tmp_path / "run", "--dry-run", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    pairs = sum(map(len, sample.relevant("train").values()))
    assert [source["pairs"] for source in found["sources"]] == [pairs, len(sample.synonyms)]
    assert found["passages"] == found["dev_passages"] == len(sample.passages)
    assert found["dev_queries"] == len(sample.relevant("dev"))
    assert found["steps_per_epoch"] == -(-pairs // 128) + -(-len(sample.synonyms) // 128)
    assert found["steps"] == 2 * found["steps_per_epoch"]
    # tied embeddings and a bias, 256 positions and 2 types, LayerNorm, and the head's dense layer with its own
    vocabulary = found["vocabulary"]
    assert found["parameters"] == vocabulary * 33 + (256 + 2) * 32 + 2 * 32 + (32 * 32 + 32 + 2 * 32)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_is_shown_in_words(run):
    answer = run("train", "demo", *SMALL, "--dry-run")
    assert "540 pairs from korean-sample/train, weight 1" in answer.stdout
    assert "45 steps, 9 an epoch; dev every 9" in answer.stdout


def test_a_key_that_is_none_is_answered_with_the_nearest(run):
    answer = run("train", "demo", "--set", "training.learning_rat=0.1")
    assert answer.exit_code == 2
    assert "training.learning_rat: there is no such key; did you mean training.learning_rate?" in answer.stderr


def test_the_help_names_the_packaged_configs_and_an_example(run):
    text = run("train", "--help").stdout
    for name in ("demo", "demo-transformer", "mini", "weighted-sum", "ax-encoder", "klue-bert-base", "Example: sparse-ko train"):
        assert name in text
    assert "pretrain" not in text


def test_a_process_that_is_not_the_main_one_says_nothing(run, tmp_path):
    """It stops before the batch is shared, with the error alone."""
    answer = run("train", "demo", "--set", "training.batch_size=127", "--out", tmp_path, env={"RANK": "1", "WORLD_SIZE": "2"})
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert "127 pairs cannot be shared evenly among 2 processes" in answer.stderr
    assert "training.batch_size=126" in answer.stderr
