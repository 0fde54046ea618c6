"""Response normalisation as operations on whole arrays, NumPy's or CuPy's.

The letters are those of `LocalResponseNorm`, whose docstring derives the backward pass.
"""

import numpy as np


def normalise(x, window_sum, n, k, alpha, beta, y, s):
    """s_i = k + alpha * sum(x_j**2 for j in W(i)), y_i = x_i * s_i**-beta.

    window_sum(a, n, out): out_i = the sum of a_j over j in W(i), a window of n.
    """
    np.multiply(x, x, out=y)  # y is only memory for now
    window_sum(y, n, s)
    s *= alpha
    s += k
    np.divide(x, power(s, beta, out=y), out=y)


def normalise_backward(dy, x, s, window_sum, n, alpha, beta, dx):
    """dx_i = dy_i * s_i**-beta - 2 * alpha * beta * x_i * sum(dy_j * y_j / s_j for j in W(i))."""
    # Both in one piece of memory: two, freed at the top of the heap, go back to the system each
    # time, and come from it again page by page.
    direct, through = np.empty_like(x, shape=(2, *x.shape))
    np.divide(dy, power(s, beta, out=direct), out=direct)
    np.multiply(direct, x, out=through)
    through /= s
    window_sum(through, n, dx)
    dx *= x
    dx *= -2 * alpha * beta
    dx += direct


def power(s, beta, out):
    """out = s**beta. For the paper's 0.75 two square roots are faster than a power."""
    if beta != 0.75:
        return np.power(s, beta, out=out)
    np.sqrt(s, out=out)
    out *= np.sqrt(out)
    return out
