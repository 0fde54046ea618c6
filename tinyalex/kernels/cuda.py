"""The code of the kernels for a GPU, in CUDA.

A GPU runs thousands of threads, each of which computes one number, or a few. So every kernel here
says how one element of its output is computed, and where to look for what it needs: it gathers. If
threads scattered instead, they would have to add to the same element at the same time, in an order
that chance decides, and sums would differ from run to run.

In the code of a kernel `i` is the number of the element, `T` the type of the arrays, `Index` a type
for whole numbers that is large enough. All names in capitals are constants: they are built into the
code, so that the compiler turns divisions, at which a GPU is slow, into multiplications. It is
compiled when it is first called with these constants; CuPy keeps what it compiled in ~/.cupy.

CuPy is imported by the first call, so the code can be read, and tested as C++, without a GPU.
"""

from dataclasses import dataclass
from functools import cache

LARGE = 1 << 31  # from this many elements on, an Index has 64 bits; below, 32, which is much faster


@dataclass(frozen=True)
class Kernel:
    """The code of a kernel. reads, writes: its arrays ("raw", since it says itself which element it
    wants) and the real numbers that it is given; what it writes it may also have read."""

    reads: str
    writes: str
    code: str

    def __call__(self, count: int, *args, **constants: int):
        """Compute elements 0 to count - 1. args: as in `reads`, then as in `writes`."""
        largest = max(count, *(a.size for a in args if hasattr(a, "size")))
        index = "int" if largest < LARGE else "long long"
        _compiled(self, index, tuple(constants.items()))(*args, size=count)


@cache
def _compiled(kernel: Kernel, index: str, constants: tuple[tuple[str, int], ...]):
    import cupy

    name = next(name for name, known in KERNELS.items() if known is kernel)
    numbers = "".join(f"const Index {key} = {value}; " for key, value in constants)
    return cupy.ElementwiseKernel(kernel.reads, kernel.writes, kernel.code, f"tinyalex_{name}",
                                  preamble=f"typedef {index} Index;", loop_prep=numbers)


def _over_windows(body: str) -> str:
    """Code that adds up dx[i] over the windows that see this pixel: `at` is the place of each in
    what was pooled, and in its gradient."""
    return """
        Index q = i, c = q % C, w = q / C % W, h = q / (C * W) % H, n = q / (C * W * H);
        Index oh0 = h < KH ? 0 : (h - KH) / S + 1, oh1 = min(h / S, OH - 1);
        Index ow0 = w < KW ? 0 : (w - KW) / S + 1, ow1 = min(w / S, OW - 1);
        T sum = 0;
        for (Index oh = oh0; oh <= oh1; ++oh)
            for (Index ow = ow0; ow <= ow1; ++ow) {
                Index at = ((n * OH + oh) * OW + ow) * C + c;""" + body + """            }
        dx[i] = sum;
    """


KERNELS = {
    # cols[n, oh, ow, kh, kw, c] = x[n, oh·S + kh − P, ow·S + kw − P, c], or 0 outside the picture.
    # The KW·C numbers of a kernel row are contiguous in x too: r counts through both.
    "im2col": Kernel("raw T x", "raw T cols", """
        Index q = i, r = q % (KW * C);
        Index kh = q / (KW * C) % KH, place = q / (KW * C * KH);
        Index ow = place % OW, oh = place / OW % OH, n = place / (OW * OH);
        Index h = oh * S + kh - P, at = (ow * S - P) * C + r;
        bool inside = 0 <= h && h < H && 0 <= at && at < W * C;
        cols[i] = inside ? x[(n * H + h) * (W * C) + at] : T(0);
    """),

    # dx[n, h, w, c] = the sum of cols[n, oh, ow, kh, kw, c] over all windows (oh, ow) that see the
    # pixel: kh = h + P − oh·S from 0 to KH − 1, kw likewise.
    "col2im": Kernel("raw T cols", "raw T dx", """
        Index q = i, c = q % C, w = q / C % W + P, h = q / (C * W) % H + P, n = q / (C * W * H);
        Index oh0 = h < KH ? 0 : (h - KH) / S + 1, oh1 = min(h / S, OH - 1);
        Index ow0 = w < KW ? 0 : (w - KW) / S + 1, ow1 = min(w / S, OW - 1);
        T sum = 0;
        for (Index oh = oh0; oh <= oh1; ++oh)
            for (Index ow = ow0; ow <= ow1; ++ow) {
                Index place = (n * OH + oh) * OW + ow, kh = h - oh * S, kw = w - ow * S;
                sum += cols[((place * KH + kh) * KW + kw) * C + c];
            }
        dx[i] = sum;
    """),

    # y[n, oh, ow, c] = the largest x[n, oh·S + kh, ow·S + kw, c]; where = kh·KW + kw, the first.
    # NaN is larger than all numbers, and of several NaN the last one counts.
    "max_pool": Kernel("raw T x", "raw T y, raw uint8 where", """
        Index q = i, c = q % C, ow = q / C % OW, oh = q / (C * OW) % OH, n = q / (C * OW * OH);
        Index h0 = oh * S, w0 = ow * S, place = 0;
        T best = x[((n * H + h0) * W + w0) * C + c];
        for (Index kh = 0; kh < KH && h0 + kh < H; ++kh)
            for (Index kw = 0; kw < KW && w0 + kw < W; ++kw) {
                T one = x[((n * H + h0 + kh) * W + w0 + kw) * C + c];
                if (one > best || one != one) {
                    best = one;
                    place = kh * KW + kw;
                }
            }
        y[i] = best;
        if (STORE) where[i] = place;
    """),

    # dx[n, h, w, c] = the sum of dy over the windows whose largest pixel was this one.
    "max_pool_backward": Kernel("raw T dy, raw uint8 where", "raw T dx", _over_windows("""
        if (where[at] == (h - oh * S) * KW + w - ow * S) sum += dy[at];
    """)),

    # The same, for every pixel that equals the largest.
    "max_pool_backward_ties": Kernel("raw T dy, raw T x, raw T y", "raw T dx", _over_windows("""
        if (y[at] == x[i]) sum += dy[at];
    """)),

    # y[n, oh, ow, c] = the mean of x[n, oh·S + kh, ow·S + kw, c] over the pixels in the picture.
    "average_pool": Kernel("raw T x", "raw T y", """
        Index q = i, c = q % C, ow = q / C % OW, oh = q / (C * OW) % OH, n = q / (C * OW * OH);
        Index h0 = oh * S, w0 = ow * S, h1 = min(h0 + KH, H), w1 = min(w0 + KW, W);
        T sum = 0;
        for (Index h = h0; h < h1; ++h)
            for (Index w = w0; w < w1; ++w) sum += x[((n * H + h) * W + w) * C + c];
        y[i] = sum / ((h1 - h0) * (w1 - w0));
    """),

    # dx[n, h, w, c] = the sum of dy / (the window's pixels) over the windows that see the pixel.
    "average_pool_backward": Kernel("raw T dy", "raw T dx", _over_windows("""
        Index high = min(KH, H - oh * S), wide = min(KW, W - ow * S);
        sum += dy[at] / (high * wide);
    """)),

    # y[..., c] = the sum of x[..., j] over |j − c| <= NEAR
    "window_sum": Kernel("raw T x", "raw T y", """
        Index q = i, c = q % C;
        T sum = 0;
        for (Index j = max(c - NEAR, Index(0)); j <= min(c + NEAR, C - 1); ++j) sum += x[q + j - c];
        y[i] = sum;
    """),

    # y[n, h, w, c] = the sum of x over the pixels at most NEAR rows and NEAR columns away
    "box_sum": Kernel("raw T x", "raw T y", """
        Index q = i, c = q % C, w = q / C % W, h = q / (C * W) % H, n = q / (C * W * H);
        Index h1 = min(h + NEAR, H - 1), w0 = max(w - NEAR, Index(0)), w1 = min(w + NEAR, W - 1);
        T sum = 0;
        for (Index j = max(h - NEAR, Index(0)); j <= h1; ++j)
            for (Index k = w0; k <= w1; ++k) sum += x[((n * H + j) * W + k) * C + c];
        y[i] = sum;
    """),

    # s = k + alpha · Σ x_j² over |j − c| <= NEAR;  y = x · s^−beta.  ROOTS: beta is 0.75, and
    # s^−0.75 = (s^−0.5)² · s^0.25 takes two reciprocal roots instead of a power.
    "lrn": Kernel("raw T x, T k, T alpha, T beta", "raw T y, raw T s", """
        Index q = i, c = q % C;
        T sum = 0;
        for (Index j = max(c - NEAR, Index(0)); j <= min(c + NEAR, C - 1); ++j) {
            T one = x[q + j - c];
            sum += one * one;
        }
        T scale = k + alpha * sum, root = rsqrt(scale);
        y[i] = x[i] * (ROOTS ? root * root * rsqrt(root) : pow(scale, -beta));
        s[i] = scale;
    """),

    # dx = dy · s^−beta − 2·alpha·beta · x · Σ dy_j · x_j · s_j^−beta / s_j, |j − c| <= NEAR
    "lrn_backward": Kernel("raw T dy, raw T x, raw T s, T alpha, T beta", "raw T dx", """
        Index q = i, c = q % C;
        T direct = 0, through = 0;
        for (Index j = max(c - NEAR, Index(0)); j <= min(c + NEAR, C - 1); ++j) {
            Index at = q + j - c;
            T scale = s[at], root = rsqrt(scale);
            T one = dy[at] * (ROOTS ? root * root * rsqrt(root) : pow(scale, -beta));
            through += one * x[at] / scale;
            if (j == c) direct = one;
        }
        dx[i] = direct - 2 * alpha * beta * x[i] * through;
    """),

    "relu": Kernel("raw T x", "raw T y", "y[i] = x[i] <= 0 ? T(0) : x[i];"),

    "relu_backward": Kernel("raw T dy, raw T y", "raw T dx", "dx[i] = y[i] <= 0 ? T(0) : dy[i];"),

    # y[p, f] = the sum of x[r, f] over the rows r from p·ROWS to (p + 1)·ROWS − 1
    "sum_rows": Kernel("raw T x, int64 rows", "raw T y", """
        Index q = i, f = q % F, first = q / F * ROWS, last = min(first + ROWS, Index(rows));
        T sum = 0;
        for (Index r = first; r < last; ++r) sum += x[r * F + f];
        y[i] = sum;
    """),

    # y = x · the bit. The first of eight elements has the highest bit of a byte.
    "dropout": Kernel("raw T x, raw uint8 bits", "raw T y",
                      "y[i] = x[i] * T(bits[i / 8] >> (7 - i % 8) & 1);"),

    # v ← momentum·v − weight_decay·lr·w − lr·g, then w ← w + v
    "sgd_update": Kernel("raw T g, T lr, T momentum, T decay", "raw T w, raw T v", """
        v[i] = momentum * v[i] - decay * lr * w[i] - lr * g[i];
        w[i] += v[i];
    """),

    # x[n, h, w, c] = (pixel − mean + shifts[n, c]) · scale. places[n] = (top, left: the part of the
    # mean picture, whether that is mirrored, whether the pixels are).
    "finish_crops": Kernel("raw uint8 pixels, raw int32 places, raw T mean, raw T shifts, T scale",
                           "raw T x", """
        Index q = i, c = q % 3, w = q / 3 % SIDE, h = q / (3 * SIDE) % SIDE;
        Index n = q / (3 * SIDE * SIDE), back = SIDE - 1 - w, row = places[4 * n] + h;
        Index column = places[4 * n + 1] + (places[4 * n + 2] ? back : w);
        T pixel = pixels[((n * SIDE + h) * SIDE + (places[4 * n + 3] ? back : w)) * 3 + c];
        x[i] = (pixel - mean[(row * WIDTH + column) * 3 + c] + shifts[3 * n + c]) * scale;
    """),
}
