"""Compiled loops over the examples. They neither check nor raise; numba lives nowhere else.

A row of inputs is read once from memory: its product with the weights and its
share of the result are computed while it is in the first-level cache. Eight
rows go together, so that one load of a weight serves eight products.

``fastmath`` lets sums be reordered and contracted, nothing else: the order is
fixed at compile time, so results are reproducible to the bit, and nan and inf
keep their meaning. Rows come in multiples of `ROWS`; the caller's last few are
done one by one.
"""

from math import exp

import numpy as np

from replica.common import compiled

#: Rows that share one pass over the weights.
ROWS = 8
FAST = {"reassoc", "contract", "nsz"}

# What becomes of the product s = x.v / sqrt(N) before it multiplies the row again.
LOGISTIC = 0  # y V'(y s), V' = -2 / (1 + exp(2 lam y s)): the gradient
WEIGHTED = 1  # weight s: a product with X^T diag(weight) X / N
FIELDS = 2  # nothing: the products alone
COMBINE = 3  # weight, whatever s: X^T weight / sqrt(N)


def kernel(function):
    """A compiled kernel with the floating-point freedom of `FAST`."""
    return compiled.kernel(function, fastmath=FAST)


@kernel
def coefficient(mode, s, label, weight, lam):
    """The number that multiplies the row again."""
    if mode == LOGISTIC:
        # cut off where exp is next to overflow, which is an error in plain Python
        return -2.0 * label / (1.0 + exp(min(2.0 * lam * label * s, 709.0)))
    if mode == WEIGHTED:
        return weight * s
    return weight


@kernel
def sweep(mode, inputs, labels, weights, lam, v, low, high, fields, out):
    """Rows low..high: fields[i] = x_i.v / sqrt(N); out += sum_i coefficient_i x_i / sqrt(N).

    inputs: (P, N) int8, float32 or float64; labels: (P,) int8; weights: (P,) float64,
    read by the modes that have weights; v and out: (N,), of one float type
    that also sets the arithmetic; fields: (P,) float64.
    """
    n = inputs.shape[1]
    scale = 1.0 / np.sqrt(n)
    real = v.dtype.type
    zero = real(0)
    i = low
    while i + ROWS <= high:
        x0, x1, x2, x3 = inputs[i], inputs[i + 1], inputs[i + 2], inputs[i + 3]
        x4, x5, x6, x7 = inputs[i + 4], inputs[i + 5], inputs[i + 6], inputs[i + 7]
        if mode != COMBINE:
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zero
            for j in range(n):
                vj = v[j]
                s0 += real(x0[j]) * vj
                s1 += real(x1[j]) * vj
                s2 += real(x2[j]) * vj
                s3 += real(x3[j]) * vj
                s4 += real(x4[j]) * vj
                s5 += real(x5[j]) * vj
                s6 += real(x6[j]) * vj
                s7 += real(x7[j]) * vj
            fields[i] = s0 * scale
            fields[i + 1] = s1 * scale
            fields[i + 2] = s2 * scale
            fields[i + 3] = s3 * scale
            fields[i + 4] = s4 * scale
            fields[i + 5] = s5 * scale
            fields[i + 6] = s6 * scale
            fields[i + 7] = s7 * scale
        if mode != FIELDS:
            c0 = real(scale * coefficient(mode, fields[i], labels[i], weights[i], lam))
            c1 = real(scale * coefficient(mode, fields[i + 1], labels[i + 1], weights[i + 1], lam))
            c2 = real(scale * coefficient(mode, fields[i + 2], labels[i + 2], weights[i + 2], lam))
            c3 = real(scale * coefficient(mode, fields[i + 3], labels[i + 3], weights[i + 3], lam))
            c4 = real(scale * coefficient(mode, fields[i + 4], labels[i + 4], weights[i + 4], lam))
            c5 = real(scale * coefficient(mode, fields[i + 5], labels[i + 5], weights[i + 5], lam))
            c6 = real(scale * coefficient(mode, fields[i + 6], labels[i + 6], weights[i + 6], lam))
            c7 = real(scale * coefficient(mode, fields[i + 7], labels[i + 7], weights[i + 7], lam))
            for j in range(n):
                out[j] += (
                    (c0 * real(x0[j]) + c1 * real(x1[j]))
                    + (c2 * real(x2[j]) + c3 * real(x3[j]))
                    + (c4 * real(x4[j]) + c5 * real(x5[j]))
                    + (c6 * real(x6[j]) + c7 * real(x7[j]))
                )
        i += ROWS
    while i < high:
        x = inputs[i]
        if mode != COMBINE:
            s = zero
            for j in range(n):
                s += real(x[j]) * v[j]
            fields[i] = s * scale
        if mode != FIELDS:
            c = real(scale * coefficient(mode, fields[i], labels[i], weights[i], lam))
            for j in range(n):
                out[j] += c * real(x[j])
        i += 1


@kernel
def sweep_parts(first, stride, mode, inputs, labels, weights, lam, v, cuts, fields, sums):
    """The parts first, first + stride, ... of the rows, each with a sum of its own.

    cuts: parts + 1 row numbers; sums: (parts, N), of the type of v, overwritten;
    the rest as in `sweep`. The mode is handed down from Python also where it is
    always the same: where LLVM knows that it is LOGISTIC, the loop in double
    precision takes three times as long.
    """
    for k in range(first, len(cuts) - 1, stride):
        sums[k] = 0
        sweep(mode, inputs, labels, weights, lam, v, cuts[k], cuts[k + 1], fields, sums[k])


@kernel
def move(sums, learning_rate, keep, total, w, v):
    """W <- keep w - learning_rate sum_k sums[k], the parts added in order; v <- w.

    sums: (parts, N); w and total: (N,) float64; v: (N,), of the type of sums.
    """
    parts, n = sums.shape
    for j in range(n):
        total[j] = sums[0, j]
    for k in range(1, parts):
        for j in range(n):
            total[j] += sums[k, j]
    if keep != 1.0:
        for j in range(n):
            w[j] *= keep
    for j in range(n):
        w[j] -= learning_rate * total[j]
        v[j] = w[j]


@kernel
def ascend(inputs, labels, squares, order, most, multipliers, v):
    """One pass of exact line maximisations over the rows in ``order``.

    Of sum(a) - |v|^2/2 with v = sum_i a_i y_i x_i / sqrt(N), 0 <= a <= most, which is the
    dual of hard-margin learning where most = inf, and else of the hinge loss beside a ridge:
    a_i rises by (1 - y_i x_i.v / sqrt(N)) / squares_i, or falls by that, within its bounds.
    squares: (P,) float64, |x_i|^2 / N; multipliers: (P,) float64 and v: (N,) float32, both updated.
    """
    n = inputs.shape[1]
    scale = 1.0 / np.sqrt(n)
    real = v.dtype.type
    for k in range(order.size):
        i = order[k]
        x = inputs[i]
        s = real(0)
        for j in range(n):
            s += real(x[j]) * v[j]
        new = multipliers[i] + (1.0 - labels[i] * s * scale) / squares[i]
        new = min(max(new, 0.0), most)
        change = new - multipliers[i]
        if change != 0.0:
            multipliers[i] = new
            c = real(change * labels[i] * scale)
            for j in range(n):
                v[j] += c * real(x[j])


# How a run of exchanges ended.
MET = 0  # every constraint of the pool is met
ZERO = 1  # the multipliers sum to nothing
SPENT = 2  # too many steps


@kernel
def exchanges(
    rows, names, lengths, sizes, error, floor, dependent, most, Q, R, S, inside, b, v, count
):  # fmt: skip
    """Goldfarb and Idnani's exchanges until v meets row.v >= 1 for all ``rows``, in place.

    rows: (p, m) float64, a pool of the table's, by their ``names`` in it; lengths: (p,); a
    constraint is met where it lacks less than floor + error sum_j sizes_j |v_j|. S, (m + 1,),
    holds count[0] names, their multipliers b, (m + 1,), and the decomposition of
    their rows as columns, sum_q R_qk Q_q with orthonormal Q_q: both (m, m), R upper triangular.
    inside: (P,) bool, what is in S; v: (m,), sum_k b_k a_k. count: (2,) int64, the second of steps.
    ``dependent``: |what is left of a row beside S|^2 / |row|^2 that is zero.
    """
    m = rows.shape[1]
    r, c, z = np.zeros(m), np.zeros(m), np.zeros(m)
    while True:
        # the row that is furthest from being met
        allowed = 0.0
        for j in range(m):
            allowed += sizes[j] * abs(v[j])
        allowed = floor + error * allowed
        p, furthest = -1, 0.0
        for i in range(rows.shape[0]):
            if not inside[names[i]]:
                short = 1.0
                for j in range(m):
                    short -= rows[i, j] * v[j]
                if short > allowed and short > furthest * lengths[i]:
                    p, furthest = i, short / lengths[i]
        if p < 0:
            return MET
        a, entering, square, short = rows[p], 0.0, 0.0, 1.0
        for j in range(m):
            square += a[j] * a[j]
            short -= a[j] * v[j]
        while True:
            if count[1] >= most:
                return SPENT
            count[1] += 1
            k = count[0]
            # coefficients of the row on S, and what is left: twice, orthogonal to rounding
            for j in range(m):
                z[j] = a[j]
            c[:k] = 0.0
            for _ in range(2):
                for i in range(k):
                    s = 0.0
                    for j in range(m):
                        s += Q[i, j] * z[j]
                    r[i] = s
                    c[i] += s
                for i in range(k):
                    for j in range(m):
                        z[j] -= r[i] * Q[i, j]
            for i in range(k - 1, -1, -1):
                s = c[i]
                for q in range(i + 1, k):
                    s -= R[i, q] * r[q]
                r[i] = s / R[i, i]
            left = 0.0
            for j in range(m):
                left += z[j] * z[j]
            free = k < m and left > dependent * square
            # how far the row may enter before a multiplier reaches zero, and until it is met
            last, size = -1, np.inf
            for i in range(k):
                if r[i] > 0.0 and b[i] < size * r[i]:
                    last, size = i, b[i] / r[i]
            if not free and last < 0:
                for i in range(k):
                    b[i] = -r[i]
                b[k], S[k] = 1.0, names[p]
                count[0] = k + 1
                return ZERO
            full = free and short <= size * left
            if full:
                size = short / left
            for i in range(k):
                b[i] -= size * r[i]
            entering += size
            if free:
                for j in range(m):
                    v[j] += size * z[j]
                short -= size * left
            if full:
                length = np.sqrt(left)
                for j in range(m):
                    Q[k, j] = z[j] / length
                for i in range(k):
                    R[i, k] = c[i]
                R[k, k] = length
                b[k], S[k], inside[names[p]] = entering, names[p], True
                count[0] = k + 1
                break
            # the last one leaves, and rotations make its followers triangular again
            inside[S[last]] = False
            for q in range(last, k - 1):
                b[q], S[q] = b[q + 1], S[q + 1]
                for i in range(q + 2):
                    R[i, q] = R[i, q + 1]
            for q in range(last, k - 1):
                length = np.hypot(R[q, q], R[q + 1, q])
                cosine, sine = R[q, q] / length, R[q + 1, q] / length
                R[q, q] = length
                for i in range(q + 1, k - 1):
                    high, low = R[q, i], R[q + 1, i]
                    R[q, i], R[q + 1, i] = (
                        cosine * high + sine * low,
                        cosine * low - sine * high,
                    )
                for j in range(m):
                    high, low = Q[q, j], Q[q + 1, j]
                    Q[q, j], Q[q + 1, j] = cosine * high + sine * low, cosine * low - sine * high
            count[0] = k - 1
