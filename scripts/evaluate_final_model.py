"""Measure a distilled bi-encoder: `lex-dpr margins` under the flags that earlier scripts had.

    python scripts/evaluate_final_model.py --model_path models/student/model --data_version my-collection

docs/distillation.md says what happens.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from retrieval_ko.terminal import exit_on_error, log_to_terminal, print_json
from sparse_ko_cli.lexdpr_margins import run_margins


def parser() -> argparse.ArgumentParser:
    """Return the flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--model_path", required=True, metavar="DIR")
    flags.add_argument("--data_version", type=Path, required=True, metavar="DIR", help="a collection folder")
    flags.add_argument("--split", default="dev")
    flags.add_argument("--output_dir", type=Path, metavar="DIR", help="evaluation.json and figures; left out, nothing is written")
    flags.add_argument("--batch_size", type=int, default=64)
    flags.add_argument("--max_samples", type=int)
    return flags


if __name__ == "__main__":
    given = parser().parse_args()
    log_to_terminal()
    with exit_on_error():
        print_json(
            run_margins(
                given.model_path,
                given.data_version,
                given.split,
                given.output_dir,
                batch_size=given.batch_size,
                max_samples=given.max_samples,
            )
        )
