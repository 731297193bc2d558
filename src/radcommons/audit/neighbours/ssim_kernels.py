"""The loops of the SSIM search, compiled: maps of one image, blocks of SSIM of one pair, the scan with early exit.

An image of side R has W = R - 6 windows a side. Its windows fall into 8 bands of rows times 4 parts of columns; a
block's SSIM is the sum over its windows divided by W^2, so that blocks add up to the SSIM of the pair. Maps are rows of
R x R numbers laid end to end; past column W they hold harmless numbers that count with weight 0.

Grey levels are taken as (x - 128) / 256: box sums of products are then whole multiples of 2^-16 below 2^24, exact in
float32, and covariance does not change with the shift. Indices are unsigned where a loop is to be vectorised, since
NumPy's negative indices would cost a branch.
Source: Wang et al. 2004, with the choices of scikit-image's structural_similarity (7 x 7 windows, sample covariance).
"""

import math

import numpy as np

from radcommons.models.cpu.compiled import kernel, piece

BANDS = 8
PARTS = 4
BLOCKS = PARTS * BANDS
WINDOW = 7
MAPS = 3  # grey level, mean, variance
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
# Luminance is counted 49 times and (co)variance 24 times, as the sums come.
LUMINANCE = np.float32(49 * C1 / 65536)
MIDDLE = np.float32(3.5)  # 7 * 128 / 256, what a mean lacks after the shift of grey levels
CONTRAST = np.float32(24 * C2 / 65536)
ZERO = np.float32(0)
CHUNK = 256  # windows
U1, U2, U3, U6, U7 = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(6), np.uint64(7)

# Most that a float32 score may differ from the true one. A window's covariance sum is at most 49/4; its product of
# means is rounded three times and the difference twice: 5 * 2^-24 * 49/4, over a denominator of at least 24 C2 / 256^2,
# is 1.7e-4. The difference of means adds 1.2e-5 at most, the quotient 1e-6, the sum over chunks of windows 4.6e-5 at a
# side of 1024.
ERROR = 3e-4


@piece
def band_start(band: int, windows: int) -> int:
    """The first row of windows of a band: even, so that rows can be taken in pairs."""
    return windows if band == BANDS else windows * band // BANDS // 2 * 2


@kernel
def describe(images: np.ndarray, maps: np.ndarray) -> None:
    """Images uint8 (n, R, R) -> maps float32 (n, 3 R R): grey level, 7 * mean, 24 variance + 12 C2."""
    side = images.shape[1]
    pixels = side * side
    windows = side - WINDOW + 1
    sums = np.zeros(side, np.int64)
    squares = np.zeros(side, np.int64)
    for n in range(images.shape[0]):
        image, out = images[n], maps[n]
        out[:pixels] = ZERO
        out[pixels : 2 * pixels] = ZERO
        out[2 * pixels :] = np.float32(1)
        sums[:] = 0
        squares[:] = 0
        for r in range(side):
            for c in range(side):
                level = np.int64(image[r, c]) - 128
                out[r * side + c] = np.float32(level / 256)
                sums[c] += level
                squares[c] += level * level
                if r >= WINDOW:
                    gone = np.int64(image[r - WINDOW, c]) - 128
                    sums[c] -= gone
                    squares[c] -= gone * gone
            if r < WINDOW - 1:
                continue
            for c in range(windows):
                total = 0
                square = 0
                for k in range(WINDOW):
                    total += sums[c + k]
                    square += squares[c + k]
                i = pixels + (r - WINDOW + 1) * side + c
                out[i] = np.float32(total / (7 * 256))
                out[i + pixels] = np.float32((49 * square - total * total + 49 * 24 * C2) / (98 * 65536))


@kernel
def exact_blocks(x: np.ndarray, y: np.ndarray, blocks: np.ndarray) -> None:
    """The blocks of SSIM (32,) of two images uint8 (R, R), in float64 from whole-number sums."""
    side = x.shape[0]
    windows = side - WINDOW + 1
    sums = np.zeros((5, side), np.int64)
    blocks[:] = 0
    band = 0
    for r in range(side):
        for c in range(side):
            a, b = np.int64(x[r, c]), np.int64(y[r, c])
            sums[0, c] += a
            sums[1, c] += b
            sums[2, c] += a * a
            sums[3, c] += b * b
            sums[4, c] += a * b
            if r >= WINDOW:
                a, b = np.int64(x[r - WINDOW, c]), np.int64(y[r - WINDOW, c])
                sums[0, c] -= a
                sums[1, c] -= b
                sums[2, c] -= a * a
                sums[3, c] -= b * b
                sums[4, c] -= a * b
        if r < WINDOW - 1:
            continue
        while r - WINDOW + 1 >= band_start(band + 1, windows):
            band += 1
        sx, sy, xx, yy, xy = 0, 0, 0, 0, 0
        for c in range(side):
            sx += sums[0, c]
            sy += sums[1, c]
            xx += sums[2, c]
            yy += sums[3, c]
            xy += sums[4, c]
            if c < WINDOW - 1:
                continue
            first = c - WINDOW + 1
            luminance = (2 * sx * sy + 2401 * C1) / (sx * sx + sy * sy + 2401 * C1)
            variances = (49 * xx - sx * sx) + (49 * yy - sy * sy)
            structure = (2 * (49 * xy - sx * sy) + 2352 * C2) / (variances + 2352 * C2)
            blocks[PARTS * band + PARTS * first // side] += luminance * structure
            sx -= sums[0, first]
            sy -= sums[1, first]
            xx -= sums[2, first]
            yy -= sums[3, first]
            xy -= sums[4, first]
    for block in range(BLOCKS):
        blocks[block] /= windows * windows


@kernel
def exact_table(images: np.ndarray, table: np.ndarray) -> None:
    """Blocks of SSIM of all pairs of images uint8 (n, R, R), exactly: table float64 (32, n, n)."""
    blocks = np.zeros(BLOCKS, np.float64)
    for i in range(images.shape[0]):
        for j in range(i + 1):
            exact_blocks(images[i], images[j], blocks)
            for b in range(BLOCKS):
                table[b, i, j] = blocks[b]
                table[b, j, i] = blocks[b]


@piece
def _first_columns(x: np.ndarray, y: np.ndarray, side: int, columns: np.ndarray) -> None:
    for c in range(np.uint64(side)):
        columns[c] = ZERO
    for r in range(np.uint64(WINDOW)):
        k = r * np.uint64(side)
        for c in range(np.uint64(side)):
            columns[c] += x[k + c] * y[k + c]


@piece
def _next_columns(x: np.ndarray, y: np.ndarray, side: int, first: int, stop: int, columns: np.ndarray) -> None:
    """Sums of the product image over seven rows, from the sums one row higher."""
    for row in range(first, stop):
        k = np.uint64((row - 1) * side)
        here = k + np.uint64(side)
        entering = k + U7 * np.uint64(side)
        for c in range(np.uint64(side)):
            columns[here + c] = columns[k + c] + x[entering + c] * y[entering + c] - x[k + c] * y[k + c]


@piece
def _triples(columns: np.ndarray, begin: int, end: int, triples: np.ndarray) -> None:
    k = np.uint64(begin)
    for c in range(np.uint64(end - begin)):
        i = k + c
        triples[i] = columns[i] + columns[i + U1] + columns[i + U2]


@piece
def _window_pairs(
    columns: np.ndarray,
    triples: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    first: int,
    stop: int,
    side: int,
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Sum of SSIM over the windows of each part, in an even number of rows from `first`.

    A window shares its division with the one half the rows below: p / q + s / t = (p t + s q) / (q t).
    """
    mean = np.uint64(side * side)
    spread = mean + mean
    start = np.uint64(first * side)
    count = (stop - first) // 2 * side
    below = np.uint64(count)
    sum_0, sum_1, sum_2, sum_3 = ZERO, ZERO, ZERO, ZERO
    for chunk in range(0, count, CHUNK):
        part_0, part_1, part_2, part_3 = ZERO, ZERO, ZERO, ZERO  # rounding does not grow with the area, chunk by chunk
        begin = np.uint64(chunk)
        for c in range(np.uint64(min(CHUNK, count - chunk))):
            i = start + begin + c
            j = i + below
            # 2 mx my + C1 = (mx^2 + my^2 + C1) - (mx - my)^2
            x_i, y_i, x_j, y_j = x[mean + i], y[mean + i], x[mean + j], y[mean + j]
            light_i = (x_i + MIDDLE) * (x_i + MIDDLE) + (y_i + MIDDLE) * (y_i + MIDDLE) + LUMINANCE
            light_j = (x_j + MIDDLE) * (x_j + MIDDLE) + (y_j + MIDDLE) * (y_j + MIDDLE) + LUMINANCE
            product_i = triples[i] + triples[i + U3] + columns[i + U6]
            product_j = triples[j] + triples[j + U3] + columns[j + U6]
            p = (light_i - (x_i - y_i) * (x_i - y_i)) * (product_i - x_i * y_i + CONTRAST)
            s = (light_j - (x_j - y_j) * (x_j - y_j)) * (product_j - x_j * y_j + CONTRAST)
            q = light_i * (x[spread + i] + y[spread + i])
            t = light_j * (x[spread + j] + y[spread + j])
            both = (p * t + s * q) / (q * t)
            part_0 += weights[begin + c] * both
            part_1 += weights[mean + begin + c] * both
            part_2 += weights[spread + begin + c] * both
            part_3 += weights[spread + mean + begin + c] * both
        sum_0 += part_0
        sum_1 += part_1
        sum_2 += part_2
        sum_3 += part_3
    return sum_0, sum_1, sum_2, sum_3


@piece
def _row(
    columns: np.ndarray, triples: np.ndarray, x: np.ndarray, y: np.ndarray, weights: np.ndarray, row: int, side: int
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """The same for one row, where their number is odd."""
    pixels = side * side
    sum_0, sum_1, sum_2, sum_3 = ZERO, ZERO, ZERO, ZERO
    for c in range(side):
        i = row * side + c
        x_i, y_i = x[pixels + i], y[pixels + i]
        light = (x_i + MIDDLE) * (x_i + MIDDLE) + (y_i + MIDDLE) * (y_i + MIDDLE) + LUMINANCE
        covariance = triples[i] + triples[i + 3] + columns[i + 6] - x_i * y_i + CONTRAST
        spread = x[2 * pixels + i] + y[2 * pixels + i]
        ssim = (light - (x_i - y_i) * (x_i - y_i)) * covariance / (light * spread)
        sum_0 += weights[c] * ssim
        sum_1 += weights[pixels + c] * ssim
        sum_2 += weights[2 * pixels + c] * ssim
        sum_3 += weights[3 * pixels + c] * ssim
    return sum_0, sum_1, sum_2, sum_3


@piece
def _band(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    side: int,
    columns: np.ndarray,
    triples: np.ndarray,
    band: int,
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """The sums of a band's four blocks, from maps (3 R R,) of two images; bands are asked for in order."""
    windows = side - WINDOW + 1
    first, stop = band_start(band, windows), band_start(band + 1, windows)
    if band == 0:
        _first_columns(x, y, side, columns)
    _next_columns(x, y, side, max(first, 1), stop, columns)
    _triples(columns, first * side, stop * side, triples)
    sum_0, sum_1, sum_2, sum_3 = _window_pairs(columns, triples, x, y, weights, first, stop, side)
    if (stop - first) % 2:
        more_0, more_1, more_2, more_3 = _row(columns, triples, x, y, weights, stop - 1, side)
        return sum_0 + more_0, sum_1 + more_1, sum_2 + more_2, sum_3 + more_3
    return sum_0, sum_1, sum_2, sum_3


@kernel
def block_table(x: np.ndarray, y: np.ndarray, weights: np.ndarray, tile: int, table: np.ndarray) -> None:
    """Maps (n, 3 R R) and (m, 3 R R) -> blocks of SSIM, float32 (32, n, m); `tile` images of y stay in the cache."""
    side = int(math.sqrt(weights.size // PARTS))
    columns = np.zeros(side * side + 16, np.float32)
    triples = np.zeros(side * side + 16, np.float32)
    share = np.float32(1 / (side - WINDOW + 1) ** 2)
    for begin in range(0, y.shape[0], tile):
        for i in range(x.shape[0]):
            for j in range(begin, min(begin + tile, y.shape[0])):
                for band in range(BANDS):
                    sums = _band(x[i], y[j], weights, side, columns, triples, band)
                    for part in range(PARTS):
                        table[PARTS * band + part, i, j] = sums[part] * share


@piece
def _insert(scores: np.ndarray, rows: np.ndarray, score: float, row: int) -> None:
    """Put a row into a list that is sorted best first and, among equals, lower row first; the last drops out."""
    place = scores.size
    while place > 0 and (score > scores[place - 1] or (score == scores[place - 1] and row < rows[place - 1])):
        place -= 1
    for p in range(scores.size - 1, place, -1):
        scores[p] = scores[p - 1]
        rows[p] = rows[p - 1]
    if place < scores.size:
        scores[place] = score
        rows[place] = row


@kernel
def scan(
    x: np.ndarray,
    y: np.ndarray,
    x_images: np.ndarray,
    y_images: np.ndarray,
    weights: np.ndarray,
    most: np.ndarray,
    seeds: np.ndarray,
    first_row: int,
    tile: int,
    scores: np.ndarray,
    rows: np.ndarray,
) -> int:
    """Find better neighbours of n queries among m references; returns how many pairs were looked at.

    Args:
        x, y: maps (n, 3 R R) and (m, 3 R R); x_images, y_images: the uint8 images themselves.
        weights: float32 (4 R R,), 1 for the windows of each part.
        most: float32 (8, n, m), the most that the bands from this one on can add to the SSIM. Changed.
        seeds: (n, s) places in y to look at first.
        first_row: the row number of y's first image; tile: how many references stay in the cache.
        scores, rows: (n, k), best so far, float64 and int64. Changed.
    """
    side = int(math.sqrt(weights.size // PARTS))
    columns = np.zeros(side * side + 16, np.float32)
    triples = np.zeros(side * side + 16, np.float32)
    exact = np.zeros(BLOCKS, np.float64)
    share = 1 / (side - WINDOW + 1) ** 2
    last = scores.shape[1] - 1
    looked_at = 0
    tiles = (y.shape[0] + tile - 1) // tile
    for step in range(-1, tiles):  # the seeds, then all in tiles
        for i in range(x.shape[0]):
            begin, end = (0, seeds.shape[1]) if step < 0 else (step * tile, min((step + 1) * tile, y.shape[0]))
            for place in range(begin, end):
                j = seeds[i, place] if step < 0 else place
                if most[0, i, j] < scores[i, last]:
                    continue
                looked_at += 1
                total = 0.0
                reachable = True
                for band in range(BANDS):
                    sums = _band(x[i], y[j], weights, side, columns, triples, band)
                    total += share * float(sums[0] + sums[1] + sums[2] + sums[3])
                    rest = most[band + 1, i, j] if band + 1 < BANDS else ZERO
                    if total + ERROR + rest < scores[i, last]:
                        reachable = False
                        break
                if reachable:
                    exact_blocks(x_images[i], y_images[j], exact)
                    _insert(scores[i], rows[i], exact.sum(), first_row + j)
                most[0, i, j] = np.float32(-9)  # done: an SSIM is never below -1
    return looked_at
