"""`sparse-ko data`: collections made, checked, counted, split and widened; one file a verb."""

from __future__ import annotations

import typer

from sparse_ko_cli.data.augment import augment
from sparse_ko_cli.data.check import check
from sparse_ko_cli.data.legal import legal
from sparse_ko_cli.data.merge import list_collections, merge
from sparse_ko_cli.data.mine import mine_negatives
from sparse_ko_cli.data.precedents import precedents
from sparse_ko_cli.data.sources import boolq, easylaw, import_, wiki
from sparse_ko_cli.data.split import split
from sparse_ko_cli.data.stats import stats
from sparse_ko_cli.data.synonyms import app as synonyms
from sparse_ko_cli.data.synthesize import synthesize

app = typer.Typer(help="Make collections, and look at them.", no_args_is_help=True)
for command in (legal, precedents, wiki, easylaw, boolq, augment, split, check, stats, merge, synthesize):
    app.command()(command)
app.command("list")(list_collections)
app.command("import")(import_)
app.command("mine")(mine_negatives)
app.add_typer(synonyms, name="synonyms")
