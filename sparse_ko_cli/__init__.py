"""The commands `sparse-ko` and `lex-dpr`. The only place that prints, and the only one that may know every package."""
