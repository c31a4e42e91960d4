"""Draw how the shipped weights came about: `python staff/training/plot_curves.py [RUNS]`.

Gathers the logs of all stages in RUNS, where given, into `staff/training/curves.csv`, hours of the stages of a
model added up, and draws loss and val IoU against hours as `staff/training/curves.png`. Without RUNS it draws
the CSV that is there.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

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


def gather(runs: Path) -> list[dict]:
    """Rows of the CSV. Stages follow each other in time, as their first logs did."""
    rows = []
    for model in sorted(path for path in runs.iterdir() if path.is_dir()):
        stages = [path for path in model.iterdir() if (path / "metrics").is_dir()]
        hours_before = 0.0
        for stage in sorted(stages, key=lambda path: ((path / "metrics" / "version_0").stat().st_ctime, path)):
            hours = 0.0
            for row in read_stage(stage):
                hours = float(row.get("hours", hours))
                rows.append({"model": model.name, "stage": stage.name} | row | {"hours": f"{hours_before + hours:.4f}"})
            hours_before += hours
    return rows


def read_curves() -> list[dict]:
    with CURVES.open(newline="") as file:
        return list(csv.DictReader(file))


def write_curves(rows: list[dict]) -> None:
    with CURVES.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)


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
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def main() -> None:
    if len(sys.argv) > 1:
        write_curves(gather(Path(sys.argv[1])))
    draw(read_curves())
    print(PICTURE)


if __name__ == "__main__":
    main()
