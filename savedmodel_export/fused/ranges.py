"""What is quantized to which range: chosen by the error of the product's answers.

A few channels of a ViT's tokens are far larger than the others. A range for the
largest leaves few steps to the rest, so values beyond the chosen one are cut, and
channels are evened out before (SmoothQuant, arXiv:2211.10438): divided by a scale that
the weights behind take back.
"""

import numpy as np

from savedmodel_export.fused.int8 import kernel_maxima, steps_of

# How much of the channels' unevenness goes into the weights; `None`: no scales.
STRENGTHS = (None, 0.3, 0.5, 0.7, 0.85)
# Ranges that are tried, as shares of the largest value.
SHARES = (1.0, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05)


def choose(rows, channel_maxima, kernel, can_scale):
    """Chooses scales and range of a product's inputs by its error on sample rows.

    Args:
        rows: float array `(num_rows, width)`, inputs that were seen.
        channel_maxima: float array `(width,)`, largest sizes ever seen.
        kernel: float array `(width, outputs)`.
        can_scale: bool. Whether what stands in front can take scales.

    Returns:
        `(scales, maximum, error)`: the inputs are divided by `scales` `(width,)`, the
        kernel's rows multiplied; `maximum` is of the scaled inputs; `error` is the
        squared error of the answers over their squared size.
    """
    exact = rows @ kernel
    best = (None, None, np.inf)
    for strength in STRENGTHS if can_scale else (None,):
        scales = smoothing_scales(channel_maxima, kernel, strength)
        scaled, scaled_kernel = rows / scales, kernel * scales[:, np.newaxis]
        maxima = kernel_maxima(scaled_kernel)
        weights = steps_of(scaled_kernel, maxima) * (maxima / 127)
        largest = (channel_maxima / scales).max()
        errors = []
        for share in SHARES:
            maximum = largest * share
            steps = steps_of(scaled, maximum) * (maximum / 127)
            error = np.square(steps @ weights - exact).sum()
            errors.append(error)
            if error < best[2]:
                best = (scales, float(maximum), float(error))
            if error > 2 * min(errors):
                break  # It only grows from here.
    scales, maximum, error = best
    return scales, maximum, error / max(float(np.square(exact).sum()), 1e-30)


def smoothing_scales(channel_maxima, kernel, strength):
    """Returns float array, a scale per input channel; 1 where nothing passes."""
    scales = np.ones_like(channel_maxima)
    if strength is None:
        return scales
    weights = np.abs(kernel).max(1)
    live = (channel_maxima > 0) & (weights > 0)
    scales[live] = channel_maxima[live] ** strength / weights[live] ** (1 - strength)
    # Only ratios matter; near 1 they stay far from the ends of the number format.
    scales[live] /= np.exp(np.log(scales[live]).mean())
    return scales
