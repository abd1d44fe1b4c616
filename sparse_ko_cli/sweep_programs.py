"""What a sweep must know of `sparse-ko train` and of `lex-dpr train`."""

from __future__ import annotations

import sys
from pathlib import Path

from retrieval_ko.sweeps.program import Program

QUALITY = ("dev_ndcg@10", "dev_ndcg@5", "dev_mrr@10", "dev_recall@10", "dev_recall@5", "dev_loss")


def sparse_program() -> Program:
    """Return `sparse-ko`."""
    import sparse_ko
    from sparse_ko.settings import TrainSettings, read_settings
    from sparse_ko_cli.train import find_config
    from training_ko.settings import known_keys

    return Program(
        name="sparse-ko",
        command=_trial_of("sparse-ko"),
        presets=Path(sparse_ko.__file__).parent / "sweeps",
        preset="static",
        metrics=(*QUALITY, "dev_document_dims", "dev_query_dims", "dev_flops"),
        keys=tuple(known_keys(TrainSettings)),
        find=find_config,
        check=lambda config, changes: read_settings(find_config(config), changes),
    )


def dense_program() -> Program:
    """Return `lex-dpr`; the names of its published sweeps are read as ours."""
    import dense_ko
    from dense_ko.published_keys import INSTEAD, MAPPED
    from dense_ko.settings import DenseTrainSettings, read_settings
    from sparse_ko_cli.lexdpr_train import PACKAGED_CONFIGS
    from sparse_ko_cli.training import config_file, config_names
    from training_ko.settings import known_keys

    def find(config: str) -> Path:
        return config_file(config, PACKAGED_CONFIGS, config_names(PACKAGED_CONFIGS))

    keys = tuple(known_keys(DenseTrainSettings))
    return Program(
        name="lex-dpr",
        command=_trial_of("lex-dpr"),
        presets=Path(dense_ko.__file__).parent / "sweeps",
        preset="preset",
        metrics=QUALITY,
        keys=keys,
        find=find,
        check=lambda config, changes: read_settings(find(config), changes),
        renamed=MAPPED,
        refused={key: instead for key, instead in INSTEAD.items() if key not in keys},
    )


def _trial_of(program: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "sparse_ko_cli.sweep_trial", program)
