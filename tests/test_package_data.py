"""What a wheel carries beside code, asked of setuptools itself with this project's pyproject.toml."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def files_of(tmp_path, monkeypatch):
    """The data files that setuptools would put into a wheel of packages that hold a default model."""
    from setuptools import Distribution

    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for package in ("sparse_ko", "dense_ko", "sparse_ko_cli"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("", encoding="utf-8")
        for name in ("default_model/model-00001-of-00002.safetensors", "default_model/body/config.json", "scratch/notes.txt"):
            (tmp_path / package / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / package / name).write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    distribution = Distribution({"script_name": "setup.py"})
    distribution.parse_config_files()
    distribution.set_defaults()
    command = distribution.get_command_obj("build_py")
    command.ensure_finalized()
    return {package: set(files) for package, _, _, files in command.data_files}


@pytest.mark.parametrize("package", ["sparse_ko", "dense_ko"])
def test_a_wheel_carries_the_default_model(files_of, package):
    assert {"default_model/model-00001-of-00002.safetensors", "default_model/body/config.json"} <= files_of[package]
    assert "scratch/notes.txt" not in files_of[package]


def test_the_command_line_has_no_model_of_its_own(files_of):
    assert not files_of.get("sparse_ko_cli")
