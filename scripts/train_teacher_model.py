"""Train the cross-encoder teacher: `lex-dpr teacher train` under the flags that earlier scripts had.

    python scripts/train_teacher_model.py --teacher_name klue/roberta-base --data_version my-collection --output_dir models/teacher

docs/distillation.md says what happens.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from retrieval_ko.terminal import exit_on_error, log_to_terminal, print_json
from sparse_ko_cli.lexdpr_teacher import pair_changes, run_teacher


def parser() -> argparse.ArgumentParser:
    """Return the flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data_version", type=Path, required=True, metavar="DIR", help="a collection folder")
    flags.add_argument("--pairs", default="train", help="name of a pair file in it, with negatives")
    flags.add_argument("--output_dir", type=Path, required=True, metavar="DIR")
    flags.add_argument("--teacher_name", help="what it starts as: a folder, or a name on the hub")
    flags.add_argument("--vocabulary", metavar="DIR", help="from scratch: a tokenizer's folder")
    flags.add_argument("--preset", default="full", help="full, quick, scratch, or a YAML file")
    flags.add_argument("--epochs", type=float)
    flags.add_argument("--batch_size", type=int, help="lists a step: a query, its answer and negatives")
    flags.add_argument("--lr", type=float)
    flags.add_argument("--use_lora", action="store_true", help="adapters; the presets full and quick have them")
    flags.add_argument("--lora_r", type=int)
    flags.add_argument("--lora_alpha", type=int)
    flags.add_argument("--lora_dropout", type=float)
    flags.add_argument("--max_samples", type=int)
    flags.add_argument("--resume", action="store_true")
    return flags


def changes(given: argparse.Namespace) -> dict[str, Any]:
    """Return the flags as settings; what was not given is None."""
    lora = {name: value for name in ("r", "alpha", "dropout") if (value := getattr(given, f"lora_{name}")) is not None}
    return pair_changes(given.data_version, given.pairs) | {
        "model.base": given.teacher_name,
        "model.vocabulary": given.vocabulary,
        "training.epochs": given.epochs,
        "training.batch_size": given.batch_size,
        "training.learning_rate": given.lr,
        "training.max_samples": given.max_samples,
        **{f"model.lora.{name}": value for name, value in lora.items()},
        **({"model.lora": {}} if given.use_lora and not lora and given.preset not in ("full", "quick") else {}),
    }


if __name__ == "__main__":
    arguments = parser().parse_args()
    log_to_terminal()
    with exit_on_error():
        print_json(run_teacher(arguments.preset, changes(arguments), arguments.output_dir, resume=arguments.resume))
