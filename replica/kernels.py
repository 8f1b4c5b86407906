r"""Compiled kernels. They neither check nor raise, and numba lives nowhere else.

One file on purpose: numba's disk cache looks at the file of the outermost
function only, so a constant or helper changed elsewhere would leave stale
machine code behind. Losses are integers for the same cache's sake: a kernel
that received a class or a function would be compiled anew in every process.

Notation of docs/theory.md: a = log c, c = R/sqrt(1 - R^2), b = log x (log kappa
for HARD_MARGIN), u = D0 - t. The two steep losses work in y = rate * D, with
q = rate * u = exp(L - softplus(y)) (logistic) or exp(L - y) (exponential).

Four parts: codes, margins of a field, panels, moments.
"""

from math import erfc, exp, inf, log, log1p, pi, sqrt

import numpy as np

from replica.common.compiled import kernel

# -------------------------------------------------------------------------------------------------
# Codes: losses, and columns of the moments
# -------------------------------------------------------------------------------------------------

# Losses. A kernel that received a class or a function instead of one of these
# integers would be compiled anew in every process.
LOGISTIC = 0
EXPONENTIAL = 1
LINEAR = 2
HINGE = 3
SQUARED_HINGE = 4
SQUARE = 5
HARD_MARGIN = 6

# Columns of the moments (docs/theory.md, section 4).
STEP = 0  # A = E_W[u^2]
STEP_DB = 1  # dA / db, b = log x
STEP_DA = 2  # dA / da, a = log c
PULL = 3  # B = sum_k w_k / sqrt(1 + sigma_k^2) int Dz u(s_k z)
PULL_DB = 4
PULL_DA = 5
STEP_DL = 6  # dA / d log lam at fixed a, b
PULL_DL = 7
CURVED = 8  # E_W[1 - D0']
CURVED2 = 9  # E_W[(1 - D0')^2]
LOSS = 10  # E_W[V(D0)]
NEGATIVE = 11  # mass of negative margins
MEAN = 12  # E_W[D0 - centre]
SQUARE_MEAN = 13  # E_W[(D0 - centre)^2]
FIELD_PUSH = 14  # E_W[t u]
N_NEWTON = 6
N_MOMENTS = 15

# How much of the moments is wanted.
NEWTON = 0  # the first N_NEWTON columns
OBSERVABLES = 1  # all but MEAN and SQUARE_MEAN
MARGINS = 2  # all, with panels over the whole window of t

# -------------------------------------------------------------------------------------------------
# Margins of a field
# -------------------------------------------------------------------------------------------------


@kernel
def is_steep(code):
    """Whether the margin variable is used: the proximal point has no closed form."""
    return code in (LOGISTIC, EXPONENTIAL)


@kernel
def softplus(y):
    """log(1 + exp(y)), without overflow or cancellation."""
    if y > 0.0:
        return y + log1p(exp(-y))
    return log1p(exp(y))


@kernel
def rate_and_edge(code, lam, b):
    """Rate and L of a steep loss: y = rate * D, q = exp(L - softplus(y))."""
    if code == LOGISTIC:
        return 2.0 * lam, b + log(4.0 * lam)
    return lam, b + log(lam)


@kernel
def origin(edge):
    """Where the offset eta = y - origin starts.

    At large lam y reaches 1e8 and its last digit is worth 1e-8 in q; measured
    from the edge L the subtraction L - y is exact.
    """
    return edge if edge > 0.0 else 0.0


@kernel
def steep(code, edge, eta):
    """y, q and r = d softplus / dy at offset ``eta`` from `origin`."""
    if edge > 0.0:
        y = edge + eta
        if code == EXPONENTIAL:
            return y, exp(-eta), 1.0
        if y > 0.0:
            e = exp(-y)
            return y, exp(-eta) / (1.0 + e), 1.0 / (1.0 + e)
        e = exp(y)
        return y, exp(edge) / (1.0 + e), e / (1.0 + e)
    y = eta
    if code == EXPONENTIAL:
        return y, exp(edge - y), 1.0
    if y > 0.0:
        e = exp(-y)
        return y, exp(edge) * e / (1.0 + e), 1.0 / (1.0 + e)
    e = exp(y)
    return y, exp(edge) / (1.0 + e), e / (1.0 + e)


@kernel
def steep_offset(code, edge, at):
    """Solve y - q(y) = at for the offset eta of y, by Newton in w = log q.

    The equation w + softplus(at + exp(w)) = L is increasing and convex in w:
    Newton from above converges monotonically and quadratically.
    """
    w = edge - at if code == EXPONENTIAL else edge - softplus(at)
    if w > 0.0:
        # both w and, as softplus(y) >= y, log(L - at) bound the root from above
        w = min(w, log(max(edge - at, 1.0)))
    for _ in range(60):
        q = exp(w)
        y = at + q
        if code == EXPONENTIAL:
            value = w + y - edge
            slope = 1.0 + q
        else:
            value = w + softplus(y) - edge
            r = 1.0 / (1.0 + exp(-y)) if y > -700.0 else 0.0
            slope = 1.0 + q * r
        step = value / slope
        w -= step
        if abs(step) < 1e-14 * max(1.0, abs(w)):
            break
    q = exp(w)
    if edge > 0.0:
        y = at + q
        if code == EXPONENTIAL:
            return -w
        if y > 0.0:
            return -w - log1p(exp(-y))
        return y - edge
    return at + q


@kernel
def explicit(code, k, b, t):
    """u, du/db and 1 - D0' of a loss whose proximal point is piecewise linear in t."""
    if code == LINEAR:
        x = exp(b)
        return x, x, 0.0
    if code == HARD_MARGIN:
        kappa = exp(b)
        if t < kappa:
            return kappa - t, kappa, 1.0
        return 0.0, 0.0, 0.0
    if code == HINGE:
        x = exp(b)
        if t < k - x:
            return x, x, 0.0
        if t < k:
            return k - t, 0.0, 1.0
        return 0.0, 0.0, 0.0
    g = 1.0 / (1.0 + exp(-b))  # x / (1 + x)
    if code == SQUARE or t < k:
        u = g * (k - t)
        return u, u * (1.0 - g), g
    return 0.0, 0.0, 0.0


@kernel
def loss_value(code, parameter, margin):
    """V(D)."""
    if code == LOGISTIC:
        return softplus(-2.0 * parameter * margin) / parameter
    if code == EXPONENTIAL:
        return exp(-parameter * margin) / parameter
    if code == LINEAR:
        return -margin
    if code == HINGE:
        return max(parameter - margin, 0.0)
    if code == SQUARED_HINGE:
        return 0.5 * max(parameter - margin, 0.0) ** 2
    if code == SQUARE:
        return 0.5 * (parameter - margin) ** 2
    return 0.0


@kernel
def kinks(code, k, b):
    """At most three fields, ascending: where D0(t) bends, and where it changes sign.

    Of the losses that are explicit in t; inf where there are fewer.
    """
    if code == HARD_MARGIN:
        return exp(b), inf, inf
    x = exp(b)
    if code == LINEAR:
        return -x, inf, inf
    if code == HINGE:
        if k > 0.0:
            return -x, k - x, k
        return k - x, k, 0.0
    if code == SQUARED_HINGE:
        if k > 0.0:
            return -x * k, k, inf
        return k, 0.0, inf
    return -x * k, inf, inf


@kernel
def proximal(code, parameter, b, t, out):
    """D0(t) for flat arrays of one length."""
    for i in range(len(t)):
        if is_steep(code):
            rate, edge = rate_and_edge(code, parameter[i], b[i])
            eta = steep_offset(code, edge, rate * t[i])
            out[i] = (origin(edge) + eta) / rate
        else:
            u, _, _ = explicit(code, parameter[i], b[i], t[i])
            out[i] = t[i] + u
            if u > 0.0 and code in (HINGE, HARD_MARGIN):
                # on the atom the margin is the kink itself, to the last bit
                if code == HARD_MARGIN:
                    out[i] = exp(b[i])
                elif t[i] >= parameter[i] - exp(b[i]):
                    out[i] = parameter[i]


@kernel
def field_of_margin(code, parameter, b, margin, field, slope):
    """t(D) = D + x V'(D) and dt/dD for a steep loss, flat arrays of one length."""
    for i in range(len(margin)):
        rate, edge = rate_and_edge(code, parameter[i], b[i])
        y = rate * margin[i]
        eta = y - origin(edge)
        y, q, r = steep(code, edge, eta)
        field[i] = margin[i] - q / rate
        slope[i] = 1.0 + q * r


# -------------------------------------------------------------------------------------------------
# Panels: where the integrand has structure
# -------------------------------------------------------------------------------------------------

#: Half-window of a Gaussian factor: exp(-8.6^2/2) = 8.7e-17.
REACH = 8.6
#: Widest panel in units of the Gaussian's width: 3 panels each side.
GAUSS_WIDTH = REACH / 3.0
#: Widest panel in eta; the poles of the logistic lie pi away from the real axis.
ETA_WIDTH = 3.0
#: Right of the edge u falls like exp(-eta): exp(-40) = 4e-18.
ETA_REACH = 40.0
#: A mixture of teachers at c = 1e300 has 3500 break points.
MAX_BREAKS, MAX_EDGES = 4096, 8192


@kernel
def slope_of_teacher(c, sigma):
    """c_k = R / sqrt(1 + sigma^2 - R^2), from c = R / sqrt(1 - R^2)."""
    return c / sqrt(1.0 + sigma * sigma * (1.0 + c * c))


@kernel
def field_breaks(c, signal, noise, random, flat, breaks):
    """Break points in t, ascending: the windows of every c_k inside that of the Gaussian."""
    narrow = 1.0
    for k in range(len(signal)):
        if signal[k] > 0.0:
            ck = slope_of_teacher(c, noise[k])
            width = 1.0 / ck if flat else 1.0 / sqrt(1.0 + ck * ck)
            if width < narrow or flat:
                narrow = width
    # Without random labels the weight itself cuts t < 0 off at the narrow scale.
    clean = len(signal) == 1 and random == 0.0
    n = 0
    inner = REACH * narrow
    if not clean and not flat:
        n = _stretch(-REACH, -inner, narrow, len(signal) > 1, breaks, n)
    for j in range(-3, 3):
        breaks[n] = j * GAUSS_WIDTH * narrow
        n += 1
    if flat:
        # no Gaussian beyond: the loss alone ends the integral
        breaks[n] = inner
        breaks[n + 1] = np.inf
        return n + 2
    n = _stretch(inner, REACH, narrow, len(signal) > 1, breaks, n)
    breaks[n] = REACH
    return n + 1


@kernel
def _stretch(left, right, narrow, graded, breaks, n):
    """Points from ``left`` up to but without ``right``; doubling scales if graded."""
    if right - left < 1e-9:
        return n
    if graded:
        m = n
        size = narrow * REACH
        if left < 0.0:
            while size < REACH * (1.0 - 1e-9):
                breaks[n] = -size
                size *= 1.5
                n += 1
            breaks[n] = left
            n += 1
            breaks[m:n] = breaks[m:n][::-1].copy()
            return n - 1 if abs(breaks[n - 1] - right) < 1e-9 else n
        while size < REACH * (1.0 - 1e-9):
            breaks[n] = size
            size *= 1.5
            n += 1
        return n
    count = int(np.ceil((right - left) / GAUSS_WIDTH))
    for j in range(count):
        breaks[n] = left + (right - left) * j / count
        n += 1
    return n


@kernel
def panels(code, parameter, b, c, signal, noise, random, flat, refine, whole, breaks, edges):
    """Panel edges in eta (steep losses) or t (others); returns how many, 0 if too many.

    ``refine`` halves every panel that many times; ``whole`` goes on to the end
    of the window in t, where u has long vanished.
    """
    m = field_breaks(c, signal, noise, random, flat, breaks)
    n = 0
    if is_steep(code):
        rate, edge = rate_and_edge(code, parameter, b)
        last = steep_offset(code, edge, rate * breaks[0])
        edges[0] = last
        n = 1
        zero = -origin(edge)  # where D = 0
        reach = np.inf if whole else ETA_REACH
        for i in range(1, m):
            if last >= reach:
                break
            here = reach
            if breaks[i] < np.inf and rate * breaks[i] < reach - zero:
                here = min(steep_offset(code, edge, rate * breaks[i]), reach)
            if last < zero < here:
                n = _march(code, last, zero, zero, edges, n)
                last = zero
            n = _march(code, last, here, zero, edges, n)
            last = here
            if n >= len(edges) - 3 or not np.isfinite(here):
                return 0
    else:
        first, second, third = kinks(code, parameter, b)
        edges[0] = breaks[0]
        n = 1
        for i in range(1, m):
            for kink in (first, second, third):
                if breaks[i - 1] < kink < breaks[i]:
                    edges[n] = kink
                    n += 1
            if breaks[i] < np.inf:  # in the flat limit the kink itself is the end
                edges[n] = breaks[i]
                n += 1
    for _ in range(refine):
        if 2 * n - 1 > len(edges):
            break
        for i in range(n - 1, 0, -1):
            edges[2 * i] = edges[i]
        for i in range(1, n):
            edges[2 * i - 1] = 0.5 * (edges[2 * i - 2] + edges[2 * i])
        n = 2 * n - 1
    return n


@kernel
def _march(code, left, right, zero, edges, n):
    """Panels from ``left`` (already there) to ``right``, wider where u varies little.

    That is right of the edge, where u has decayed, and for the logistic loss at
    negative margins (left of ``zero``), where V is a straight line.
    """
    at = left
    # An iterate far from any solution may ask for more panels than there is room for;
    # the caller then finds the last edge short of ``right`` and gives up on it.
    while right - at > ETA_WIDTH and n < len(edges) - 3:
        width = max(ETA_WIDTH, 0.6 * at)
        if code == LOGISTIC and at < zero:
            width = max(ETA_WIDTH, 0.5 * (zero - at))
        if at + 1.3 * width >= right:
            at = 0.5 * (at + right)
            edges[n] = at
            n += 1
            break
        at += width
        edges[n] = at
        n += 1
    edges[n] = right
    return n + 1


# -------------------------------------------------------------------------------------------------
# Moments
# -------------------------------------------------------------------------------------------------

INV_SQRT_2PI = 1.0 / sqrt(2.0 * pi)
INV_SQRT_2 = sqrt(0.5)


@kernel
def moments(
    code, parameter, a, b, signal, noise, random, flat, centre, node, weight, refine, full, out
):
    """Fill ``out`` (n, N_NEWTON or N_MOMENTS) for n points; columns as numbered above.

    parameter, a, b, random, centre: (n,); signal, noise: (n, K); node, weight: (m,)
    Gauss-Legendre rule on [-1, 1]; ``flat`` replaces the Gaussian measure of t
    by the constant 1/sqrt(2 pi) (the limit alpha -> inf at lam = ell alpha);
    ``full`` is NEWTON, OBSERVABLES or MARGINS.
    """
    teachers = signal.shape[1]
    breaks = np.empty(MAX_BREAKS)
    edges = np.empty(MAX_EDGES)
    cs = np.empty(teachers)
    widths = np.empty(teachers)
    dlog_c = np.empty(teachers)
    for i in range(len(a)):
        c = exp(a[i])
        for k in range(teachers):
            variance = noise[i, k] * noise[i, k]
            cs[k] = slope_of_teacher(c, noise[i, k])
            dlog_c[k] = (1.0 + variance) / (1.0 + variance * (1.0 + c * c))
            widths[k] = 1.0 / cs[k] if flat else 1.0 / sqrt(1.0 + cs[k] * cs[k])
        count = panels(
            code,
            parameter[i],
            b[i],
            c,
            signal[i],
            noise[i],
            random[i],
            flat,
            refine,
            full == MARGINS,
            breaks,
            edges,
        )
        rate, edge = 1.0, 0.0
        if is_steep(code):
            rate, edge = rate_and_edge(code, parameter[i], b[i])
        out[i, :] = 0.0 if count > 1 else np.nan
        for panel in range(count - 1):
            half = 0.5 * (edges[panel + 1] - edges[panel])
            if half <= 0.0:
                continue
            middle = edges[panel] + half
            for j in range(len(node)):
                v = middle + half * node[j]
                if is_steep(code):
                    y, q, r = steep(code, edge, v)
                    u = q / rate
                    t = y / rate - u
                    curved = q * r / (1.0 + q * r)
                    slope = u / (1.0 + q * r)
                    dv = half * weight[j] * (1.0 + q * r) / rate
                else:
                    t, y = v, v
                    u, slope, curved = explicit(code, parameter[i], b[i], t)
                    dv = half * weight[j]
                gauss = INV_SQRT_2PI if flat else INV_SQRT_2PI * exp(-0.5 * t * t)
                label = random[i]
                pull = 0.0
                pull_a = 0.0
                weight_a = 0.0
                for k in range(teachers):
                    w = signal[i, k]
                    z = t / widths[k]
                    if z > REACH:
                        label += 2.0 * w
                    elif z > -REACH - 1.0 and w > 0.0:
                        label += w * erfc(-cs[k] * t * INV_SQRT_2)
                        bell = w * INV_SQRT_2PI * exp(-0.5 * z * z)
                        sigma2 = noise[i, k] * noise[i, k]
                        p = bell / (widths[k] * sqrt(1.0 + sigma2))
                        pull += p
                        shrink = cs[k] * cs[k] * widths[k] * widths[k]
                        pull_a += p * (1.0 - z * z) * shrink * dlog_c[k]
                        weight_a += bell * cs[k] * dlog_c[k]
                mass = dv * gauss * label
                out[i, STEP] += mass * u * u
                out[i, STEP_DB] += 2.0 * mass * u * slope
                out[i, STEP_DA] += dv * 2.0 * INV_SQRT_2PI * weight_a * t * u * u
                out[i, PULL] += dv * pull * u
                out[i, PULL_DB] += dv * pull * slope
                out[i, PULL_DA] += dv * pull_a * u
                if full != NEWTON:
                    margin = t + u
                    if is_steep(code):
                        margin = y / rate
                        drift = -curved * margin
                        out[i, STEP_DL] += 2.0 * mass * u * drift
                        out[i, PULL_DL] += dv * pull * drift
                    out[i, CURVED] += mass * curved
                    out[i, CURVED2] += mass * curved * curved
                    out[i, LOSS] += mass * loss_value(code, parameter[i], margin)
                    if margin < 0.0:
                        out[i, NEGATIVE] += mass
                    out[i, FIELD_PUSH] += mass * t * u
                    out[i, MEAN] += mass * (margin - centre[i])
                    out[i, SQUARE_MEAN] += mass * (margin - centre[i]) ** 2
