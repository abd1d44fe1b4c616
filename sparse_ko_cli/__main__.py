"""`python -m sparse_ko_cli` is `sparse-ko`: what `accelerate launch -m` starts."""

from sparse_ko_cli.sparse import main

main()
