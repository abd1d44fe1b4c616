"""A step that computes some dimensions: the ranking loss has all it reads, the regulariser is right on average."""

import numpy as np
import pytest
import torch

from retrieval_ko.collection import texts_of
from retrieval_ko.errors import UsageError
from sparse_ko.building import build_encoder
from sparse_ko.losses.flops import Flops
from sparse_ko.losses.l1 import L1
from sparse_ko.settings import TrainSettings, read_settings
from sparse_ko.training import train
from sparse_ko.training.sampling import SampledDimensions
from training_ko.known_texts import KnownTexts

FORMS = [("lexical-floor", "static"), ("lexical-floor", "transformer"), ("doc-only", "transformer")]


def settings_of(form="lexical-floor", body="static", **sparsity):
    model = {"form": form, "body": body, "layers": 1, "dimensions": 32, "heads": 2, "max_tokens": 32, "neighbour_pull": 0}
    values = {"name": "some", "vocabulary": {"size": 6000}, "model": model, "training": {"max_steps": 4, "batch_size": 6}}
    return TrainSettings.model_validate({**values, "sparsity": sparsity})


@pytest.mark.parametrize(("form", "body"), FORMS)
def test_some_dimensions_are_those_of_the_whole_vector_and_have_its_gradient(collection, form, body):
    encoder = build_encoder(settings_of(form, body), collection)
    if form == "lexical-floor":
        with torch.no_grad():
            encoder.module.gamma.fill_(0.7)
    encoder.module.eval()
    texts = texts_of(collection.passages.values())[:4]
    some = torch.tensor([5, 7, *range(300, 900, 7), len(encoder.tokenizer) - 1])
    for kind in ("query", "document"):
        features = encoder.tokenize(texts, kind)
        gradients = []
        for vectors in (encoder.embed(features, kind)[:, some], encoder.embed(features, kind, some)):
            encoder.module.zero_grad()
            (vectors * torch.linspace(-1, 1, len(some))).sum().backward()
            gradients.append({name: one.grad.clone() for name, one in encoder.module.named_parameters() if one.grad is not None})
        torch.testing.assert_close(encoder.embed(features, kind, some), encoder.embed(features, kind)[:, some])
        torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("loss", [Flops(), L1(), Flops(l0_threshold=2), L1(l0_threshold=2)], ids=["flops", "l1", "flops-l0", "l1-l0"])
def test_a_regulariser_is_right_on_average_over_all_samples(loss):
    generator = torch.Generator().manual_seed(3)
    weights = torch.rand(5, 12, generator=generator, dtype=torch.float64) + 0.1
    asked = [1, 4, 6]
    others = [place for place in range(12) if place not in asked]
    estimates = []
    for drawn in others:
        dimensions = sorted([*asked, drawn])
        counts = torch.tensor([1.0 if place in asked else len(others) for place in dimensions], dtype=torch.float64)
        estimates.append(loss(weights[:, dimensions], counts))
    assert float(torch.stack(estimates).mean()) == pytest.approx(float(loss(weights)), rel=1e-12)
    assert float(torch.stack(estimates).std()) > 0


def test_every_step_has_its_queries_dimensions_and_a_sample_of_the_others(collection):
    settings = settings_of(sampled_dimensions=50)
    encoder = build_encoder(settings, collection)
    sampled = SampledDimensions(encoder, settings)
    queries = [query.text for query in collection.queries.values()][:6]
    asked = set(encoder.tokenize(queries, "query")["input_ids"].ravel().tolist())
    steps = [sampled(step, queries) for step in range(3)]
    for dimensions, counts in steps:
        assert asked <= set(dimensions.tolist())
        assert len(dimensions) == len(asked) + 50
        assert float(counts.sum()) == pytest.approx(len(encoder.tokenizer), rel=1e-5)
        assert all(count == 1 for place, count in zip(dimensions.tolist(), counts.tolist(), strict=True) if place in asked)
    assert not torch.equal(steps[0][0], steps[1][0])
    torch.testing.assert_close(SampledDimensions(encoder, settings)(1, queries), steps[1])
    everything, counts = SampledDimensions(encoder, settings_of(sampled_dimensions=10**6))(0, queries)
    assert everything.tolist() == list(range(len(encoder.tokenizer)))
    assert counts.eq(1).all()


def test_a_run_that_samples_everything_is_the_run_that_does_not_sample(collection, tmp_path):
    losses = []
    for name, count in (("whole", 0), ("all", 10**6)):
        trained = train(settings_of(sampled_dimensions=count, document_weight=0.01), collection, tmp_path / name, data_hash="0")
        assert trained.dev_ndcg > 0.2
        losses.append([event["loss"] for event in trained.run.events() if "loss" in event and "document_dims" in event])
    assert len(losses[0]) == 4
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("model.form=siamese", "model.form|form siamese"),
        ("sparsity.document=df-flops", "df-flops"),
        ("synonyms.weight=0.1", "synonyms.weight"),
        ("sparsity.anti_collapse=0.1", "anti_collapse"),
    ],
)
def test_what_needs_every_dimension_is_refused(tmp_path, change, named):
    config = tmp_path / "config.yaml"
    config.write_text("name: x\nmodel: {form: lexical-floor}\nsparsity: {sampled_dimensions: 100}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=named):
        read_settings(config, [change])


def test_known_texts_are_tokenised_once_and_come_out_as_they_would(collection):
    encoder = build_encoder(settings_of(), collection)
    asked = []

    class Counting:
        tokenizer = encoder.tokenizer

        def tokenize(self, texts, kind, max_tokens=None):
            asked.extend(texts)
            return encoder.tokenize(texts, kind, max_tokens)

    known = KnownTexts(Counting())
    texts = texts_of(collection.passages.values())[:8]
    for some in (texts[:3], texts[2:6], texts[::-1], [texts[0], texts[0]]):
        torch.testing.assert_close(known.tokenize(some, "document"), encoder.tokenize(some, "document"))
    assert sorted(asked) == sorted(set(texts))
    torch.testing.assert_close(known.tokenize(texts, "document", 7), encoder.tokenize(texts, "document", 7))
