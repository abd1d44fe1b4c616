"""A model that costs seconds, not minutes: the demo's, before training."""

import pytest
from typer.testing import CliRunner

from retrieval_ko.collection import Collection, sample_folder
from sparse_ko.building import build_encoder
from sparse_ko.settings import TrainSettings
from sparse_ko_cli.sparse import app


@pytest.fixture(scope="session")
def sample():
    return Collection.read(sample_folder())


@pytest.fixture(scope="session")
def model_folder(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "untrained"
    settings = TrainSettings.model_validate({"name": "untrained", "model": {"dimensions": 128, "neighbour_pull": 0}})
    build_encoder(settings, sample).save(folder)
    return folder


@pytest.fixture
def run():
    """Run `sparse-ko` in this process; the answer has exit_code, stdout and stderr."""
    runner = CliRunner(env={"COLUMNS": "300", "TERM": "dumb"})

    def call(*arguments, env=None):
        return runner.invoke(app, [str(argument) for argument in arguments], env=env)

    return call
