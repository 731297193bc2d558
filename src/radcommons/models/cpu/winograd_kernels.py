"""The loops of the Winograd convolution F(4x4, 3x3), compiled to machine code; channels are the innermost dimension.

Every 4x4 tile of the output takes a 6x6 tile of the input. With the interpolation points 0, +-a, +-b and infinity,
a^2 = 1/2 and b^2 = 2, the rounding error is a quarter of that of the usual points 0, +-1, +-2 (measured, C = 256).
`scale` is 1, or 2 for an input that is doubled before (`scale` of the gather) and an output that is averaged over
2x2 pixels afterwards (`scale` of the scatter): neither the doubled nor the full-size image ever exists.

Tile rows are counted over the batch: row t is row t % (H / 4) of image t // (H / 4).
Source: Lavin & Gray 2016 (arXiv 1509.09308); the choice of points is ours.
"""

import math

import numpy as np

from radcommons.models.cpu.compiled import inlined, kernel, piece

A = np.float32(math.sqrt(0.5))
B = np.float32(math.sqrt(2.0))
TWO = np.float32(2)
HALF = np.float32(0.5)
FIVE_HALVES = np.float32(2.5)
QUARTER = np.float32(0.25)
ZERO = np.float32(0)


@inlined
def _analyse(
    d0: np.float32, d1: np.float32, d2: np.float32, d3: np.float32, d4: np.float32, d5: np.float32
) -> tuple[np.float32, ...]:
    """B^T d: six pixels in a line, weighed for the six points."""
    e1 = d4 - TWO * d2
    o1 = A * (d3 - TWO * d1)
    e2 = d4 - HALF * d2
    o2 = B * (d3 - HALF * d1)
    return d0 - FIVE_HALVES * d2 + d4, e1 + o1, e1 - o1, e2 + o2, e2 - o2, d1 - FIVE_HALVES * d3 + d5


@inlined
def _analyse_adjoint(
    v0: np.float32, v1: np.float32, v2: np.float32, v3: np.float32, v4: np.float32, v5: np.float32
) -> tuple[np.float32, ...]:
    """B v."""
    s1 = v1 + v2
    s2 = v3 + v4
    f1 = A * (v1 - v2)
    f2 = B * (v3 - v4)
    return (
        v0,
        v5 - TWO * f1 - HALF * f2,
        -FIVE_HALVES * v0 - TWO * s1 - HALF * s2,
        f1 + f2 - FIVE_HALVES * v5,
        v0 + s1 + s2,
        v5,
    )


@inlined
def _synthesise(
    m0: np.float32, m1: np.float32, m2: np.float32, m3: np.float32, m4: np.float32, m5: np.float32
) -> tuple[np.float32, ...]:
    """A^T m: six products to four pixels in a line."""
    s1 = m1 + m2
    s2 = m3 + m4
    f1 = A * (m1 - m2)
    f2 = B * (m3 - m4)
    return m0 + s1 + s2, f1 + f2, HALF * s1 + TWO * s2, HALF * f1 + TWO * f2 + m5


@inlined
def _synthesise_adjoint(y0: np.float32, y1: np.float32, y2: np.float32, y3: np.float32) -> tuple[np.float32, ...]:
    """A y."""
    e1 = y0 + HALF * y2
    o1 = A * (y1 + HALF * y3)
    e2 = y0 + TWO * y2
    o2 = B * (y1 + TWO * y3)
    return y0, e1 + o1, e1 - o1, e2 + o2, e2 - o2, y3


@piece
def _copy(target: np.ndarray, offset: int, source: np.ndarray) -> None:
    inside = target[offset : offset + source.size]
    for e in range(source.size):
        inside[e] = source[e]


@piece
def _clear(target: np.ndarray) -> None:
    for e in range(target.size):
        target[e] = ZERO


@piece
def _analyse_lines(lines: np.ndarray, t: np.ndarray) -> None:
    """Six lines of pixels, (6, E), into t (6, E)."""
    for e in range(lines.shape[1]):
        t[0, e], t[1, e], t[2, e], t[3, e], t[4, e], t[5, e] = _analyse(
            lines[0, e], lines[1, e], lines[2, e], lines[3, e], lines[4, e], lines[5, e]
        )


@piece
def _analyse_pixels(
    t: np.ndarray, q0: int, q1: int, q2: int, q3: int, q4: int, q5: int, v: np.ndarray, k: int, p: int
) -> None:
    """Six pixels of a line t (W, C) into v[k : k + 6, p]."""
    for c in range(v.shape[2]):
        v[k, p, c], v[k + 1, p, c], v[k + 2, p, c], v[k + 3, p, c], v[k + 4, p, c], v[k + 5, p, c] = _analyse(
            t[q0, c], t[q1, c], t[q2, c], t[q3, c], t[q4, c], t[q5, c]
        )


@kernel
def gather(x: np.ndarray, v: np.ndarray, scale: int, first: int, stop: int) -> None:
    """x (N, H / scale, W / scale, C) -> v (36, P, C) of the tile rows first ... stop."""
    rows_of_image = x.shape[1] * scale // 4
    height, width, channels = x.shape[1] * scale, x.shape[2] * scale, x.shape[3]
    shift = scale - 1
    lines = np.zeros((6, (x.shape[2] + 2) * channels), np.float32)  # a pixel of zeros at each end
    t = np.zeros((6, x.shape[2] + 2, channels), np.float32)
    t_lines = t.reshape(6, -1)
    p = 0
    for row in range(first, stop):
        image = x[row // rows_of_image].reshape(x.shape[1], -1)
        top = 4 * (row % rows_of_image) - 1
        for i in range(6):
            if 0 <= top + i < height:
                _copy(lines[i], channels, image[(top + i) >> shift])
            else:
                _clear(lines[i])
        _analyse_lines(lines, t_lines)
        for left in range(0, width, 4):
            q0 = ((left - 1) >> shift) + 1
            q1 = (left >> shift) + 1
            q2 = ((left + 1) >> shift) + 1
            q3 = ((left + 2) >> shift) + 1
            q4 = ((left + 3) >> shift) + 1
            q5 = ((left + 4) >> shift) + 1
            for i in range(6):
                _analyse_pixels(t[i], q0, q1, q2, q3, q4, q5, v, 6 * i, p)
            p += 1


@piece
def _analyse_adjoint_lines(t: np.ndarray, lines: np.ndarray) -> None:
    for e in range(lines.shape[1]):
        lines[0, e], lines[1, e], lines[2, e], lines[3, e], lines[4, e], lines[5, e] = _analyse_adjoint(
            t[0, e], t[1, e], t[2, e], t[3, e], t[4, e], t[5, e]
        )


@piece
def _analyse_adjoint_pixels(v: np.ndarray, k: int, p: int, u: np.ndarray) -> None:
    for c in range(v.shape[2]):
        u[0, c], u[1, c], u[2, c], u[3, c], u[4, c], u[5, c] = _analyse_adjoint(
            v[k, p, c], v[k + 1, p, c], v[k + 2, p, c], v[k + 3, p, c], v[k + 4, p, c], v[k + 5, p, c]
        )


@piece
def _add(target: np.ndarray, source: np.ndarray) -> None:
    for e in range(target.size):
        target[e] += source[e]


@kernel
def gather_adjoint(v: np.ndarray, x: np.ndarray, scale: int, first: int, stop: int) -> None:
    """Adds the adjoint of `gather` to x, which the caller has set to zero."""
    rows_of_image = x.shape[1] * scale // 4
    height, width, channels = x.shape[1] * scale, x.shape[2] * scale, x.shape[3]
    shift = scale - 1
    u = np.zeros((6, channels), np.float32)
    t = np.zeros((6, x.shape[2] + 2, channels), np.float32)
    t_lines = t.reshape(6, -1)
    lines = np.zeros((6, (x.shape[2] + 2) * channels), np.float32)
    p = 0
    for row in range(first, stop):
        image = x[row // rows_of_image].reshape(x.shape[1], -1)
        top = 4 * (row % rows_of_image) - 1
        _clear(t.reshape(-1))
        for left in range(0, width, 4):
            for i in range(6):
                _analyse_adjoint_pixels(v, 6 * i, p, u)
                for j in range(6):
                    _add(t[i, ((left + j - 1) >> shift) + 1], u[j])
            p += 1
        _analyse_adjoint_lines(t_lines, lines)
        for i in range(6):
            if 0 <= top + i < height:
                _add(image[(top + i) >> shift], lines[i][channels:-channels])


@kernel
def scatter(m: np.ndarray, bias: np.ndarray, y: np.ndarray, scale: int, first: int, stop: int) -> None:
    """m (36, P, C) -> y (N, H / scale, W / scale, C), plus bias (C,), in the tile rows first ... stop."""
    rows_of_image = y.shape[1] * scale // 4
    tiles = y.shape[2] * scale // 4
    channels = y.shape[3]
    t = np.empty((4, 6, channels), np.float32)
    p = 0
    for row in range(first, stop):
        image = y[row // rows_of_image]
        top = (4 // scale) * (row % rows_of_image)
        for tile in range(tiles):
            left = (4 // scale) * tile
            for j in range(6):
                for c in range(channels):
                    t[0, j, c], t[1, j, c], t[2, j, c], t[3, j, c] = _synthesise(
                        m[j, p, c], m[6 + j, p, c], m[12 + j, p, c], m[18 + j, p, c], m[24 + j, p, c], m[30 + j, p, c]
                    )
            if scale == 1:
                for i in range(4):
                    out = image[top + i]
                    for c in range(channels):
                        y0, y1, y2, y3 = _synthesise(
                            t[i, 0, c], t[i, 1, c], t[i, 2, c], t[i, 3, c], t[i, 4, c], t[i, 5, c]
                        )
                        b = bias[c]
                        out[left, c] = y0 + b
                        out[left + 1, c] = y1 + b
                        out[left + 2, c] = y2 + b
                        out[left + 3, c] = y3 + b
            else:
                for i in range(2):
                    out = image[top + i]
                    for c in range(channels):
                        y0, y1, y2, y3 = _synthesise(
                            t[2 * i, 0, c] + t[2 * i + 1, 0, c],
                            t[2 * i, 1, c] + t[2 * i + 1, 1, c],
                            t[2 * i, 2, c] + t[2 * i + 1, 2, c],
                            t[2 * i, 3, c] + t[2 * i + 1, 3, c],
                            t[2 * i, 4, c] + t[2 * i + 1, 4, c],
                            t[2 * i, 5, c] + t[2 * i + 1, 5, c],
                        )
                        b = bias[c]
                        out[left, c] = QUARTER * (y0 + y1) + b
                        out[left + 1, c] = QUARTER * (y2 + y3) + b
            p += 1


@kernel
def scatter_adjoint(g: np.ndarray, m: np.ndarray, scale: int, first: int, stop: int) -> None:
    """g (N, H / scale, W / scale, C) -> m (36, P, C), the adjoint of `scatter` without bias."""
    rows_of_image = g.shape[1] * scale // 4
    tiles = g.shape[2] * scale // 4
    channels = g.shape[3]
    t = np.empty((6, 4, channels), np.float32)
    p = 0
    for row in range(first, stop):
        image = g[row // rows_of_image]
        top = (4 // scale) * (row % rows_of_image)
        for tile in range(tiles):
            left = (4 // scale) * tile
            if scale == 1:
                for j in range(4):
                    for c in range(channels):
                        t[0, j, c], t[1, j, c], t[2, j, c], t[3, j, c], t[4, j, c], t[5, j, c] = _synthesise_adjoint(
                            image[top, left + j, c],
                            image[top + 1, left + j, c],
                            image[top + 2, left + j, c],
                            image[top + 3, left + j, c],
                        )
            else:
                for j in range(4):
                    for c in range(channels):
                        upper = QUARTER * image[top, left + j // 2, c]
                        lower = QUARTER * image[top + 1, left + j // 2, c]
                        t[0, j, c], t[1, j, c], t[2, j, c], t[3, j, c], t[4, j, c], t[5, j, c] = _synthesise_adjoint(
                            upper, upper, lower, lower
                        )
            for i in range(6):
                k = 6 * i
                for c in range(channels):
                    m[k, p, c], m[k + 1, p, c], m[k + 2, p, c], m[k + 3, p, c], m[k + 4, p, c], m[k + 5, p, c] = (
                        _synthesise_adjoint(t[i, 0, c], t[i, 1, c], t[i, 2, c], t[i, 3, c])
                    )
            p += 1
