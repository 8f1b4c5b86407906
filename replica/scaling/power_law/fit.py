"""From points to the fitted law and everything that is said of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from replica.scaling.power_law import inference
from replica.scaling.power_law.absolute import Absolute
from replica.scaling.power_law.data import Data, read
from replica.scaling.power_law.law import ROUNDING, Law
from replica.scaling.power_law.record import PowerLawFit
from replica.scaling.power_law.relative import Relative
from replica.scaling.power_law.search import ROUGH, gamma_interval, least, offset_interval

__all__ = ["fit_power_law"]

Array = NDArray[np.float64]


def fit_power_law(
    x: ArrayLike,
    y: ArrayLike,
    *,
    sigma: ArrayLike | None = None,
    relative: ArrayLike | bool | None = None,
    offset: bool = True,
    nonnegative: bool = True,
    intervals: bool = True,
    level: float = 0.95,
    without: ArrayLike | None = None,
) -> PowerLawFit:
    r"""Fit y = q + k x^(-gamma) by weighted least squares; gamma may have either sign.

    .. math:: \chi^2 = \sum_i (y_i - q - k x_i^{-\gamma})^2 / \sigma_i^2

    or, where errors are relative, :math:`\ln y_i - \ln(q + k x_i^{-\gamma})` in units of the
    errors of :math:`\ln y_i`; with ``offset=False`` that is the weighted straight line through
    ln y against ln x. An interval holds the values of one parameter at which chi2, least over
    the others, exceeds its minimum by no more than the quantile of chi-squared with one
    degree of freedom (of F, where errors are estimated from the residuals).

    Parameters
    ----------
    x : (n,) array
        Positive; its logarithm is all that matters.
    y : (n,) or (seeds, n) array
        Finite; positive where errors are relative. Seeds are independent of each other; so are
        points at equal x. Where errors are unknown, and such repetitions have as many degrees of
        freedom as their means about the law, the noise is estimated from them alone, whether the
        law holds or not (eq. S4c of `docs/scaling.md`).
    sigma : float or array, optional
        Standard errors of y, of the shape of x or y. Without `sigma` and `relative` they are
        equal and unknown.
    relative : float or array or True, optional
        Standard errors of ln y, for y that spans decades; True: equal and unknown.
    offset : bool
        Whether q is fitted; else it is 0.
    nonnegative : bool
        Whether q >= 0 and k > 0 are required, as of floors of an error or of a norm.
    intervals : bool
        Whether to compute the profile intervals, which take most of the time.
    level : float
        Their confidence level, in (0, 1).
    without : int or array, optional
        Places in y, flattened, of points that do not count, such as `PowerLawFit.outlier`.

    Raises
    ------
    ValueError
        If there are fewer than 3 points (4 with offset), fewer than 2 different `x` (3), if all
        `y` are the same, or if an argument is not what is written above; also for
        ``nonnegative=False`` with relative errors, since ln y bounds the law by itself.
    """
    data = read(x, y, sigma, relative, offset, nonnegative, level, without)
    law = law_of(data, offset)
    scan, fit = least(law, law.grid)
    A, q, chi2 = float(fit.A[0]), float(fit.q[0]), float(fit.chi2[0])
    dof = len(data.y) - (3 if offset else 2)
    residuals = law.residuals(fit)
    exact = bool(np.abs(residuals * data.sigma).max() <= ROUNDING)
    vague = exact and not data.known
    again, pure, misfit_p = inference.misfit(data.log_x, data.y, law.w, chi2, len(data.y) - dof)
    repeated = not np.isnan(misfit_p) and 2 * again >= dof
    noise_dof = None if data.known else again if repeated else dof
    unit = 1.0 if data.known or vague else pure / again if repeated else chi2 / dof
    limit = chi2 + unit * inference.quantile(level, noise_dof)

    bare = float(least(law_of(data, False), law.grid, ROUGH)[1].chi2[0]) if offset else chi2
    gammas, offsets = (np.nan, np.nan), (np.nan, np.nan)
    if intervals and not vague:
        gammas = gamma_interval(law, scan, fit, limit)
        offsets = offset_interval(law, fit, gammas, limit) if offset else (0.0, 0.0)
        if nonnegative and bare <= limit:
            offsets = (0.0, offsets[1])

    slopes, residuals = law.slopes(fit), residuals / np.sqrt(unit)
    end = float(data.log_x[0] if fit.gamma[0] > 0 else data.log_x[-1])
    scaled = np.zeros((3, 3))
    fitted = slice(3 if offset else 2)
    Q, inverse = inference.decomposed(slopes[:, fitted])
    scaled[fitted, fitted] = inverse * (np.nan if vague else unit)
    deviation, covariance = inference.unscaled(scaled, end, data.scale)

    p_value = float(special.chdtrc(dof, chi2)) if data.known else np.nan
    if exact:
        Q = None
    elif A == 0 or (offset and q == 0):  # what is at its bound did not adapt to the points
        Q = inference.decomposed(slopes[:, [A != 0, A != 0, q != 0]])[0]
    serial_p = inference.serial_p(Q, residuals)
    row, outlier_p = inference.outlier(Q, residuals, data.known)
    outlier, seen = int(data.place[row]), np.full(data.shape, np.nan)
    seen.flat[data.place] = residuals
    pushed = offset and nonnegative and q == 0 and A != 0 and not vague
    scale = 1.0 if data.relative else data.scale
    scatter = float(np.sqrt(chi2 / dof)) * (1.0 if data.known else scale)
    alike = not data.known or float(np.ptp(data.sigma)) == 0
    return PowerLawFit(
        gamma=float(fit.gamma[0]) if A else np.nan,
        log_k=float(np.log(abs(A)) + np.log(data.scale) + fit.gamma[0] * end) if A else -np.inf,
        q=q * data.scale,
        sign=-1.0 if A < 0 else 1.0,
        gamma_error=float(deviation[0]),
        log_k_error=float(deviation[1]),
        q_error=float(deviation[2]),
        covariance=covariance,
        gamma_low=gammas[0],
        gamma_high=gammas[1],
        q_low=offsets[0] * data.scale,
        q_high=offsets[1] * data.scale,
        level=level,
        chi2=scatter * scatter * dof,
        dof=dof,
        scatter=scatter,
        p_value=p_value,
        offset_p=np.nan
        if vague or not offset
        else inference.offset_p((bare - chi2) / unit, noise_dof, nonnegative, q),
        residuals=seen,
        largest=float(np.abs(residuals).max()),
        serial_p=serial_p,
        noise=np.nan if vague or not alike else float(np.sqrt(unit) * data.sigma[0]) * scale,
        noise_dof=np.inf if noise_dof is None else float(noise_dof),
        replicate_dof=again,
        misfit_p=misfit_p,
        outlier=outlier,
        outlier_p=outlier_p,
        offset=offset,
        relative=data.relative,
        status=inference.status(
            level,
            A=A,
            vague=vague,
            open_low=bool(scan.chi2[0] <= limit),
            open_high=bool(scan.chi2[-1] <= limit),
            bend_p=inference.bend_p(slopes, residuals, noise_dof) if pushed else np.nan,
            p_value=p_value,
            misfit_p=misfit_p,
            serial_p=serial_p,
            outlier=outlier,
            outlier_p=outlier_p,
        ),
    )


def law_of(data: Data, offset: bool) -> Law:
    """The law of some data with or without an offset, ready to be fitted."""
    kind = Relative if data.relative else Absolute
    return kind(data.log_x, data.y, data.sigma, data.known, offset, data.nonnegative)
