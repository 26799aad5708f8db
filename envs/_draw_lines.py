"""Lines over a picture."""

import numpy as np
from jaxtyping import Float, UInt8


def draw_lines(
    image: UInt8[np.ndarray, "height width 3"],
    pixels: Float[np.ndarray, "*lines points 2"],
    color: tuple[int, int, int],
) -> UInt8[np.ndarray, "height width 3"]:
    """Lines over a picture, such as the fan of futures that a planner weighs.

    **Arguments:** the picture; (column, row) along every line, as `Camera.project` gives them (a piece with an end at nan
    is left out); and RGB, 0 to 255.

    **Returns:** a new picture of shape (height, width, 3).
    """
    image = image.copy()
    last = np.array([image.shape[1] - 1, image.shape[0] - 1])
    start, stop = pixels[..., :-1, :].reshape(-1, 2), pixels[..., 1:, :].reshape(-1, 2)
    finite = np.isfinite(start).all(1) & np.isfinite(stop).all(1)
    start, along = start[finite], (stop - start)[finite]
    slope = np.where(along == 0, 1e-12, along)
    bounds = np.stack([(-0.5 - start) / slope, (last + 0.5 - start) / slope])  # where the line enters and leaves the picture
    enter, leave = bounds.min(0).max(1).clip(0), bounds.max(0).min(1).clip(max=1)
    for begin, step, first, final in zip(start, along, enter, leave, strict=True):
        if first <= final:
            major = np.abs(step).argmax()  # one spot per pixel along the longer side leaves no gaps
            low, high = sorted(np.rint(begin[major] + np.array([first, final]) * step[major]))
            part = (np.arange(low, high + 1) - begin[major])[:, None] / (step[major] or 1)
            column, row = np.rint(begin + part * step).astype(int).clip(0, last).T
            image[row, column] = color
    return image
