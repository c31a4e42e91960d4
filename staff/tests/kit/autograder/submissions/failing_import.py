"""A package that is not there, used in one function, and a line that fails at the top."""

import numpy_for_street_scenes as nps

assert len([]) == 1, "left over from trying things out"


def apply_mask_to_image(image, mask):
    return nps.paint(image, mask)
