"""Turn texts into vectors: `lex-dpr embed` under the name of a script, with the same options.

python scripts/embed_corpus.py --model runs/law/model --input corpus.jsonl --outdir embeddings --prefix passages --type passage
"""

import typer

from retrieval_ko.terminal import log_to_terminal
from sparse_ko_cli.lexdpr_embed import embed

if __name__ == "__main__":
    log_to_terminal()
    typer.run(embed)
