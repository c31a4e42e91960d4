"""Rendered street scenes in CamVid's format, each with a label image that is exact to the pixel.

``render(seed)`` draws a street with left-hand traffic from the driver's seat: cars, vans and buses, people, houses,
trees and street furniture. Everything has a place in metres and is seen through a pinhole camera. It is painted from
far to near on one canvas at three times the final size. The canvas has four channels, RGB and the label. Every brush
fills all four at once, so colour and label cannot disagree. The image is the mean of each 3×3 samples of the canvas,
the label is the sample at the centre.

``python -m data.render_street`` writes the three sample scenes to ``data/sample``. The renderer does not copy CamVid's
frames. It has no rain, no night, and no view from anywhere but a car.
"""

from data.render_street.scene import render

SAMPLE_SEEDS = {"street_1": 404, "street_2": 523, "street_3": 405}  # never train on these

__all__ = ["SAMPLE_SEEDS", "render"]
