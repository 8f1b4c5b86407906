r"""What is proved about a table, whatever rounding did on the way to it.

Rows a_mu = y (x, 1) (the 1 where there is an intercept) separate, a_mu.v > 0 for all, or there are
multipliers b >= 0, not all zero, with sum_mu b_mu a_mu = 0, and never both (Gordan 1873).
The first is proved by sums with bounds on their rounding (`accurate`), the second in one of
two ways:

- `enclosed`: the rows span their space, well enough that the error of a float64 solution is
  bounded (Krawczyk's argument); an exact solution with positive multipliers is near by.
- `exact`: in integers. Floating-point numbers are integers times powers of two, so a basis of the
  rows and columns gives a linear system over the integers, solved by p-adic lifting (Dixon 1982).
  The answer is multiplied out in integers before it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgetrf

__all__ = ["Proof", "accurate", "multipliers_of_zero"]

Array = NDArray[np.float64]

#: Half a unit in the last place of 1.
UNIT = 2.0**-53
#: Bounds are themselves computed in floating point, and raised by this: far above their rounding.
INFLATION = 1 + 1e-6
#: Terms of a sum in twice the precision that are added side by side; a choice.
TERMS = 2**15
#: A prime such that 2^12 products of two residues add up in 63 bits.
PRIME = 2**25 - 39
#: Basis rows up to which the integers are tried: their cost grows as the fourth power.
MOST_EXACT = 400
#: A basis multiplier that floating point finds below minus this, in units of the guess, is not
#: solved for in integers; a choice, which costs no truth.
HOPELESS = 0.1
#: Multipliers below these shares of the largest are taken to be rounding, one after the other.
SHARES = (1e-6, 1e-3, 1e-12)


@dataclass(frozen=True)
class Proof:
    """Multipliers that are non-negative, of sum 1, and sum to zero over the rows.

    ``exact`` ones have been multiplied out in integers and are rounded to double here; else
    exact ones, all positive, lie within ``radius`` of these.
    """

    multipliers: Array
    radius: float
    exact: bool


def accurate(rows: Array, v: Array, low: Array | None = None) -> tuple[Array, Array]:
    r"""Products rows.(v + low), as if in twice the working precision, and bounds on their errors.

    Dot2 of Ogita, Rump and Oishi (2005): \|error\| <= u \|result\| + gamma_n^2 \|rows\|.\|v\|. No
    element may exceed 2^900 or be so small that products underflow beside the result.
    """
    m, n = rows.shape
    total, rest, size = np.zeros(m), np.zeros(m), np.zeros(m)
    # as many terms at once as keep the calls few and the products in the cache
    width = max(1, 2 ** int(np.log2(max(TERMS / m, 1))))
    for first in range(0, n, width):
        part, x = rows[:, first : first + width], v[first : first + width]
        product = part * x
        rest += _product_error(part, x, product).sum(axis=1)
        size += np.abs(product).sum(axis=1)
        while product.shape[1] > 1:  # in pairs
            if product.shape[1] % 2:
                product = np.column_stack([product, np.zeros(m)])
            product, error = _two_sum(product[:, ::2], product[:, 1::2])
            rest += error.sum(axis=1)
        total, error = _two_sum(total, product[:, 0])
        rest += error
    if low is not None:
        rest += rows @ low
        size += 2 * np.abs(rows) @ np.abs(low) / UNIT  # a bound for what stands in `rest`
    result = total + rest
    gamma = 2 * (n + 2) * UNIT
    bound = (UNIT * np.abs(result) + gamma**2 * size) * INFLATION + n * 2.0**-1022
    return result, bound


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _product_error(a: Array, b: Array, product: Array) -> Array:
    """The rounding error of a product, exactly (Dekker)."""
    a1, a2 = _halves(a)
    b1, b2 = _halves(b)
    return np.asarray(a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2))


def _halves(a: Array) -> tuple[Array, Array]:
    """Two numbers of 26 bits that add up to it (Veltkamp)."""
    wide = (2.0**27 + 1) * a
    high = wide - (wide - a)
    return np.asarray(high), np.asarray(a - high)


def multipliers_of_zero(rows: Array, guess: Array) -> Proof | None:
    """Proved multipliers near a guess, or None if none could be proved.

    Parameters
    ----------
    rows : (S, n) array
    guess : (S,) array
        Non-negative.
    """
    if not np.all(np.isfinite(guess)) or not guess.max() > 0:
        return None
    for share in SHARES:
        on = np.flatnonzero(guess > share * guess.max())
        on = on[np.argsort(-guess[on], kind="stable")]
        b = guess[on] / guess[on].sum()
        proof = _enclosed(rows[on], b) or _exact(rows[on], b)
        if proof is not None:
            full = np.zeros(len(rows))
            full[on] = proof.multipliers
            return Proof(full, proof.radius, proof.exact)
    return None


# --------------------------------------------------------------------- by enclosure


def _enclosed(rows: Array, b: Array) -> Proof | None:
    """An exact solution near b, by a bound on |B^{-1} r| for a basis B and the residual r."""
    rows = rows[:, np.any(rows != 0, axis=0)]
    s, n = rows.shape
    if not 0 < n < s:
        return None
    rows = rows * 2.0 ** -np.frexp(np.abs(rows).max(axis=0))[1]  # equations may be scaled
    # the basis: rows that are large and have large multipliers
    sizes = 2.0 ** -np.frexp(np.abs(rows).max(axis=1, initial=2.0**-1000))[1]
    rows, b = rows * sizes[:, None], b / sizes
    order = np.arange(s)
    for i, j in enumerate(dgetrf(rows * b[:, None])[1]):
        order[[i, j]] = order[[j, i]]
    basis = order[:n]
    B = rows[basis].T
    try:
        R = np.linalg.inv(B)
    except np.linalg.LinAlgError:
        return None
    gamma = 2 * (n + 2) * UNIT
    defect = np.abs(R @ B - np.eye(n)) + gamma * (np.abs(R) @ np.abs(B))
    q = float(defect.sum(axis=1).max()) * INFLATION
    if not q < 0.5:
        return None
    for _ in range(3):
        pull, error = accurate(np.ascontiguousarray(rows.T), b)
        radius = float((np.abs(R) @ (np.abs(pull) + error)).max()) / (1 - q) * INFLATION
        if radius < 0.5 * b[basis].min() and np.all(b >= 0):
            b, total = b * sizes, float((b * sizes).sum())
            return Proof(b / total, radius * float(sizes[basis].max()) / total, False)
        b = b.copy()
        b[basis] -= R @ pull
    return None


# --------------------------------------------------------------------- in integers


def _exact(rows: Array, b: Array) -> Proof | None:
    """In integers: multipliers outside a basis of the rows as given, the others solved for."""
    whole, shifts = _integers(rows)
    chosen = _basis(whole)
    if chosen is None:
        return None
    basis, columns = chosen
    s = len(rows)
    free = np.setdiff1d(np.arange(s), basis)
    if not free.size or not _hopeful(rows, b, basis, free):
        return None
    # row i of the table is whole[i] 2^shifts[i], up to powers of two in the columns
    given = _as_integers(b[free], shifts[free])
    values = np.zeros(s, dtype=object)
    if basis.size:
        right = -(given @ whole[np.ix_(free, columns)])
        solved = _solve(whole[np.ix_(basis, columns)].T, right)
        if solved is None:
            return None
        values[basis], denominator = solved
        values[free] = given * denominator
    else:
        values[free] = given
    if np.any(values < 0) or np.any(values @ whole != 0) or not np.any(values > 0):
        return None
    return Proof(_rounded(values, shifts), 0.0, True)


def _hopeful(rows: Array, b: Array, basis: NDArray[np.intp], free: NDArray[np.intp]) -> bool:
    """Whether floating point does not already say that a multiplier of the basis is negative."""
    if not basis.size:
        return True
    sizes = np.abs(rows).max(axis=0)
    scaled = rows / np.where(sizes > 0, sizes, 1.0) * b[:, None]
    lengths = np.maximum(np.linalg.norm(scaled[basis], axis=1), 1e-300)
    solved = np.linalg.lstsq((scaled[basis] / lengths[:, None]).T, -scaled[free].sum(axis=0))[0]
    solved /= lengths  # 1 each if the guess is right
    return bool(np.all(solved > -HOPELESS))


def _integers(rows: Array) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Integers and shifts: rows[i, j] = whole[i, j] 2^(shifts[i] + power of column j)."""
    mantissas, powers = np.frexp(rows)
    odd = np.ldexp(mantissas, 53).astype(np.int64)
    powers = powers.astype(np.int64) - 53
    lowest = np.where(odd != 0, odd & -odd, 1)  # a power of two
    trailing = np.round(np.log2(lowest.astype(np.float64))).astype(np.int64)
    odd >>= trailing
    powers += trailing
    far = np.iinfo(np.int64).max // 4
    powers = np.where(odd != 0, powers, far)
    low = powers.min(axis=0)
    powers = np.where(odd != 0, powers - np.where(low == far, 0, low), far)
    shifts = powers.min(axis=1)
    shifts[shifts == far] = 0
    powers = np.where(odd != 0, powers - shifts[:, None], 0)
    return odd.astype(object) << powers.astype(object), shifts


def _as_integers(b: Array, shifts: NDArray[np.int64]) -> NDArray[np.object_]:
    """These times 2^shifts and a common power of two, exactly."""
    mantissas, powers = np.frexp(b)
    powers = powers.astype(np.int64) + shifts
    powers -= powers.min()
    return np.asarray(
        np.ldexp(mantissas, 53).astype(np.int64).astype(object) << powers.astype(object)
    )


def _rounded(values: NDArray[np.object_], shifts: NDArray[np.int64]) -> Array:
    """Without the shifts, over their sum."""
    shifted = values << (shifts.max() - shifts).astype(object)
    total = int(shifted.sum())
    return np.array([int(value) / total for value in shifted])


def _basis(whole: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Rows, the first possible ones, and as many columns that are independent mod a prime.

    What is independent mod a prime is independent; a rank that the prime hides shows when the
    answer is multiplied out.
    """
    work = (whole % PRIME).astype(np.int64)
    rows, columns = [], []
    for i in range(len(work)):
        found = np.flatnonzero(work[i])
        if not found.size:
            continue
        j = int(found[0])
        rows.append(i)
        columns.append(j)
        if len(rows) > MOST_EXACT:
            return None
        work[i] = work[i] * pow(int(work[i, j]), -1, PRIME) % PRIME
        below = work[i + 1 :]
        below -= below[:, j : j + 1] * work[i] % PRIME
        below %= PRIME
    return np.array(rows, dtype=np.intp), np.array(columns, dtype=np.intp)


def _inverse(matrix: NDArray[np.object_]) -> NDArray[np.int64]:
    """The inverse mod the prime of a matrix that has one."""
    k = len(matrix)
    work = np.hstack([(matrix % PRIME).astype(np.int64), np.eye(k, dtype=np.int64)])
    for i in range(k):
        j = i + int(np.flatnonzero(work[i:, i])[0])
        work[[i, j]] = work[[j, i]]
        work[i] = work[i] * pow(int(work[i, i]), -1, PRIME) % PRIME
        factors = work[:, i].copy()
        factors[i] = 0
        work -= factors[:, None] * work[i] % PRIME
        work %= PRIME
    return work[:, k:]


def _solve(
    matrix: NDArray[np.object_], right: NDArray[np.object_]
) -> tuple[NDArray[np.object_], int] | None:
    """Integers u and d > 0 with matrix u = d right, if the prime does not divide the determinant.

    Digit by digit to the base of the prime, until fractions that fit all digits solve the system.
    """
    k = len(matrix)
    inverse = _inverse(matrix)
    largest = max(int(abs(matrix).max()), 1)
    small = largest * PRIME * k < 2**62
    product = matrix.astype(np.int64) if small else matrix
    # Hadamard's bound on determinants, for numerator and denominator
    bits = k * ((largest * k).bit_length() + 1) + max(int(abs(right).max()), 1).bit_length()
    most = 2 * bits // (PRIME.bit_length() - 1) + 3
    rest, answer, power = right.copy(), np.zeros(k, dtype=object), 1
    trial = 8
    for digits in range(1, most + 1):
        digit = inverse @ (rest % PRIME).astype(np.int64) % PRIME
        answer = answer + digit.astype(object) * power
        power *= PRIME
        rest = (
            rest - (product @ (digit if small else digit.astype(object))).astype(object)
        ) // PRIME
        if digits in (trial, most):
            trial = digits + max(8, digits // 2)
            found = _fractions(answer, power)
            if found is not None and np.all(matrix @ found[0] == found[1] * right):
                return found
    return None


def _fractions(
    residues: NDArray[np.object_], modulus: int
) -> tuple[NDArray[np.object_], int] | None:
    """Numerators over one denominator that have these residues, all below sqrt(modulus)/2."""
    limit = isqrt(modulus) // 2
    denominator = 1
    for residue in residues:
        near = residue * denominator % modulus
        if min(near, modulus - near) < limit:
            continue
        # Euclid's algorithm, stopped in the middle
        before, now, first, second = modulus, near, 0, 1
        while now >= limit:
            quotient = before // now
            before, now = now, before - quotient * now
            first, second = second, first - quotient * second
        denominator *= abs(second)
        if denominator >= limit:
            return None
    numerators = residues * denominator % modulus
    return np.where(numerators > modulus // 2, numerators - modulus, numerators), denominator
