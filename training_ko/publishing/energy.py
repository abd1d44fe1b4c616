"""How long a training took, on what, and what that may have drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training_ko.publishing.record import TrainingRecord

WATTS_OF_A_CORE = 10.0
"""Of a server's processor under load: 250 W shared by two dozen cores, memory included."""
WATTS_OF_GPUS = {"H100": 700.0, "H200": 700.0, "B200": 1000.0, "A100": 400.0, "L40": 300.0, "L4": 72.0, "V100": 300.0, "T4": 70.0}
"""The makers' limits; what is drawn is less."""
WATTS_OF_ANOTHER_GPU = 350.0


def hardware_in_words(hardware: Mapping[str, Any]) -> str:
    """Return the machine in a few words."""
    gpus = hardware.get("gpus") or []
    parts = [f"{len(gpus)} × {gpus[0]}"] if gpus else []
    return ", ".join([*parts, f"{hardware.get('cores', '?')} cores ({hardware.get('machine', '?')}), {hardware.get('memory_gb', '?')} GiB"])


def watts_of(hardware: Mapping[str, Any]) -> float:
    """Return the power assumed of a machine, in watts."""
    gpus = [
        next((watts for name, watts in WATTS_OF_GPUS.items() if name in gpu.replace("-", " ").split()), WATTS_OF_ANOTHER_GPU)
        for gpu in hardware.get("gpus") or []
    ]
    return sum(gpus) + WATTS_OF_A_CORE * float(hardware.get("cores") or 1)


def energy_section(runs: Sequence[TrainingRecord], watts: float | None) -> str:
    """Return time, hardware, and an estimate of the energy with what it assumes.

    Args:
        runs: all that led to the model.
        watts: drawn while training, as the person knows it; None: assumed from the hardware.
    """
    lines = [
        f"- {run.config.get('name', run.folder.name)}: {_duration(run.seconds)} on {hardware_in_words(run.metadata.get('hardware') or {})}"
        for run in runs
    ]
    energy = sum(run.seconds * (watts or watts_of(run.metadata.get("hardware") or {})) for run in runs) / 3.6e6
    assumed = (
        f"{watts:g} W, as stated by who published this"
        if watts
        else f"{WATTS_OF_A_CORE:g} W a core and a GPU's full limit, all the time (nothing was measured)"
    )
    return "\n".join([*lines, "", f"Estimate: {energy:.3g} kWh, assuming {assumed}. Sweeps, failed runs and preparing data are not in it."])


def _duration(seconds: float) -> str:
    if not seconds:
        return "a time that was not recorded"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
