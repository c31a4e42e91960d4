"""Measure the models and write their card: `python -m staff.training.model_card`.

Needs CamVid's val split and test frames (`make train-data`). Writes to `models/`:

- `scores.csv`: the scores of each frame of val, test and sample;
- `street_classes.csv`: the confusion matrix of the twelve classes on val;
- `README.md`: from these two, `lineage.json` and the text in `card.md`;
- `failures.png`: the rendered scenes on which the models do worst.

Puts the scores of the test frames into the project's README too.
"""

import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from torchinfo import summary

import utils
from data.get_camvid import HANDOUT_FRAMES
from data.render_street import SAMPLE_SEEDS, render
from staff import ROOT
from staff.classes import NAMES as CLASS_NAMES
from staff.classes import class_ious, confusion_matrix, write_confusion
from staff.evaluate import evaluate_all
from staff.files import csv_text, write_between, write_picture, write_text
from staff.models import MODELS, NETWORKS
from staff.training.export import unused_layers
from staff.training.recipes import Recipe, read_recipe
from staff.training.starts import began_with
from staff.training.weight_files import digest, read_lineages

SETS = {
    "val": (ROOT / "data" / "CamVid" / "val", ROOT / "data" / "CamVid" / "valannot"),
    "test": (ROOT / "data" / "CamVid" / "test", ROOT / "data" / "CamVid" / "testannot"),
    "sample": (ROOT / "data" / "sample" / "test", ROOT / "data" / "sample" / "testannot"),
}
RENDERINGS = 30

TEST_HEAD = f"| model | {' | '.join(HANDOUT_FRAMES)} |\n|---|---|---|---|\n"
CARD = Path(__file__).with_name("card.md").read_text(encoding="utf-8")


def measure(out: Path) -> list[dict]:
    """The scores of all three sets as rows of `scores.csv`."""
    rows = []
    for name, (images, masks) in SETS.items():
        rows += [{"set": name} | row for row in evaluate_all(images, masks, out / name)]
    return rows


def table(rows: Iterable[Iterable[str]]) -> str:
    """The lines of a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def network_table() -> str:
    rows = []
    for model, network in NETWORKS.items():
        found = summary(network.load().to("meta"), (1, 3, 384, 480), device="meta", verbose=0)  # sizes need no sums
        size = f"{found.total_params:,}", f"{found.total_mult_adds / 1e9:.2f}"
        rows.append((model, f"`{network.file}`", *size))
    return table(rows)


def idle_parameters() -> int:
    """How many of PSPNet's parameters never run."""
    network = NETWORKS["PSPNet-ResNet50"].load()
    return sum(p.numel() for name, p in network.named_parameters() if name.startswith(unused_layers(network)))


def frame_scores(rows: list[dict], model: str) -> list[tuple[str, float, float | None]]:
    """(frame, score, the handout's score if there is one) of each test frame."""
    frames = [r for r in rows if r["set"] == "test" and r["model"] == model and r["frame"] != "all"]
    handout = NETWORKS[model].handout or [None] * len(frames)
    return [(r["frame"], float(r["iou"]), course) for r, course in zip(frames, handout, strict=True)]


def test_table(rows: list[dict]) -> str:
    def cell(score: float, handout: float | None) -> str:
        return f"{score:.4f}" + (f" ({handout:.4f})" if handout else "")

    return table([model, *(cell(*scores) for _, *scores in frame_scores(rows, model))] for model in NETWORKS)


def shortfalls(rows: list[dict]) -> str:
    """A sentence on the scores that are below the handout's, and by how much."""
    below = [
        f"{model} by {handout - score:.4f} on {frame}"
        for model in NETWORKS
        for frame, score, handout in frame_scores(rows, model)
        if handout and score < handout
    ]
    if not below:
        return "No score is lower than the one in brackets."
    text = f"Lower than the scores in brackets: {', '.join(below)}. All others are equal or higher."
    return textwrap.fill(text, 120, break_on_hyphens=False)


def set_table(rows: list[dict], lineages: dict[str, list[dict]]) -> str:
    found = []
    for model, network in NETWORKS.items():
        for r in (r for r in rows if r["model"] == model and r["frame"] == "all"):
            of = "val, trained on" if r["set"] == "val" and saw_val(lineages[network.recipe]) else r["set"]
            found.append((model, of, r["iou"], r["precision"], r["recall"]))
    return table(found)


def saw_val(stages: list[dict]) -> bool:
    return any(stage.get("include_val") for stage in stages)


def lineage_list(lineages: dict[str, list[dict]]) -> str:
    """For each model a list of its stages: start, steps, crops and hours."""
    paragraphs = []
    for model, network in NETWORKS.items():
        stages = lineages[network.recipe]
        lines = [f"**{model}**:", ""]
        for number, stage in enumerate(stages, 1):
            mix = ", ".join(f"{share:.0%} {source}" for source, share in stage["mix"].items())
            val = f", val IoU {stage['val_iou']:.3f} ({stage['val_frames']} frames)" if stage.get("val_iou") else ""
            too = ", of camvid val too" if stage.get("include_val") else ""
            lines.append(
                f"{number}. stage `{stage['stage']}` began with {stage['start']}; {stage['steps']} steps of "
                f"{stage['batch_size']} crops ({mix}{too}), {stage['hours']:.2g} h on {stage['machine']}{val}."
            )
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs)


def trained_on_val(lineages: dict[str, list[dict]]) -> str:
    """A paragraph on the models that were trained on val too, with their last val scores before that."""
    seen = []
    for model, network in NETWORKS.items():
        stages = lineages[network.recipe]
        if saw_val(stages):
            before = [f"val IoU {stage['val_iou']:.3f}" for stage in stages if stage.get("val_iou")]
            seen.append(f"{model} ({before[-1] if before else 'not scored'} before that stage)")
    if not seen:
        return ""
    text = f"Trained on val too, in their last stage: {', '.join(seen)}. Their scores on val are not a test."
    return f"\n\n{textwrap.fill(text, 120)}"


def differences(stages: list[dict], recipe: Recipe) -> list[str]:
    """The differences between a file's lineage and its recipe; none if today's recipe made the file."""
    names, wanted = [stage["stage"] for stage in stages], [stage.name for stage in recipe.stages]
    if names != wanted:
        return [f"its stages were {', '.join(names)}, now they are {', '.join(wanted)}"]
    found = []
    for stage, now in zip(stages, recipe.stages, strict=True):
        then = {"steps": now.steps, "batch_size": now.batch_size, "mix": now.sampling.mix}
        then |= {"include_val": now.sampling.include_val}
        settings = now.model_dump(mode="json")
        odd = [key for key, value in then.items() if stage.get(key, False) != value]
        odd += [key for key, value in stage.get("settings", settings).items() if value != settings.get(key)]
        if odd:
            found.append(f"stage {now.name} had other {', '.join(sorted(set(odd)))}")
        file = ROOT / (now.teacher or "")
        if "SHA-256" in stage["start"] and file.is_file() and f"SHA-256 {digest(file)[:8]}" not in stage["start"]:
            found.append(f"stage {now.name} was taught by an earlier {now.teacher}")
    if not began_with(stages[0], recipe.start):
        found.append(f"it began with {stages[0]['start']}, now with {recipe.start}")
    return found


def recipe_differences(lineages: dict[str, list[dict]]) -> str:
    """A paragraph on the files that were not made by today's recipes."""
    older = []
    for model, network in NETWORKS.items():
        if found := differences(lineages[network.recipe], read_recipe(network.recipe)):
            older.append(f"{model} ({'; '.join(found)})")
    head, trained = read_recipe("fpn_resnet50").street_classes, lineages.get("street_classes")
    if head and trained and head.model_dump(mode="json") != trained[-1]["settings"]:
        older.append("the head for all classes (it had other settings)")
    if not older:
        return "Each file was made by its recipe as it is committed."
    text = f"Made by earlier recipes, not by those in the repository now: {'; '.join(older)}. Where an earlier recipe "
    text += "used LabelMeFacade, another network's soft labels (ESPNetv2, trained on Cityscapes) had removed doubtful "
    text += "pixels from its labels. Today the recipes of the ResNet-50 models use a stage of their own for that, and "
    text += "FPN-VGG19's uses the labels as they are."
    return textwrap.fill(text, 120)


def class_table(matrix: np.ndarray) -> str:
    """The IoU of each class, in two rows."""
    values = [f"{iou:.3f}" for iou in class_ious(matrix)]
    return "\n".join([table([CLASS_NAMES]), "|---" * len(values) + "|", table([values])])


def card(rows: list[dict], lineages: dict[str, list[dict]], matrix: np.ndarray) -> str:
    return CARD.format(
        class_scores=class_table(matrix),
        mean_class_iou=np.nanmean(class_ious(matrix)),
        recipe_differences=recipe_differences(lineages),
        networks=network_table(),
        test_head=TEST_HEAD,
        test_scores=test_table(rows),
        shortfalls=shortfalls(rows),
        set_scores=set_table(rows, lineages),
        idle=idle_parameters(),
        trained_on_val=trained_on_val(lineages),
        lineages=lineage_list(lineages),
        rendered=RENDERINGS,
    )


def draw_failures(folder: Path, target: Path) -> None:
    """Three of ``RENDERINGS`` scenes for each model, those with the lowest IoU, as one picture."""
    first = max(SAMPLE_SEEDS.values()) + 10_000
    shutil.rmtree(folder, ignore_errors=True)
    for seed in range(first, first + RENDERINGS):
        image, labels = render(seed)
        write_picture(folder / "test" / f"{seed}.png", image[..., ::-1])
        write_picture(folder / "testannot" / f"{seed}.png", labels)
    evaluate_all(folder / "test", folder / "testannot", folder, worst=3)
    sheets = [utils.read_picture(folder / f"worst_{model}.png") for model in NETWORKS]
    for model, sheet in zip(NETWORKS, sheets, strict=True):
        cv2.putText(sheet, model, (8, 44), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    smaller = cv2.resize(np.vstack(sheets), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    write_picture(target, smaller[..., ::-1])


def main() -> None:
    if not (SETS["val"][0].is_dir() and SETS["test"][0].is_dir()):
        raise SystemExit("The card needs CamVid's val split and test frames: run `make train-data` first.")
    build = ROOT / "build" / "card"
    rows = measure(build)
    draw_failures(build / "rendered", MODELS / "failures.png")
    write_text(MODELS / "scores.csv", csv_text(list(rows[0]), rows))
    street_model = utils.with_street_classes(NETWORKS["FPN-ResNet50"].load())
    matrix = confusion_matrix(street_model, *SETS["val"])
    write_confusion(matrix, MODELS / "street_classes.csv")
    write_text(MODELS / "README.md", card(rows, read_lineages(MODELS), matrix))
    write_between(ROOT / "README.md", "scores", f"{TEST_HEAD}{test_table(rows)}\n")
    print(MODELS / "README.md")


if __name__ == "__main__":
    main()
