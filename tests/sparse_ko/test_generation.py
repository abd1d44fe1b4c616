"""The transformers backend, with a GPT-2 made on the spot: it knows nothing, but is real in every part."""

import json
import threading

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from retrieval_ko.errors import ModelError
from retrieval_ko.records import Passage
from retrieval_ko.synthesis import AnswerError, generate_synthetic_qd_pairs
from sparse_ko.generation import TransformersBackend

TEXTS = ["임차인은 보증금의 반환을 청구할 수 있다.", "검색어를 한 줄에 하나씩 쓰세요.\n", "전세금 안 돌려줘요?"]
TEMPLATE = "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|answer|>{% endif %}"
PROMPT = "보증금 반환에 대한 검색어"


def save_model(folder, template=None, end_token_is_likely=False):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|user|>", "<|answer|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", additional_special_tokens=special[1:])
    fast.chat_template = template
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(fast),
        n_positions=400,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=fast.eos_token_id,
        eos_token_id=fast.eos_token_id,
    )
    model = GPT2LMHeadModel(config)
    if end_token_is_likely:  # every hidden state is the layer norm's bias, and the end token's embedding is that direction
        with torch.no_grad():
            model.transformer.ln_f.weight.zero_()
            model.transformer.ln_f.bias.fill_(1)
            model.transformer.wte.weight[fast.eos_token_id] = 100
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bare_folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("lm") / "tiny-gpt2")


@pytest.fixture(scope="module")
def bare(bare_folder):
    return TransformersBackend.load(str(bare_folder), device="cpu")


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    return TransformersBackend.load(str(save_model(tmp_path_factory.mktemp("lm") / "chat", TEMPLATE)), device="cpu")


def test_a_model_is_called_after_its_folder(bare):
    assert bare.name == "tiny-gpt2"


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(bare):
    first = bare.generate(PROMPT, seed=1)
    torch.manual_seed(99)
    assert bare.generate(PROMPT, seed=1) == first
    assert bare.generate(PROMPT, seed=2) != first


def test_asking_leaves_the_random_numbers_of_others_alone(bare):
    torch.manual_seed(5)
    untouched = torch.rand(3)
    torch.manual_seed(5)
    bare.generate(PROMPT, seed=1)
    assert torch.equal(torch.rand(3), untouched)


def test_the_prompt_is_not_part_of_the_answer(bare):
    assert PROMPT not in bare.generate(PROMPT, seed=1)


def test_a_chat_template_is_used_where_there_is_one(bare, chat):
    def read(backend):
        return backend._tokenizer.decode(backend.prompt_tokens(PROMPT)["input_ids"][0])

    assert read(bare) == PROMPT
    assert read(chat) == f"<|user|>{PROMPT}<|answer|>"
    assert chat.generate(PROMPT, seed=1)


def test_a_prompt_that_is_too_long_fails_alone(bare):
    with pytest.raises(AnswerError, match=r"tokens .* reads 400"):
        bare.generate(PROMPT * 100, seed=1)
    assert bare.generate(PROMPT, seed=1)


def test_a_model_that_says_nothing_fails(tmp_path):
    silent = TransformersBackend.load(str(save_model(tmp_path / "silent", end_token_is_likely=True)), device="cpu")
    with pytest.raises(AnswerError, match="answered nothing"):
        silent.generate(PROMPT, seed=1)


def test_threads_get_the_answers_of_their_seeds(bare):
    alone = {seed: bare.generate(PROMPT, seed=seed) for seed in range(4)}
    together = {}
    threads = [threading.Thread(target=lambda n=n: together.update({n: bare.generate(PROMPT, seed=n)})) for n in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_it_is_a_backend_of_the_synthesis(bare_folder):
    backend = TransformersBackend.load(str(bare_folder), device="cpu")
    backend._longest_answer_tokens = 20
    short = Passage(id="p1", title="보증금", text="보증금의 반환")
    backend._model.config.max_position_embeddings = 10_000  # the prompt is long for a byte-level model of 400 tokens
    backend._model.transformer.wpe = torch.nn.Embedding(4000, 16)
    result = generate_synthetic_qd_pairs([short], backend, enable_filtering=False)
    assert result.documents == 1
    assert not result.failures
    assert {pair.meta["model"] for pair in result.pairs} == {"tiny-gpt2"}


@pytest.mark.parametrize("damage", ["missing", "no config", "no weights", "damaged weights", "no language model"])
def test_a_folder_that_is_no_language_model(tmp_path, damage):
    folder = tmp_path / "model"
    if damage != "missing":
        save_model(folder)
    if damage == "no config":
        (folder / "config.json").unlink()
    elif damage == "no weights":
        (folder / "model.safetensors").unlink()
    elif damage == "damaged weights":
        (folder / "model.safetensors").write_bytes(b"\0" * 100)
    elif damage == "no language model":
        (folder / "config.json").write_text(json.dumps({"model_type": "vit"}), encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be loaded") as raised:
        TransformersBackend.load(str(folder), device="cpu")
    assert str(folder) in raised.value.problem
    assert "config.json" in raised.value.remedy
