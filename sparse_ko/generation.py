"""A causal language model run by transformers, as a backend of `retrieval_ko.synthesis`; torch loads on first use."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval_ko.errors import ModelError
from retrieval_ko.synthesis.backend import AnswerError
from training_ko.libraries import quiet_libraries

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

_LONGEST_ANSWER_TOKENS = 256


class TransformersBackend:
    """Asks a causal language model in this process, one prompt at a time.

    Args:
        name: as it shall stand in the pairs.
        model: with a `generate` method.
        tokenizer: its chat template is used where it has one; without one the model continues the bare prompt.
        temperature: 0 writes the likeliest words.
        longest_answer_tokens: where the answer is cut off.
    """

    def __init__(
        self,
        name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        temperature: float = 0.7,
        longest_answer_tokens: int = _LONGEST_ANSWER_TOKENS,
    ) -> None:
        self._name = name
        self._model = model
        self._tokenizer = tokenizer
        self._temperature = temperature
        self._longest_answer_tokens = longest_answer_tokens
        self._one_at_a_time = threading.Lock()

    @classmethod
    def load(cls, name: str, device: str | None = None) -> TransformersBackend:
        """Load a model folder, or a model of the hub where there is a network; code that comes with a model is not run.

        Args:
            name: a folder or a name on the hub.
            device: "cpu", "cuda", …; None takes the GPU where there is one.

        Raises:
            ModelError: there is no such model, or it is no causal language model.
        """
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer

        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        is_folder = Path(name).is_dir()
        try:
            with quiet_libraries():
                tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=is_folder)
                # on a CPU half precision is slower than single, whatever the file holds
                precision = torch.float32 if device == "cpu" else "auto"
                model = AutoModelForCausalLM.from_pretrained(name, local_files_only=is_folder, dtype=precision).to(device).eval()
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as failure:
            reason = (str(failure).strip().splitlines() or [type(failure).__name__])[0]
            raise ModelError(
                f"The language model {name} cannot be loaded: {reason}",
                "Name the folder of a causal language model (config.json, tokenizer.json, model.safetensors); "
                "a name on the hub needs a network.",
            ) from failure
        return cls(Path(name).resolve().name if is_folder else name, model, tokenizer)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    def prompt_tokens(self, prompt: str) -> BatchEncoding:
        """Return the tokens that the model reads, shape [1, tokens]: a person's turn in the chat template, else the bare prompt."""
        if self._tokenizer.chat_template:
            turn = [{"role": "user", "content": prompt}]
            return self._tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        return self._tokenizer(prompt, return_tensors="pt")

    def generate(self, prompt: str, *, seed: int) -> str:
        """Return the model's answer; the same seed gives the same answer on the same machine, whatever was asked before.

        Raises:
            AnswerError: the prompt is too long for the model, or it answers nothing.
        """
        import torch

        with self._one_at_a_time:
            tokens = self.prompt_tokens(prompt).to(self._model.device)
            length = tokens["input_ids"].shape[1]
            limit = getattr(self._model.config, "max_position_embeddings", None)
            if limit and length + self._longest_answer_tokens > limit:
                raise AnswerError(
                    f"The prompt has {length:,} tokens and its answer up to {self._longest_answer_tokens}; "
                    f"the model {self._name} reads {limit:,}.",
                    "Choose a model with a longer context.",
                )
            sampling = {"do_sample": True, "temperature": self._temperature} if self._temperature else {"do_sample": False}
            devices = [self._model.device] if self._model.device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices), torch.inference_mode(), quiet_libraries():
                torch.manual_seed(seed)
                written = self._model.generate(
                    **tokens, **sampling, max_new_tokens=self._longest_answer_tokens, pad_token_id=self._padding_id()
                )[0, length:]
            answer = str(self._tokenizer.decode(written, skip_special_tokens=True))
        if len(written) == self._longest_answer_tokens:  # cut off: what stands in the last line is half a query
            answer = answer.rpartition("\n")[0] or answer
        if not answer.strip():
            raise AnswerError(f"The model {self._name} answered nothing.")
        return answer

    def _padding_id(self) -> int | None:
        """Return the token that fills up a batch. There is one prompt, so any will do, but `generate` warns about none."""
        padding: int | None = self._tokenizer.pad_token_id
        end: int | None = self._tokenizer.eos_token_id
        return end if padding is None else padding
