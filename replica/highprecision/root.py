"""The root: Newton's steps with finite differences and Broyden's updates."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import mpmath

from replica.highprecision.precision import CertificationError, Mpf
from replica.highprecision.system import System

Jacobian = list[list[Mpf]]

#: Relative step of the finite differences. The rough residuals, good to 1e-18, add a noise
#: of 1e-10 to a truncation of about the step.
_STEP = 1e-8
#: A step that leaves less than this of the residual does not ask for a new Jacobian: a choice.
_GOOD = 0.1


def find_root(
    system: System, start: Sequence[Mpf], tolerance: Mpf, jacobian: Jacobian | None = None
) -> tuple[list[Mpf], Jacobian]:
    """Unknowns after a full step below the tolerance, and the Jacobian of that step.

    Steps are halved until the residual falls, and each updates the Jacobian by Broyden's
    rule. Where none was given it is computed, and anew where its step was a bad one.
    """
    given = jacobian is not None
    fresh = False
    z = [system.context.mpf(v) for v in start]
    residual = system.residual(z)
    for _ in range(60):
        if jacobian is None:
            jacobian, fresh = _differences(system, z, residual), True
        full = newton_step(system, jacobian, residual)
        # At most 1, or 30% of log x (which may be in the thousands) or log kappa: a choice.
        limits = [
            max(1.0, 0.3 * abs(float(v))) if name in ("log_x", "log_stability") else 1.0
            for name, v in zip(system.task.start, z, strict=True)
        ]
        factor = 1 / max(1, *(abs(d) / b for d, b in zip(full, limits, strict=True)))
        for _ in range(12):
            step = [factor * d for d in full]
            trial = [v + d for v, d in zip(z, step, strict=True)]
            if factor == 1 and size(z, step) <= tolerance:
                return trial, jacobian
            # A step outside the domain counts as a bad one.
            with contextlib.suppress(CertificationError):
                there = system.residual(trial)
                if _largest(there) < _largest(residual):
                    break
            factor = factor / 2
        else:
            if given or fresh:
                break
            jacobian = None
            continue
        if given or _largest(there) < _GOOD * _largest(residual):
            # The residual was to shrink to (1 - factor) of itself; the rest is the Jacobian's.
            excess = [b - (1 - factor) * a for a, b in zip(residual, there, strict=True)]
            square = sum(d * d for d in step)
            jacobian = [
                [j + e * d / square for j, d in zip(row, step, strict=True)]
                for row, e in zip(jacobian, excess, strict=True)
            ]
            fresh = False
        else:
            jacobian = None
        z, residual = trial, there
    names = system.task.start
    raise CertificationError(
        "no saddle point was found near the start "
        f"{', '.join(f'{k} = {mpmath.nstr(v, 6)}' for k, v in zip(names, start, strict=True))}; "
        f"largest residual {mpmath.nstr(_largest(residual), 3)}"
    )


def newton_step(system: System, jacobian: Jacobian, residual: Sequence[Mpf]) -> list[Mpf]:
    """-jacobian^-1 residual."""
    matrix = system.context.matrix
    try:
        return list(-system.context.lu_solve(matrix(jacobian), matrix(residual)))
    except ZeroDivisionError:
        raise CertificationError("the equations do not determine their unknowns") from None


def size(z: Sequence[Mpf], step: Sequence[Mpf]) -> Mpf:
    """Largest change of an unknown, relative where it is above 1."""
    return max(abs(d) / max(1, abs(v)) for v, d in zip(z, step, strict=True))


def _largest(residual: Sequence[Mpf]) -> Mpf:
    return max(abs(r) for r in residual)


def _differences(system: System, z: Sequence[Mpf], base: Sequence[Mpf]) -> Jacobian:
    """Forward differences from the residual ``base`` at z."""
    columns = []
    for i, value in enumerate(z):
        step = system.context.mpf(_STEP) * max(1, abs(value))
        there = system.residual([v + step if k == i else v for k, v in enumerate(z)])
        columns.append([(b - a) / step for a, b in zip(base, there, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]
