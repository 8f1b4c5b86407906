"""What a tolerance may be made of: bounds that hold in whatever order a kernel adds."""

#: Unit roundoff: a relative error of each operation, of floats and of single precision.
U, U_SINGLE = 2.0**-53, 2.0**-24


def gamma(n, u=U):
    """Error of a sum of n products in parts of the sum of their absolute values.

    n u/(1 - n u), in any order and with or without fused operations: N. Higham, Accuracy and
    Stability of Numerical Algorithms, eq. (3.5).
    """
    return n * u / (1 - n * u)
