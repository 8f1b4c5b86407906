"""Least squares for a law with a few parameters of its own and one more for each curve.

A record feels the common parameters and the elbow of its own curve. The normal equations are an
arrow, [[A, B], [B', d]] with diagonal d: elimination of the elbows leaves as many equations as
there are common parameters, and a step costs a pass over the records, however many curves.

While few records lie past the elbows, they and the bend are nearly one parameter: all that is seen
is the beginning of (bend/rate) exp(rate (x - elbow)). Steps ``along`` (1.0) that valley go in
ln|bend|, ln(rate) and, for each curve, the place where the exponential is 1,

    elbow - ln(|bend|/rate)/rate;

steps across (0.0) go in ln|bend|, ln(rate) and the elbows themselves, which is better where some
curves have bent and others have not. The bend keeps the sign that it starts with.
"""

from __future__ import annotations

from math import exp, log, log1p, sqrt

import numpy as np

from replica.common.compiled import kernel

__all__ = ["COMMON", "STRAIGHT", "minimise"]

#: ln(k), gamma, bend, ln(rate), offset, drift: places of the common parameters. Elbows follow.
COMMON = 6
LOG_K, GAMMA, BEND, RATE, OFFSET, DRIFT = range(COMMON)
MOST_STEPS = 100
#: Relative gain of chi2 in an accepted step below which the fit has converged.
ENOUGH = 1e-8
#: Most that ln|bend| and ln(rate) change in a step, and elbows in parts of the room between their
#: bounds; a longer step is shortened as it is. Choices.
LONGEST, FARTHEST = 1.0, 0.1
#: The least |bend|; it is told from zero by no curve.
STRAIGHT = 1e-6


@kernel(error_model="numpy")
def model(p, j, x, log_P, along, slope):
    """ln(error) at ln(norm) ``x`` of the curve ``j``.

    ``slope`` receives the derivatives by what a step is in: the common ones, then the curve's own.
    """
    bend, rate, elbow = p[BEND], exp(p[RATE]), p[COMMON + j]
    v = rate * (x - elbow)
    if v > 0:
        e = exp(-v)
        soft, past = v + log1p(e), 1 / (1 + e)
    else:
        e = exp(v)
        soft, past = log1p(e), e / (1 + e)
    line = p[LOG_K] - p[DRIFT] * log_P - p[GAMMA] * x + bend / rate * soft
    slope[LOG_K] = 1.0
    slope[GAMMA] = -x
    slope[BEND] = bend / rate * (soft - along * past)
    slope[RATE] = bend / rate * (past * (v + along * (1 + log(abs(bend) / rate))) - soft)
    slope[OFFSET] = 0.0
    slope[DRIFT] = -log_P
    slope[COMMON] = -bend * past
    offset = p[OFFSET]
    above = exp(min(max(line, -700.0), 700.0))  # beyond are astray steps only
    share = above / (offset + above)
    for k in range(COMMON + 1):
        slope[k] *= share
    slope[OFFSET] = 1 / (offset + above)
    return line if offset == 0 else log(offset + above)


@kernel(error_model="numpy")
def normal_equations(p, x, y, weight, row, log_P, along, A, B, d, right, own):
    """chi2, and the arrow with its right-hand side."""
    slope = np.empty(COMMON + 1)
    A[:], B[:], d[:], right[:], own[:] = 0.0, 0.0, 0.0, 0.0, 0.0
    chi2 = 0.0
    for i in range(len(x)):
        j = row[i]
        w = weight[i]
        rest = w * (y[i] - model(p, j, x[i], log_P[j], along, slope))
        chi2 += rest * rest
        for k in range(COMMON + 1):
            slope[k] *= w
        for k in range(COMMON):
            for m in range(k + 1):
                A[k, m] += slope[k] * slope[m]
            B[k, j] += slope[k] * slope[COMMON]
            right[k] += slope[k] * rest
        d[j] += slope[COMMON] * slope[COMMON]
        own[j] += slope[COMMON] * rest
    return chi2


@kernel(error_model="numpy")
def solve_arrow(A, B, d, right, own, free, damping, step):
    """The damped step of the parameters that are free; False if the equations are singular."""
    m = len(d)
    trace = 0.0
    for k in range(COMMON):
        if free[k]:
            trace += A[k, k]
    for j in range(m):
        trace += d[j]
    S, z = np.zeros((COMMON, COMMON)), np.zeros(COMMON)
    for k in range(COMMON):
        if not free[k]:
            S[k, k] = 1.0
            continue
        z[k] = right[k]
        for n in range(k + 1):
            if free[n]:
                S[k, n] = A[k, n]
        S[k, k] += damping * (A[k, k] + 1e-12 * trace)
    for j in range(m):
        inverse = 1 / (d[j] + damping * (d[j] + 1e-12 * trace))
        for k in range(COMMON):
            if free[k]:
                z[k] -= B[k, j] * inverse * own[j]
                for n in range(k + 1):
                    if free[n]:
                        S[k, n] -= B[k, j] * inverse * B[n, j]
    for k in range(COMMON):  # Cholesky
        for n in range(k):
            for i in range(n):
                S[k, n] -= S[k, i] * S[n, i]
            S[k, n] /= S[n, n]
            S[k, k] -= S[k, n] * S[k, n]
        if not S[k, k] > 0:
            return False
        S[k, k] = sqrt(S[k, k])
    for k in range(COMMON):
        for n in range(k):
            z[k] -= S[k, n] * z[n]
        z[k] /= S[k, k]
    for k in range(COMMON - 1, -1, -1):
        for n in range(k + 1, COMMON):
            z[k] -= S[n, k] * z[n]
        z[k] /= S[k, k]
    for k in range(COMMON):
        step[k] = z[k] if free[k] else 0.0
    for j in range(m):
        rest = own[j]
        for k in range(COMMON):
            rest -= B[k, j] * step[k]
        step[COMMON + j] = rest / (d[j] + damping * (d[j] + 1e-12 * trace))
    return True


@kernel(error_model="numpy")
def stepped(p, step, low, high, along, trial):
    """``p`` after a step in what `model` differentiates by, within the bounds.

    Returns whether an elbow met its upper one.
    """
    rate = exp(p[RATE])
    shift = log(abs(p[BEND]) / rate) / rate
    longest = max(abs(step[RATE]), abs(step[BEND])) / LONGEST
    for k in range(COMMON, len(p)):
        longest = max(longest, abs(step[k]) / (FARTHEST * (high[k] - low[k])))
    part = 1 / max(longest, 1.0)
    for k in range(len(p)):
        trial[k] = p[k] + part * step[k]
    least = STRAIGHT if p[BEND] > 0 else -STRAIGHT
    trial[BEND] = p[BEND] * exp(part * step[BEND])
    if abs(trial[BEND]) < STRAIGHT:
        trial[BEND] = least
    for k in range(COMMON):
        trial[k] = min(max(trial[k], low[k]), high[k])
    rate = exp(trial[RATE])
    shift = along * (log(abs(trial[BEND]) / rate) / rate - shift)
    # A curve that has not bent yet sends its own elbow to the bound. Elbows that the bend takes
    # beyond it would change what is seen of their curves, were they cut off: the bend gives way.
    excess = 0.0
    for k in range(COMMON, len(p)):
        if along > 0 and trial[k] < high[k]:
            excess = max(excess, trial[k] + shift - high[k])
    trial[BEND] *= exp(-rate * excess)
    if abs(trial[BEND]) < STRAIGHT:
        trial[BEND] = least
    for k in range(COMMON, len(p)):
        if trial[k] < high[k]:
            trial[k] += shift - excess
        trial[k] = min(max(trial[k], low[k]), high[k])
    return excess > 0.0


@kernel(error_model="numpy")
def minimise(x, y, weight, row, log_P, free, low, high, along, p):
    """Levenberg and Marquardt from ``p``, which becomes the minimum; chi2 there.

    Parameters
    ----------
    x, y, weight : (n,) arrays
        ln(norm), ln(error), one over its standard error.
    row : (n,) array of int
        Curve of each record.
    log_P : (m,) array
        What the drift multiplies.
    free : (6,) array of bool
        Which of the common parameters are.
    low, high, p : (6 + m,) arrays
        Bounds, of the bend none, and the start, within them; |bend| at least `STRAIGHT`.
    along : float
        1.0 or 0.0: how to step, see above.
    """
    m = len(log_P)
    A, B, d = np.empty((COMMON, COMMON)), np.empty((COMMON, m)), np.empty(m)
    right, own = np.empty(COMMON), np.empty(m)
    A2, B2, d2 = np.empty((COMMON, COMMON)), np.empty((COMMON, m)), np.empty(m)
    right2, own2 = np.empty(COMMON), np.empty(m)
    step, trial = np.empty(len(p)), np.empty(len(p))
    damping = 1e-3
    # What meets a bound is held there, since a step cut off at it misses what the others do about
    # it; once the others have converged, what has left its bound or would rather is let go.
    now, releases = free.copy(), 3
    chi2 = normal_equations(p, x, y, weight, row, log_P, along, A, B, d, right, own)
    for _ in range(MOST_STEPS):
        if not solve_arrow(A, B, d, right, own, now, damping, step):
            damping *= 10
            continue
        met = stepped(p, step, low, high, along, trial)
        after = normal_equations(trial, x, y, weight, row, log_P, along, A2, B2, d2, right2, own2)
        if after < chi2:
            gain = chi2 - after
            for k in range(len(p)):  # `p[:] = trial` compiles for three seconds
                p[k] = trial[k]
            chi2 = after
            A, A2, B, B2, d, d2 = A2, A, B2, B, d2, d
            right, right2, own, own2 = right2, right, own2, own
            damping = max(damping / 5, 1e-12)
            if met:
                now[BEND] = False
            if abs(p[BEND]) <= STRAIGHT:
                now[BEND] = False
            for k in range(COMMON):
                if p[k] <= low[k] or p[k] >= high[k]:
                    now[k] = False
            if gain < ENOUGH * chi2:
                again, met = False, False
                for k in range(COMMON, len(p)):
                    met = met or p[k] >= high[k] - 1e-9
                for k in range(COMMON):
                    inward = right[k] > 0 if p[k] <= low[k] else right[k] < 0
                    if k == BEND and not met:
                        inward = abs(p[k]) > STRAIGHT or right[k] > 0
                    if free[k] and not now[k] and inward:
                        now[k] = again = True
                if not again or releases == 0:
                    break
                releases -= 1
        else:
            damping *= 4
            if damping > 1e10:  # no step downhill is left
                break
    return chi2
