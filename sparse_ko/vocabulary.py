"""A WordPiece vocabulary for Korean, learnt on Kiwi-segmented text.

At run time it is plain WordPiece (longest match first), so OpenSearch's own tokenizer cuts a text exactly as Python does; Kiwi
only decides which pieces are worth having. Stems and nouns become whole words, particles and endings become `##` pieces.
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from retrieval_ko.errors import DataError
from retrieval_ko.text import normalize, surface_chunks

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_PIECE_CHARACTERS = 20


@cache
def common_syllables() -> tuple[str, ...]:
    """Return the 2,350 Hangul syllables of KS X 1001, which cover practically all modern Korean text."""
    syllables = (chr(code) for code in range(0xAC00, 0xD7A4))
    return tuple(char for char in syllables if _in_ks_x_1001(char))


def _in_ks_x_1001(char: str) -> bool:
    # the codec spells other syllables out as eight bytes, filler and three jamo
    return len(char.encode("euc_kr")) == 2


def _normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True)]
    )


def _count_pieces(texts: Iterable[str]) -> Counter[str]:
    normalizer, splitter = _normalizer(), pre_tokenizers.BertPreTokenizer()
    pieces: Counter[str] = Counter()
    for text in texts:
        clean = normalize(normalizer.normalize_str(normalize(text)))
        for chunks in surface_chunks(clean):
            place = 0
            for chunk in chunks:
                for part, _ in splitter.pre_tokenize_str(chunk):
                    if len(part) == 1 and unicodedata.category(part).startswith(("P", "S")):
                        place = 0
                        pieces[part] += 1
                    elif len(part) <= LONGEST_PIECE_CHARACTERS:
                        pieces[("##" if place else "") + part] += 1
                        place += 1
    return pieces


def learn_vocabulary(texts: Iterable[str], size: int) -> list[str]:
    """Return the pieces of a vocabulary, most useful first after the special tokens and single characters.

    Args:
        texts: what to learn from; the more like the passages and queries to come, the better.
        size: number of pieces at most. Specials, common syllables, letters and digits take about 4,800 of them.

    Raises:
        DataError: `size` leaves no room for words, or `texts` hold none.
    """
    pieces = _count_pieces(texts)
    if not pieces:
        raise DataError("There is no text to learn a vocabulary from.")
    characters = set(common_syllables()) | set(string.ascii_lowercase + string.digits)
    seen = Counter(char for piece, count in pieces.items() for char in piece.removeprefix("##") for _ in range(min(count, 2)))
    characters |= {char for char, count in seen.items() if count >= 2}
    punctuation = {char for char in characters if unicodedata.category(char).startswith(("P", "S"))} | set("!?.,:;()%-/~\"'")
    singles = sorted(characters | punctuation) + ["##" + char for char in sorted(characters - punctuation)]
    room = size - len(SPECIAL_TOKENS) - len(singles)
    if room <= 0:
        raise DataError(
            f"A vocabulary of {size:,} has no room for words: special tokens and single characters take {size - room:,}.",
            "Set vocabulary.size to 8000 or more.",
        )
    words = sorted((piece for piece in pieces if len(piece.removeprefix("##")) > 1), key=lambda piece: (-pieces[piece], piece))
    return [*SPECIAL_TOKENS, *singles, *words[:room]]


def build_tokenizer(pieces: list[str], max_tokens: int) -> PreTrainedTokenizerFast:
    """Return a fast tokenizer over `pieces` that cuts texts at `max_tokens`, [CLS] and [SEP] included."""
    from transformers import PreTrainedTokenizerFast

    ids = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab=ids, unk_token=UNKNOWN, max_input_chars_per_word=100))
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B {SEP}", special_tokens=[(CLS, ids[CLS]), (SEP, ids[SEP])]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        pad_token=PAD,
        cls_token=CLS,
        sep_token=SEP,
        mask_token=MASK,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
