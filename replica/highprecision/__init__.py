r"""Certificates: a saddle point to any number of digits, by a path of its own.

The fast solver integrates over the margin, uses equations that were integrated by parts,
and sums over nodes of a spectrum. This package shares neither its formulas nor its quadrature
nor its nodes: it integrates over t, finds each proximal point by a root solve, takes all
equations from the free energy alone, and sums every spectrum by itself.

**Free energy** (eq. 36 of docs/theory.md). Modes k have the weight p, the eigenvalue omega and
the signal tau: p omega theta^2 / sum for a teacher, p mean^2 / omega for clusters; isotropic
inputs are one mode with p = omega = tau = 1. Up to a sign that moves no stationary point::

    e = n E[M_chi(sqrt(Q) t)] - (Q Q^ - chi chi^)/2 + m m^ - nu'/2
        - 1/2 sum_k (p chi^ omega + m^^2 tau omega)/(nu' + Q^ omega)
    M_chi(h) = min over D of V(D) + (D - h)^2/(2 chi)             (Moreau envelope)

stationary in chi, Q = <omega w^2>, m (the covariance of the student's field with the teacher's,
or the mean of its margin) and in what is conjugate to them; nu' holds the norm at 1. For a
teacher E is the average over t with the density phi(t) W(t)::

    W(t) = offset + sum_k w_k 2 H(-c_k t),   c_k = R/sqrt(1 + sigma_k^2 - R^2),   R = m/sqrt(Q)

with weights w_k of the noise levels sigma_k, and offset = 1 - sum_k w_k the fraction of random
labels. For clusters t is normal, the argument of M is m + sqrt(Q) (y beta + t) in the cluster of
label y, and e is stationary in the intercept beta, too.

**Equations** (`system`). Let s = sqrt(Q), U(D) = V(s D)/s the loss of a field of unit variance,
x = chi/s its strength, u = D0 - t the push at its proximal point D0(t), and M its envelope.
M is a minimum over D, so only its explicit dependences count (envelope theorem). With A = E[u^2],
g = chi Q^, nu = chi nu' and d = nu + g omega::

    K = -n x dE[M]/dR = -(n/pi) sum_k w_k c_k' int dt t exp(-t^2/(2 s_k^2)) x M       (teacher)
    K = -n x dE[M]/dkappa = n E[u]                              (clusters, kappa = m/sqrt(Q))
    g = 2 n chi dE[M]/dQ = R K - n E[t u]                              (clusters: - n E[t u])

    de/dchi^ = 0 :  1 = sum_k p omega/d
    de/dm^   = 0 :  R = K sum_k tau omega/d                        (clusters: kappa in place of R)
    de/dQ^   = 0 :  1 = n A sum_k p omega^2/d^2 + K^2 sum_k tau omega^2/d^2
    de/dnu'  = 0 :  1/Q = n A sum_k p omega/d^2 + K^2 sum_k tau omega/d^2
    de/dbeta = 0 :  0 = E[y u]                                  (clusters of unequal fractions)

    s_k^2 = (1 + sigma_k^2 - R^2)/(1 + sigma_k^2)
    c_k'  = dc_k/dR = (1 + sigma_k^2)/(1 + sigma_k^2 - R^2)^(3/2)

In the third, K^2 sum tau omega^2/d^2 = R^2 (1 + spread) by the second, so that at large c the small
number 1 - R^2 is compared with what is small. For isotropic inputs d = 1 and Q = 1: R = K and
1 - R^2 = n A are left. For maximum stability x -> inf, x M = (kappa - t)+^2/2 and
u = (kappa - t)+. Without signal R = K = 0 and the second equation is void.

**Unknowns.** log c with c = R/sqrt(1 - R^2) (for clusters R = kappa/sqrt(sum tau)), log x (log
kappa for maximum stability); with structure log nu, log Q and, if there is one, the intercept.
1 - R^2 = 1/(1 + c^2) loses no digit at large alpha. g is a difference and no unknown; the digits
that it loses are carried. Equations are taken in logarithms.

**Proximal points** (`proximal`). Halley's iteration from seeds in doubles for
the logistic and the exponential loss, safeguarded Newton for a loss of the
user's own; the others are piecewise linear.

**Quadrature** (`channel`, `quadrature`). Composite Gauss-Legendre on panels that are
halved until the Bernstein-ellipse bound is below the tolerance. It needs the
complex singularities of D0(t), the points where dt/dD = 0, which are explicit
for the logistic and the exponential loss; kinks are panel ends.

**Spectra** (`spectra`). Lists mode by mode; power laws by Euler-Maclaurin behind a finite number
of modes, with the integral of the tail as incomplete beta functions; Marchenko-Pastur from the
quadratic of its Stieltjes transform.

**Confirmation** (`certificate`). A second rule (other degree, other panels,
wider range, other start and order of the tails, more digits of work) takes one more step; what
that moves is reported as the error.
"""

from replica.highprecision.certificate import Certificate, certify, saddle_point
from replica.highprecision.precision import CertificationError

__all__ = ["Certificate", "CertificationError", "certify", "saddle_point"]
