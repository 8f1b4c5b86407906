r"""Certificates: a saddle point to any number of digits, by a path of its own.

The fast solver integrates over the margin and uses equations that were
integrated by parts. This package shares neither its formulas nor its
quadrature: it integrates over t, finds each proximal point by a root solve,
and takes both equations from the free energy alone.

**Equations** (`system`). Up to a sign that moves no stationary point, eq. (13)
of the paper reads::

    e(x, R) = (1 - R^2)/(2x) - alpha int Dt W(t) M(t)
    M(t)    = min over D of V(D) + (D - t)^2/(2x)                (Moreau envelope)
    W(t)    = offset + sum_k w_k 2 H(-c_k t),   c_k = R/sqrt(1 + sigma_k^2 - R^2)

with D0(t) the minimiser, u = D0 - t, weights w_k of the noise levels sigma_k,
and offset = 1 - sum_k w_k the fraction of random labels. M is a minimum over
D, so only its explicit dependence on x counts (envelope theorem): dM/dx =
-u^2/(2x^2). R enters through (1 - R^2)/(2x) and W only, and
dW/dR = sum_k w_k 2 phi(c_k t) t dc_k/dR. Hence::

    de/dx = 0 :  1 - R^2 = alpha int Dt W u^2
    de/dR = 0 :  R = -(alpha/pi) sum_k w_k c_k' int dt t exp(-t^2/(2 s_k^2)) x M(t)

    s_k^2 = (1 + sigma_k^2 - R^2)/(1 + sigma_k^2)
    c_k'  = dc_k/dR = (1 + sigma_k^2)/(1 + sigma_k^2 - R^2)^(3/2)

For maximum stability x -> inf, x M = (kappa - t)+^2/2 and u = (kappa - t)+.
Without signal R = 0 and the first equation stands alone.

**Unknowns.** log c with c = R/sqrt(1 - R^2), and log x (log kappa for maximum
stability); 1 - R^2 = 1/(1 + c^2) loses no digit at large alpha. Both equations
are taken in logarithms.

**Proximal points** (`proximal`). Halley's iteration from seeds in doubles for
the logistic and the exponential loss, safeguarded Newton for a loss of the
user's own; the others are piecewise linear.

**Quadrature** (`quadrature`). Composite Gauss-Legendre on panels that are
halved until the Bernstein-ellipse bound is below the tolerance. It needs the
complex singularities of D0(t), the points where dt/dD = 0, which are explicit
for the logistic and the exponential loss; kinks are panel ends.

**Confirmation** (`certificate`). A second rule (other degree, other panels,
wider range, more digits of work) takes one more step; what that moves is
reported as the error.
"""

from replica.highprecision.certificate import Certificate, certify, saddle_point
from replica.highprecision.reading import CertificationError

__all__ = ["Certificate", "CertificationError", "certify", "saddle_point"]
