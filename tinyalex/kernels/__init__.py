"""The few inner loops of the network, each written several times to one contract.

    loops.py   plain Python loops: the definition, slow, what the tests compare with
    numpy.py   vectorised for the CPU
    cupy.py    for the GPU; the CUDA code is in cuda.py
    norm.py    what both do with whole arrays

Every function of the contract takes arrays (N, H, W, C) and writes into arrays that the caller
made, so that memory is decided in one place, the device:

    im2col(x, K, S, P, cols)              x (N, H, W, C) -> cols (N, OH, OW, KH, KW, C)
    col2im(cols, S, P, dx)                cols (N, OH, OW, KH, KW, C) -> dx (N, H, W, C)
    max_pool(x, K, S, y, where)           x -> y (N, OH, OW, C), where (N, OH, OW, C) uint8 or None
    max_pool_backward(dy, where, K, S, dx)
    max_pool_backward_ties(dy, x, y, K, S, dx)
    average_pool(x, K, S, y)
    average_pool_backward(dy, K, S, dx)
    window_sum(x, n, y)                   x (..., C) -> y (..., C)
    box_sum(x, n, y)                      x (N, H, W, C) -> y (N, H, W, C)
    lrn(x, n, k, alpha, beta, y, s)       x (..., C) -> y and s: LocalResponseNorm
    lrn_backward(dy, x, s, n, alpha, beta, dx)
    spatial_norm(x, n, k, alpha, beta, y, s)
                                          x (N, H, W, C) -> y and s: SpatialResponseNorm
    spatial_norm_backward(dy, x, s, n, alpha, beta, dx)
    relu(x, y)                            any shape
    relu_backward(dy, y, dx)
    sum_rows(x, y)                        x (R, F) -> y (F,)
    dropout(x, mask, y)                   y = x * mask, any shape; mask: see `Device.mask`
    sgd_update(w, v, g, lr, momentum, weight_decay)
    finish_crops(pixels, places, mean, shifts, scale, x)     see `Batch`

K = (KH, KW), S = stride, P = (before, after) = zeros around each picture: `before` at its top and
left, `after` at its bottom and right. The shapes say the rest.
"""

from math import ceil as round_up


def output_size(size: int, kernel: int, stride: int, pad: tuple[int, int] = (0, 0),
                ceil: bool = False) -> int:
    """How many windows fit along one side.

    With ceil=False every window lies inside the padded picture. With ceil=True the last one may
    hang over the edge, as long as it starts inside the picture. 0 or less where none fits.
    """
    room = size + sum(pad) - kernel
    if not ceil:
        return room // stride + 1
    count = round_up(room / stride) + 1
    return count - 1 if (count - 1) * stride >= size + pad[0] else count
