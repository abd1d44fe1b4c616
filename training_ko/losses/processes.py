"""What the processes of a run tell each other: rows of different numbers, gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET = 8_388_608
"""Numbers that are summed over processes at once: 32 MiB in 32 bits."""


def process_count() -> int:
    """Return how many processes train together; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_number() -> int:
    """Return which of them this one is, from 0."""
    return dist.get_rank() if process_count() > 1 else 0


def gathered(rows: Tensor, filler: float = 0) -> list[Tensor]:
    """Return the rows of every process, in the order of the processes; no gradient passes.

    Args:
        rows: shape [n, …]; n and the further sizes may differ between processes, the number of dimensions may not.
        filler: what rows that are shorter than others' are filled up with.
    """
    if process_count() == 1:
        return [rows]
    rows = rows.detach()
    shape = torch.tensor(rows.shape, dtype=torch.int64, device=rows.device)
    shapes = [torch.zeros_like(shape) for _ in range(process_count())]
    dist.all_gather(shapes, shape)
    largest = torch.stack(shapes).amax(dim=0).tolist()
    padded = rows.new_full(largest, filler)
    padded[tuple(slice(size) for size in rows.shape)] = rows
    everywhere = [torch.empty_like(padded) for _ in shapes]
    dist.all_gather(everywhere, padded.contiguous())
    return [part[: int(shape[0])] for part, shape in zip(everywhere, shapes, strict=True)]


def anywhere(condition: bool, device: torch.device) -> bool:
    """Return whether the condition holds in any process."""
    if process_count() == 1:
        return condition
    flag = torch.tensor(int(condition), device=device)
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag)


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace every parameter's gradient by its sum over the processes. What has none anywhere keeps none."""
    if process_count() == 1 or not parameters:
        return
    has_one = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int64, device=parameters[0].device)
    dist.all_reduce(has_one, dist.ReduceOp.MAX)
    bucket: list[Tensor] = []
    for parameter, present in zip(parameters, has_one.tolist(), strict=True):
        if not present:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if bucket and (sum(map(Tensor.numel, bucket)) + parameter.numel() > BUCKET or bucket[0].dtype != parameter.grad.dtype):
            _sum(bucket)
            bucket = []
        bucket.append(parameter.grad)
    if bucket:
        _sum(bucket)


def _sum(gradients: list[Tensor]) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
