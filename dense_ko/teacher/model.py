"""`CrossEncoderTeacher`: a query and a passage in, a logit out. The folder is a stock one of transformers, with a card beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dense_ko.teacher.asked import Asked
from dense_ko.teacher.lora import LORA_CARD, restore_adapters, save_adapters
from retrieval_ko.errors import DataError, ModelError
from retrieval_ko.files import new_folder, read_json, write_json
from training_ko.libraries import quiet_libraries

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

    from retrieval_ko.records import Passage

logger = logging.getLogger(__name__)

CARD = "teacher.json"
MOST_TOKENS = 512
"""Where a stock re-ranker without a card cuts a pair."""
_HOW_TO_MAKE_ONE = "A teacher is made by: lex-dpr teacher train PRESET --collection DIR --base NAME --out DIR (then use DIR/model)"

Pair = tuple[str, str]
"""(query, passage)"""


class CrossEncoderTeacher:
    """Reads query and passage together: [CLS] query [SEP] passage [SEP] → transformer → head → one logit.

    sigmoid(logit) is the probability that the passage answers the query where the teacher was trained with binary cross-entropy.

    Args:
        module: a sequence classifier with one label, with or without adapters.
        tokenizer: that belongs to it.
        max_tokens: where a pair is cut, the longer text first.
        mark_matches: whether token types say which tokens the two texts share: 0 of the query alone, 1 of the passage alone, 2 of a
            passage, in the query too, 3 of a query, in the passage too.

    Example:
        >>> teacher = CrossEncoderTeacher.load("runs/teacher/model")  # doctest: +SKIP
        >>> teacher.scores([("보증금을 못 받았어요", "임차권등기명령을 신청할 수 있다.")])  # doctest: +SKIP
        array([4.1], dtype=float32)
    """

    query_table = None
    """It has no weights of a query's own tokens (`training_ko.encoder`)."""

    def __init__(self, module: nn.Module, tokenizer: PreTrainedTokenizerFast, max_tokens: int, *, mark_matches: bool = False) -> None:
        self.module = module
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.mark_matches = mark_matches
        self.out_of_memory = 0
        """How often `scores` had to halve its batch."""

    @classmethod
    def load(cls, name: Path | str, device: str | None = None) -> CrossEncoderTeacher:
        """Load a teacher's folder, or a stock re-ranker with one label from a folder or the hub.

        Args:
            name: a folder, or OWNER/NAME on the hub, which is downloaded or found in its cache.
            device: "cpu", "cuda", …; None chooses what is there.

        Raises:
            ModelError: a part is missing or damaged, it has no head with one label, or lora_config.json and the adapter differ.
            DataError: one of its JSON files is damaged.
        """
        folder = Path(name)
        here = folder.is_dir()
        if not here and (len(folder.parts) != 2 or str(name).startswith((".", "/"))):
            raise ModelError(f"There is no teacher's folder {name}.", _HOW_TO_MAKE_ONE)
        if here and not (folder / "config.json").is_file():
            nested = folder / "model"
            hint = f"Did you mean {nested}?" if (nested / "config.json").is_file() else _HOW_TO_MAKE_ONE
            raise ModelError(f"{folder} is no teacher's folder: it has no config.json.", hint)
        module, tokenizer, fresh = load_classifier(str(name))
        if fresh:
            raise ModelError(f"{name} has no head that scores pairs ({', '.join(fresh[:2])} would start at random).", _HOW_TO_MAKE_ONE)
        limit = most_tokens(module, tokenizer)
        max_tokens, mark_matches = min(limit, MOST_TOKENS), False
        if here and (folder / CARD).is_file():
            max_tokens, mark_matches = _read_card(folder / CARD, limit)
        has_card, has_adapter = here and (folder / LORA_CARD).is_file(), here and (folder / "adapter").is_dir()
        if has_card != has_adapter:
            missing = folder / ("adapter" if has_card else LORA_CARD)
            raise ModelError(f"{missing} is missing: base, adapter and {LORA_CARD} belong together.", "Copy the whole model folder.")
        if has_card:
            module = restore_adapters(module, folder)
        return cls(module.to(device or _device()).eval(), tokenizer, max_tokens, mark_matches=mark_matches)

    def save(self, folder: Path | str) -> None:
        """Write the teacher, whole or not at all.

        Raises:
            RetrievalError: the disk is full or the folder may not be written.
        """
        with new_folder(Path(folder)) as target, quiet_libraries():
            if hasattr(self.module, "peft_config"):
                save_adapters(self.module, target)
            else:
                self.module.save_pretrained(str(target))  # type: ignore[operator]
            self.tokenizer.save_pretrained(str(target))
            card = {"form": "cross-encoder", "score": "logit", "max_tokens": self.max_tokens, "mark_matches": self.mark_matches}
            write_json(target / CARD, card)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.module.parameters()).device

    def tokenize_pairs(self, pairs: Sequence[Pair]) -> dict[str, Tensor]:
        """Return what the network reads, on the CPU, each tensor int64 [pairs, tokens]."""
        queries, passages = [query for query, _ in pairs], [passage for _, passage in pairs]
        read = dict(
            self.tokenizer(queries, passages, truncation="longest_first", max_length=self.max_tokens, padding=True, return_tensors="pt")
        )
        if self.mark_matches:
            read["token_type_ids"] = marked(read["input_ids"], read["token_type_ids"], self.tokenizer.all_special_ids)
        return read

    def embed(self, features: dict[str, Tensor], kind: Literal["query", "document"] = "document") -> Tensor:
        """Return logits with gradient, shape [pairs, 1]; to a trainer a pair is a document with a vector of one dimension."""
        device = self.device
        logits: Tensor = self.module(**{name: tensor.to(device) for name, tensor in features.items()}).logits
        return logits

    def constrain(self) -> None:
        """No weight of it must stay above 0 (`training_ko.encoder`)."""

    def scores(
        self, pairs: Sequence[Pair], batch_size: int = 32, *, on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return the logits of pairs, shape [len(pairs)].

        Where the device's memory is too small the batch is halved for good; `out_of_memory` counts it.

        Args:
            pairs: (query, passage), any number.
            batch_size: pairs that go through the network at once, of like length.
            on_progress: called with the number of pairs done.

        Raises:
            ModelError: the memory is too small for a single pair, or a logit is no number.
        """
        order = sorted(range(len(pairs)), key=lambda place: -len(pairs[place][0]) - len(pairs[place][1]))
        found = np.zeros(len(pairs), dtype=np.float32)
        training, start = self.module.training, 0
        self.module.eval()
        try:
            with torch.no_grad():
                while start < len(order):
                    places = order[start : start + batch_size]
                    logits = self._scored([pairs[place] for place in places])
                    if logits is None:
                        batch_size = self._halved(len(places))
                        continue
                    found[places] = logits
                    start += len(places)
                    if on_progress:
                        on_progress(start)
        finally:
            self.module.train(training)
        if not np.isfinite(found).all():
            query, _ = pairs[int(np.flatnonzero(~np.isfinite(found))[0])]
            raise ModelError(f"The teacher's score for {query[:60]!r} is not a number.", "Its weights are damaged; train it anew.")
        return found

    def score_candidates(
        self,
        asked: Sequence[Asked],
        passages: Mapping[str, Passage],
        batch_size: int = 32,
        *,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[list[float]]:
        """Return a logit for every passage of every query; arguments and errors as in `dense_ko.teacher.asked` and `scores`."""
        texts = [(one.text, passages[passage].passage_text) for one in asked for passage in one.passages]
        logits = iter(self.scores(texts, batch_size, on_progress=on_progress).tolist())
        return [[next(logits) for _ in one.passages] for one in asked]

    def _scored(self, pairs: Sequence[Pair]) -> NDArray[np.float32] | None:
        try:
            logits: NDArray[np.float32] = self.embed(self.tokenize_pairs(pairs)).squeeze(1).float().cpu().numpy()
        except torch.OutOfMemoryError:
            return None
        return logits

    def _halved(self, batch_size: int) -> int:
        if batch_size == 1:
            raise ModelError("The memory is too small for a single pair.", "Shorten the pairs (max_tokens), or use a larger device.")
        self.out_of_memory += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        logger.warning("Out of memory: from now on %d pairs go through the teacher at once; no pair is left out.", batch_size // 2)
        return batch_size // 2


def load_classifier(base: str) -> tuple[Any, PreTrainedTokenizerFast, list[str]]:
    """Return a sequence classifier with one label, on the CPU in fp32, its tokenizer, and which parameters start at random.

    Raises:
        ModelError: it is not there, or is no such model.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    here = Path(base).is_dir()
    try:
        with quiet_libraries():
            network, info = AutoModelForSequenceClassification.from_pretrained(
                base, num_labels=1, local_files_only=here, use_safetensors=True, output_loading_info=True, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=here)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as failure:
        where = "cannot be loaded" if here else "is no folder here, and cannot be loaded from the hub"
        raise ModelError(
            f"The cross-encoder {base} {where}: {' '.join(str(failure).split())[:300]}",
            "Without a network, copy its folder (config.json, model.safetensors, tokenizer.json) here and name that folder. "
            "A classifier with several labels is no base; take the encoder it was made of.",
        ) from failure
    return network, tokenizer, sorted(info["missing_keys"])


def most_tokens(network: Any, tokenizer: PreTrainedTokenizerFast) -> int:  # noqa: ANN401  any architecture
    """Return how many tokens a network can read at once."""
    config = network.config
    positions = getattr(config, "max_position_embeddings", None) or MOST_TOKENS
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):  # their positions start after the padding's
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def marked(ids: Tensor, types: Tensor, special: Sequence[int]) -> Tensor:
    """Return token types that say which tokens both texts hold: 0 and 1 become 3 and 2 there.

    Args:
        ids: int64 [pairs, tokens].
        types: 0 of the query, 1 of the passage, same shape.
        special: ids that match nothing.
    """
    ordinary = ~torch.isin(ids, torch.tensor(list(special), dtype=ids.dtype))
    across = types.unsqueeze(2) != types.unsqueeze(1)
    shared = ((ids.unsqueeze(2) == ids.unsqueeze(1)) & across).any(dim=2) & ordinary
    return torch.where(shared, 3 - types, types)


def _read_card(card: Path, limit: int) -> tuple[int, bool]:
    read = read_json(card)
    max_tokens, mark_matches = read.get("max_tokens"), read.get("mark_matches", False)
    if not isinstance(max_tokens, int) or not 0 < max_tokens <= limit:
        raise DataError(f"{card}: max_tokens must be a whole number up to {limit}, found {max_tokens!r}.")
    if not isinstance(mark_matches, bool):
        raise DataError(f"{card}: mark_matches must be true or false, found {mark_matches!r}.")
    return max_tokens, mark_matches


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
