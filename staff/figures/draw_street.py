"""Draw the README's picture, `staff/figures/street.png`: a CamVid frame, its true mask, the predicted one, the errors.

Needs the test frames (`make data`). README.md names the frame's source, Brostow et al.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import student_code
import utils
from staff import ROOT
from staff.files import replace

PICTURE = ROOT / "staff" / "figures" / "street.png"
FRAME = "Seq05VD_f04110"


def main() -> None:
    """Draw the picture, or say which frame is missing."""
    dataset = student_code.create_vis_dataset()
    if FRAME not in dataset.names:
        raise SystemExit(f"{FRAME} is not among {', '.join(dataset.names)}: run `make data` first.")
    image, mask = dataset[dataset.names.index(FRAME)]
    predicted = utils.predict_mask(student_code.load_FPN_resnet50(), image, utils.get_preprocessing_fn("resnet50"))
    utils.show_prediction(image, mask, predicted)
    replace(PICTURE, lambda part: plt.gcf().savefig(part, format="png", dpi=75, metadata={"Software": None}))
    print(PICTURE)


if __name__ == "__main__":
    main()
