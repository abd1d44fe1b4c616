"""The vocabulary of a sparse encoder: learnt, written, read, judged.

learning.py     which pieces are worth having: Kiwi cuts, frequencies decide
tokenizer.py    the pieces as a plain WordPiece tokenizer, and back from its folder
sources.py      what may be read to learn: passages, train queries, synonyms; never a query of dev or test
writing.py      `sparse-ko vocab train`: from sources to a folder with a card
audit.py        what is wrong with a tokenizer, ours or anybody's, and what it can serve
findings.py     each thing an audit says: what it means, what to do
embeddings.py   PPMI-SVD vectors of the pieces
pruning.py      a masked language model without the pieces that a corpus never uses
"""

from sparse_ko.vocabulary.audit import VocabularyAudit, audit_tokenizer
from sparse_ko.vocabulary.learning import common_syllables, learn_vocabulary
from sparse_ko.vocabulary.tokenizer import SPECIAL_TOKENS, build_tokenizer, load_tokenizer

__all__ = [
    "SPECIAL_TOKENS",
    "VocabularyAudit",
    "audit_tokenizer",
    "build_tokenizer",
    "common_syllables",
    "learn_vocabulary",
    "load_tokenizer",
]
