"""Draw the training curves of the shipped weights: `python -m staff.training.curves [RUNS]`.

With RUNS, each model of which all stages are finished there replaces its rows in `staff/training/curves.csv`; the
hours of its stages are added up. Draws loss and val IoU against hours as `staff/training/curves.png`. Without RUNS,
draws the existing CSV.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

from staff.files import csv_text, replace, write_text
from staff.training.recipes import known_models, read_recipe

HERE = Path(__file__).resolve().parent
CURVES, PICTURE = HERE / "curves.csv", HERE / "curves.png"
COLUMNS = ("model", "stage", "step", "hours", "loss", "val_iou")


def read_stage(folder: Path) -> list[dict]:
    """The logged values of one stage by step, from every attempt at it, later attempts over earlier ones."""
    by_step: dict[int, dict] = defaultdict(dict)
    logs = sorted((folder / "metrics").glob("version_*/metrics.csv"), key=lambda log: int(log.parent.name[8:]))
    for log in logs:
        with log.open(newline="") as file:
            for line in csv.DictReader(file):
                known = {name: line[name] for name in ("hours", "loss", "val_iou") if line.get(name)}
                by_step[int(line["step"])] |= known
    return [{"step": step} | values for step, values in sorted(by_step.items())]


def gather(runs: Path, earlier: list[dict]) -> list[dict]:
    """Rows of the CSV by model: those of the stages in ``runs`` where all are finished, else those in ``earlier``."""
    rows = []
    for model in known_models():
        stages = [runs / model / stage.name for stage in read_recipe(model).stages]
        if not all((stage / "weights.pt").is_file() for stage in stages):
            rows += [row for row in earlier if row["model"] == model]
            continue
        hours = 0.0
        for stage in stages:
            hours_before = hours
            for row in read_stage(stage):
                hours = hours_before + float(row["hours"]) if "hours" in row else hours
                rows.append({"model": model, "stage": stage.name} | row | {"hours": f"{hours:.4f}"})
    return rows


def read_curves() -> list[dict]:
    with CURVES.open(newline="") as file:
        return list(csv.DictReader(file))


def draw(rows: list[dict]) -> None:
    figure, axes = plt.subplots(2, 1, figsize=(9, 7), sharex=True, layout="constrained")
    for model in sorted({row["model"] for row in rows}):
        for ax, quantity in zip(axes, ("loss", "val_iou"), strict=True):
            points = [(float(r["hours"]), float(r[quantity])) for r in rows if r["model"] == model and r.get(quantity)]
            if points:
                ax.plot(*zip(*points, strict=True), label=model, marker="o" if quantity == "val_iou" else None)
    axes[0].set(ylabel="training loss", yscale="log")
    axes[1].set(ylabel="IoU of class car on val", xlabel="hours of training")
    axes[0].legend()
    replace(PICTURE, lambda part: figure.savefig(part, format="png", dpi=110, metadata={"Software": None}))


def main() -> None:
    if len(sys.argv) > 1:
        write_text(CURVES, csv_text(COLUMNS, gather(Path(sys.argv[1]), read_curves())))
    draw(read_curves())
    print(PICTURE)


if __name__ == "__main__":
    main()
