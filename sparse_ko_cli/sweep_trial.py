"""How an agent of a sweep starts a trial: `python -m sparse_ko_cli.sweep_trial PROGRAM train …` is `PROGRAM train …` that ends with it."""

from __future__ import annotations

import sys

from retrieval_ko.sweeps.leash import end_with_agent


def main() -> None:
    """Run the program that is named first, on the words after it."""
    end_with_agent()  # before the imports below, which take seconds
    program = sys.argv.pop(1)
    if program == "lex-dpr":
        from sparse_ko_cli.lexdpr import main as run
    else:
        from sparse_ko_cli.sparse import main as run
    run()


if __name__ == "__main__":
    main()
