"""One of two processes that share the batch: whole_batch_process.py RANK STORE OUT. Writes what each case gave it."""

import sys

import torch
import torch.distributed as dist

sys.path.insert(0, __file__.rpartition("/")[0])
from small_batch import BATCH, SYNONYMS, SmallEncoder, loss_of, share, step

CASES = {  # rows of the first process, its synonym pairs; the second one has the rest
    "even": (3, 2),
    "document in both": (1, 1),
    "one has no query": (5, 3),
    "one has no pair": (2, 0),
    "neither has a pair": (2, None),
}
LOSSES = {
    "infonce, flops": ("infonce", "flops"),
    "kl, df-flops": ("kl", "df-flops"),
    "margin-mse, l1": ("margin-mse", "l1"),
}
CHUNK_SIZES = [None, 2]


def own_share(case, rank):
    rows, pairs = CASES[case]
    synonyms = [] if pairs is None else SYNONYMS
    return share(BATCH[:rows] if rank == 0 else BATCH[rows:], synonyms[:pairs] if rank == 0 else synonyms[pairs:])


def outcome(parts, gradients):
    return {
        "total": float(parts.total),
        "parts": {name: list(part) for name, part in parts.parts.items()},
        "figures": parts.figures,
        "gradients": gradients,
    }


def main():
    rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    outcomes = {}
    for case in CASES:
        for name, losses in LOSSES.items():
            for chunk_size in CHUNK_SIZES:
                parts, gradients, _ = step(own_share(case, rank), loss_of(*losses), chunk_size)
                outcomes[f"{case}; {name}; {chunk_size}"] = outcome(parts, gradients)
    parts, gradients, _ = step(own_share("even", rank), loss_of(), times=2)
    outcomes["twice"] = outcome(parts, gradients)
    outcomes["wrapped"] = outcome(*wrapped(rank))
    torch.save(outcomes, out)
    dist.destroy_process_group()


def wrapped(rank):
    """A step of an encoder that accelerate would have wrapped."""
    from torch.nn.parallel import DistributedDataParallel

    from training_ko.losses import WholeBatch

    encoder = DistributedDataParallel(SmallEncoder())
    whole = WholeBatch(encoder.module.embed, loss_of(), 2, list(encoder.parameters()))
    parts = whole.step(own_share("document in both", rank), lambda scalar: scalar.backward())
    return parts, {name: parameter.grad for name, parameter in encoder.module.named_parameters() if parameter.grad is not None}


if __name__ == "__main__":
    main()
