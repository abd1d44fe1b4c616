"""A run leaves a model that others take, learns more than frequencies, and goes on after a stop as if there had been none."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, DistilBertConfig, ModernBertConfig, RobertaConfig

from retrieval_ko.errors import DataError, ModelError, UsageError
from retrieval_ko.files import write_jsonl
from retrieval_ko.runs import Run
from sparse_ko.forms.pretrained import load_masked_language_model
from sparse_ko.pretraining import PretrainSettings, pretrain
from sparse_ko.pretraining.base import starting_model
from sparse_ko.pretraining.trainer import loss_of_hidden
from sparse_ko.vocabulary import SPECIAL_TOKENS, build_tokenizer
from sparse_ko.vocabulary.embeddings import embed_pieces
from training_ko.settings import read_settings

STEPS = 60


class StoppedError(Exception):
    """What a person's Ctrl-C or a power cut is to a run."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Rows of one word thirteen times and a digit, so that what is hidden stands beside it, and a vocabulary of twelve such words."""
    folder = tmp_path_factory.mktemp("pretraining")
    words = [chr(0xAC00 + 28 * number) for number in range(12)]
    write_jsonl(folder / "texts.jsonl", [{"text": f"{words[number % 12]} " * 13 + str(number % 7)} for number in range(720)])
    pieces = [*SPECIAL_TOKENS, "[unused0]", *words, *map(str, range(7))]
    build_tokenizer(pieces, 16).save_pretrained(folder / "vocabulary")
    return folder


def settings_of(place, **changes):
    values = {
        "name": "tiny",
        "sources": [place / "texts.jsonl"],
        "held_out": 0.1,
        "vocabulary": {"source": place / "vocabulary"},
        "model": {"layers": 1, "dimensions": 16, "heads": 2, "max_tokens": 16},
        "training": {"max_steps": STEPS, "batch_size": 8, "learning_rate": 0.02, "eval_steps": 20, "save_steps": 20},
    }
    for name, change in changes.items():
        values[name] = {**values[name], **change} if isinstance(change, dict) else change
    return PretrainSettings.model_validate(values)


@pytest.fixture(scope="module")
def trained(place):
    return pretrain(settings_of(place), place / "run")


def test_the_model_learns_more_than_frequencies(trained):
    assert trained.held_out.loss < 0.75 * trained.unigram.loss
    assert trained.held_out.accuracy > 0.4 > trained.unigram.accuracy


def test_the_run_is_recorded(trained):
    metadata = trained.run.metadata()
    assert metadata["state"] == "finished"
    assert metadata["dev_loss"] == trained.held_out.loss
    assert set(metadata["data"]) == {"texts.jsonl", "tokenizer.json"}
    events = trained.run.events()
    assert events[0]["unigram_loss"] == trained.unigram.loss
    assert [event["step"] for event in events if "dev_loss" in event] == [20, 40, 60]
    assert all(event["tokens_per_second"] > 0 for event in events if "loss" in event)
    assert not (trained.run.folder / "packed").exists()


def test_the_first_loss_is_that_of_frequencies(trained):
    first = next(event["loss"] for event in trained.run.events() if "loss" in event)
    assert first == pytest.approx(trained.unigram.loss, abs=0.35)  # 8 rows of 16 tokens, 30 % of them


def test_the_folder_is_a_plain_masked_language_model(trained):
    model = AutoModelForMaskedLM.from_pretrained(trained.model_folder)
    tokenizer = AutoTokenizer.from_pretrained(trained.model_folder)
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.model_max_length == 16
    assert load_masked_language_model(str(trained.model_folder))[0].num_parameters() == trained.run.metadata()["parameters"]


def test_a_stopped_run_goes_on_to_the_same_weights(place, trained, tmp_path):
    def stop(done, *_):
        if done == 33:
            raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        pretrain(settings_of(place), tmp_path / "run", on_progress=stop)
    assert Run(tmp_path / "run").metadata()["state"] == "failed"
    resumed = pretrain(settings_of(place), tmp_path / "run", resume=True)
    ours, theirs = (load_file(run.model_folder / "model.safetensors") for run in (resumed, trained))
    assert ours.keys() == theirs.keys()
    for name, weights in ours.items():
        assert torch.equal(weights, theirs[name]), name
    steps = [event["step"] for event in resumed.run.events() if "loss" in event]
    assert steps == list(range(1, STEPS + 1))


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "modernbert"])
def test_logits_of_hidden_tokens_alone_give_the_models_own_loss_and_gradients(kind):
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 20}
    configs = {
        "bert": BertConfig(vocab_size=30, **shape),
        "roberta": RobertaConfig(vocab_size=30, **shape),
        "distilbert": DistilBertConfig(vocab_size=30, dim=16, n_layers=1, n_heads=2, hidden_dim=32),
        "modernbert": ModernBertConfig(
            vocab_size=30, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3, **shape
        ),
    }
    torch.manual_seed(6)
    model = AutoModelForMaskedLM.from_config(configs[kind]).eval()
    ids = torch.randint(5, 30, (3, 9))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.where(torch.rand(3, 9) < 0.4, torch.tensor(-100))}
    found = []
    for loss in (model(**batch).loss, loss_of_hidden(model, model.get_output_embeddings(), batch)):
        model.zero_grad()
        loss.backward()
        found.append((loss.detach(), model.get_input_embeddings().weight.grad.clone()))
    torch.testing.assert_close(found[0], found[1])


def test_a_run_may_go_on_from_a_model(place, trained, tmp_path):
    settings = settings_of(place, vocabulary={"source": None}, model={"base": str(trained.model_folder)}, training={"max_steps": 2})
    further = pretrain(settings, tmp_path / "run")
    assert further.held_out.loss < 0.9 * further.unigram.loss


def test_pieces_may_start_with_their_vectors(place):
    embed_pieces(place / "vocabulary", [place / "texts.jsonl"], 16, place / "vectors.safetensors")
    settings = settings_of(place, model={"embeddings": place / "vectors.safetensors"})
    model, _ = starting_model(settings, [])
    lengths = model.get_input_embeddings().weight.norm(dim=1)
    vectors = load_file(place / "vectors.safetensors")["vectors"]
    known = vectors.norm(dim=1) > 0
    torch.testing.assert_close(lengths[known], torch.full((int(known.sum()),), 0.08))  # 0.02 · √16
    assert known.sum() == 12 + 7
    with pytest.raises(ModelError, match="vectors of 16 dimensions, the model has 32"):
        starting_model(settings_of(place, model={"embeddings": place / "vectors.safetensors", "dimensions": 32}), [])


def test_a_base_without_its_head_is_refused(place, trained, tmp_path):
    folder = tmp_path / "headless"
    AutoModelForMaskedLM.from_pretrained(trained.model_folder).bert.save_pretrained(folder)
    AutoTokenizer.from_pretrained(trained.model_folder).save_pretrained(folder)
    with pytest.raises(ModelError, match="have no MLM head"):
        pretrain(settings_of(place, vocabulary={"source": None}, model={"base": str(folder)}), tmp_path / "run")
    assert Run(tmp_path / "run").metadata()["state"] == "failed"


def test_a_loss_that_is_no_number_stops_the_run(place, trained, tmp_path):
    folder = tmp_path / "broken"
    AutoModelForMaskedLM.from_pretrained(trained.model_folder).save_pretrained(folder)
    AutoTokenizer.from_pretrained(trained.model_folder).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["bert.embeddings.word_embeddings.weight"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not a number any more at step 1"):
        pretrain(settings_of(place, vocabulary={"source": None}, model={"base": str(folder)}), tmp_path / "run")


def test_too_few_texts_to_hold_any_out_are_refused(place, tmp_path):
    write_jsonl(tmp_path / "one.jsonl", [{"text": "가 가"}])
    with pytest.raises(DataError, match="no text"):
        pretrain(settings_of(place, sources=[tmp_path / "one.jsonl"]), tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("model.layer=2", "did you mean model.layers"),
        ("masking.share=0", "masking.share"),
        ("model.heads=3", "cannot be shared among 3 heads"),
        ("training.hard_negatives=2", "training.hard_negatives"),
    ],
)
def test_a_config_that_cannot_be_is_refused_with_its_key(tmp_path, change, problem):
    (tmp_path / "c.yaml").write_text(json.dumps({"name": "tiny"}), encoding="utf-8")
    with pytest.raises(UsageError, match=problem):
        read_settings(tmp_path / "c.yaml", [change], PretrainSettings)


def test_a_base_and_a_vocabulary_exclude_each_other(place):
    with pytest.raises(ValueError, match="brings its own vocabulary"):
        settings_of(place, model={"base": "somewhere"})
