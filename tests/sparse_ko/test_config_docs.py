"""docs/configs.md says what the settings say."""

import runpy
from pathlib import Path

from sparse_ko.settings import TrainSettings
from training_ko.settings import known_keys

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_script_writes():
    written = runpy.run_path(str(ROOT / "scripts" / "config_docs.py"))["page"]()
    assert (ROOT / "docs" / "configs.md").read_text(encoding="utf-8") == written, "run: python scripts/config_docs.py"


def test_every_key_stands_on_the_page():
    text = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")
    keys = set(known_keys(TrainSettings)) - {"data"}
    shown = {key for key in keys if f"| `{key.removeprefix('data.')}` |" in text or f"### `{key}`" in text}
    assert shown == keys
