"""The chapter after the handout: what after_the_handout.py draws, and the figure with the slider in a real browser."""

import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_jaccard_index, binary_precision, binary_recall

import student_code
import utils
from proj2_code import after_the_handout as after
from staff import ROOT, notebook_page

HEIGHT, WIDTH = 96, 120


@pytest.fixture(scope="module")
def frame():
    """An image, smooth logits, their probabilities, and a true mask that they meet in part."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    noise = torch.from_numpy(rng.normal(size=(1, 1, 8, 10))).float()
    logits = 4 * torch.nn.functional.interpolate(noise, (HEIGHT, WIDTH), mode="bilinear")[0, 0]
    true_mask = (logits + torch.from_numpy(rng.normal(size=(HEIGHT, WIDTH))) > 0.3).numpy().astype(np.float32)
    return image, logits, torch.sigmoid(logits), true_mask


@pytest.fixture
def figure(open_page, frame, tmp_path):
    """The figure in a browser, twice on one page, as after a cell that was copied."""
    pieces = [after.threshold_html(*frame) for _ in range(2)]
    file = tmp_path / "figure é.html"
    file.write_text(f'<html lang="en"><title>t</title><main>{"".join(pieces)}</main></html>', encoding="utf-8")
    page = open_page(file)
    page.locator(".scores").first.wait_for()
    return page


def shown(page):
    """Threshold, IoU, precision and recall as the page shows them."""
    text = page.locator(".scores").first.inner_text()
    return float(page.locator(".threshold").first.inner_text()), *map(float, re.findall(r"\d\.\d{3}", text))


def expected(frame, threshold):
    _, _, probabilities, true_mask = frame
    target = torch.from_numpy(true_mask).int()
    metrics = (binary_jaccard_index, binary_precision, binary_recall)
    return [float(metric(probabilities, target, threshold=threshold)) for metric in metrics]


def check_numbers(page, frame):
    threshold, *numbers = shown(page)
    assert numbers == pytest.approx(expected(frame, threshold), abs=5.1e-4)
    return threshold


def test_the_numbers_follow_the_drag(figure, frame):
    assert check_numbers(figure, frame) == 0.5
    box = figure.locator("input").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    figure.mouse.move(box["x"] + box["width"] / 2, middle)
    figure.mouse.down()
    thresholds = set()
    for share in (0.6, 0.75, 0.9, 0.97, 0.3, 0.1):
        figure.mouse.move(box["x"] + share * box["width"], middle, steps=3)
        thresholds.add(check_numbers(figure, frame))
        assert thresholds  # the numbers change while the button is down
    figure.mouse.up()
    assert len(thresholds) == 6 and min(thresholds) < 0.2 and max(thresholds) > 0.9
    # The other copy of the figure has a slider of its own.
    assert figure.locator(".threshold").nth(1).inner_text() == "0.50"
    assert not figure.errors


def test_every_threshold_is_exact(figure, frame):
    for k in range(1, 100):
        figure.locator("input").first.fill(str(k))
        assert check_numbers(figure, frame) == k / 100


def test_the_arrow_keys_move_it_and_a_screen_reader_reads_it(figure, frame):
    slider = figure.get_by_role("slider", name="Threshold").first
    slider.focus()
    for key, threshold in (("ArrowRight", "0.51"), ("ArrowRight", "0.52"), ("ArrowLeft", "0.51"), ("Home", "0.01")):
        figure.keyboard.press(key)
        assert slider.get_attribute("aria-valuetext") == threshold
        check_numbers(figure, frame)
    status = figure.get_by_role("status").first
    assert status.inner_text().startswith("IoU ")
    mask = figure.get_by_role("img").first.get_attribute("aria-label")
    _, _, probabilities, true_mask = frame
    false_alarms = int(((probabilities > 0.01).numpy() & (true_mask == 0)).sum())
    assert "threshold 0.01" in mask and f"{false_alarms} false alarms" in mask


def test_the_mask_is_painted_in_the_colours_of_the_error_map(figure, frame):
    image, _, probabilities, true_mask = frame
    painted = figure.evaluate(
        "() => { const c = document.querySelector('canvas.mask');"
        " return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; }"
    )
    painted = np.array(painted).reshape(HEIGHT, WIDTH, 4)[..., :3]
    errors = utils.error_map((probabilities > 0.5).numpy(), true_mask, image)
    coloured = np.ptp(errors.astype(int), axis=2) > 0
    assert np.array_equal(painted[coloured], errors[coloured])
    assert (np.ptp(painted, axis=2)[~coloured] == 0).all()


def test_pointing_at_a_pixel_reads_its_logit_and_probability(figure, frame):
    _, logits, probabilities, true_mask = frame
    for canvas in ("canvas.mask", "canvas.probability"):
        box = figure.locator(canvas).first.bounding_box()
        for row, column in ((10, 15), (50, 100), (90, 3)):
            x, y = (column + 0.5) / WIDTH * box["width"], (row + 0.5) / HEIGHT * box["height"]
            figure.mouse.move(box["x"] + x, box["y"] + y)
            text = figure.locator(".pixel").first.inner_text()
            assert f"Row {row}, column {column}" in text
            logit = float(re.search(r"logit (-?\d+\.\d)", text)[1])
            probability = float(re.search(r"probability \D*(\d\.\d+)", text)[1])
            assert logit == pytest.approx(float(logits[row, column]), abs=0.051)
            assert probability == pytest.approx(float(probabilities[row, column]), abs=0.0101)
            assert ("not car" in text) == (true_mask[row, column] == 0)


def test_without_javascript_a_sentence_stands_for_it(open_page, frame, tmp_path):
    file = tmp_path / "figure.html"
    file.write_text(after.threshold_html(*frame), encoding="utf-8")
    page = open_page(file, java_script_enabled=False)
    assert "needs JavaScript" in page.locator("body").inner_text()
    assert page.locator("input").count() == 0


def test_the_figure_needs_nothing_else(frame):
    page = after.threshold_html(*frame)
    assert "http" not in page and "%" + "DATA" not in page


def test_the_stored_figure_is_under_300_kb():
    outputs = [o for cell in stored_cells() for o in cell.get("outputs", []) if "threshold-figure" in str(o)]
    assert len(outputs) == 1
    assert len(outputs[0].data["text/html"]) < 300_000


def stored_cells():
    return nbformat.read(ROOT / "proj2.ipynb", as_version=4).cells


@pytest.mark.slow
def test_the_stored_page_shows_the_scores_of_the_model(open_page, tmp_path, camvid_dir):
    """The page of the stored notebook, from disk, against torchmetrics on what the network predicts now."""
    file = tmp_path / "proj2.html"
    file.write_text(notebook_page.to_html(nbformat.read(ROOT / "proj2.ipynb", as_version=4), ROOT), encoding="utf-8")
    page = open_page(file)
    dataset = utils.Dataset(
        camvid_dir / "test",
        camvid_dir / "testannot",
        ["car"],
        utils.get_validation_augmentation(),
        utils.get_preprocessing(utils.get_preprocessing_fn("resnet50")),
    )
    image, mask = dataset[0]
    with torch.inference_mode():
        probabilities = student_code.load_FPN_resnet50()(torch.from_numpy(image).unsqueeze(0))[0, 0]
    slider = page.get_by_role("slider", name="Threshold")
    for k in (10, 50, 90):
        slider.fill(str(k))
        threshold, *numbers = shown(page)
        assert threshold == k / 100
        assert numbers == pytest.approx(expected((None, None, probabilities, mask[0]), threshold), abs=0.005)
    assert not page.errors


# The other pictures


@pytest.fixture
def seen(monkeypatch):
    """The figures and texts that utils.show was given."""
    kept = []
    monkeypatch.setattr(utils, "show", lambda alt: kept.append((plt.gcf(), alt)))
    yield kept
    plt.close("all")


def test_classes_have_camvids_colours_and_a_legend(seen):
    rng = np.random.default_rng(0)
    true_map, class_map = rng.integers(0, 12, (2, 30, 40))
    picture = after.colour_classes(class_map)
    assert picture.shape == (30, 40, 3) and picture.dtype == np.uint8
    assert (picture[class_map == utils.CLASSES.index("car")] == (64, 0, 128)).all()
    assert len({tuple(colour) for colour in after.colour_classes(np.arange(12)[None])[0]}) == 12
    assert tuple(after.CLASS_COLOURS) == utils.CLASSES

    after.show_classes(np.zeros((30, 40, 3), np.uint8), true_map, class_map, rng.random((30, 40)))

    ((figure, text),) = seen
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == list(utils.CLASSES)
    assert f"{(true_map == class_map).mean():.0%}" in text


def test_large_regions_are_named_where_they_are(seen):
    class_map = np.zeros((100, 100), int)
    class_map[60:, :] = utils.CLASSES.index("road")
    class_map[0, 0] = utils.CLASSES.index("pole")
    after.show_classes(np.zeros((100, 100, 3), np.uint8), class_map, class_map, np.ones((100, 100)))
    names = {text.get_text(): text.get_position() for text in seen[0][0].axes[1].texts}
    assert set(names) == {"sky", "road"}
    assert all(utils.CLASSES[class_map[int(y), int(x)]] == name for name, (x, y) in names.items())


def test_class_ious_show_each_and_the_mean(seen):
    after.show_class_ious({"sky": torch.tensor(0.9), "car": torch.tensor(0.5)})
    assert "sky 0.90, car 0.50" in seen[0][1] and "0.700" in seen[0][1]


def test_confusion_names_the_largest_mistake_of_the_labelled_classes(seen):
    confusion = torch.eye(12) * 90
    confusion[utils.CLASSES.index("fence"), utils.CLASSES.index("building")] = 60
    confusion[11] = torch.tensor([100.0] + [0] * 11)  # whatever is said of pixels without a label is no mistake
    after.show_confusion(confusion)
    assert "fence taken for building, 40%" in seen[0][1]


def test_threshold_curves_mark_the_best_iou(seen):
    thresholds = torch.tensor([0.2, 0.4, 0.6])
    curve = torch.tensor([[0.5, 0.5, 1.0], [0.8, 0.9, 0.9], [0.7, float("nan"), 0.6]])
    after.show_threshold_curves(thresholds, {"A": curve})
    assert "A 0.40" in seen[0][1]


def test_scenes_are_written_as_the_data_set_reads_them():
    from data.render_street import render

    image, labels = render(20_000_000)
    dataset = utils.Dataset(*after.write_scenes(lambda seed: (image, labels), [1, 2]))
    assert len(dataset) == 2
    read, masks = dataset[1]
    assert np.array_equal(read, image) and np.array_equal(masks.argmax(axis=2), labels)


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, [0, 1]), (30, [0, 1, 2, 5, 10, 20, 30]), (50, [0, 1, 2, 5, 10, 20, 50])]
)
def test_pictures_are_taken_often_at_first(steps, expected):
    assert after.milestones(steps) == expected


def test_a_film_keeps_every_picture_and_says_how_it_went():
    film = after.Film(np.zeros((6, 8, 3), np.uint8), np.zeros((6, 8)), "IoU of car")
    for step in range(3):
        film.add_picture(step, np.full((6, 8), step / 2), step / 4)
        film.add_loss(step, 1 - step / 4)
    figure = film._draw()
    titles = [ax.get_title() for ax in figure.axes]
    plt.close(figure)
    predictions = ["after 0 steps", "after 1 step", "after 2 steps"]
    assert titles == [*predictions, "the truth", "the scene", "loss", "IoU of car"]
    assert "IoU of car goes from 0.00 to 0.50" in film._text()
    assert not plt.get_fignums()


# The network for all classes


@pytest.mark.slow
def test_the_street_model_shares_all_but_its_last_layer(tmp_path, monkeypatch):
    torch.manual_seed(0)
    head = torch.nn.Conv2d(128, 12, 1)
    (tmp_path / "models").mkdir()
    torch.save(head.state_dict(), tmp_path / "models" / "resnet50_street_classes_head.pt")
    car_model = student_code.load_FPN_resnet50()
    monkeypatch.setattr(utils, "ROOT", tmp_path)

    model = utils.with_street_classes(car_model)

    assert not model.training
    assert model.encoder is car_model.encoder and model.decoder is car_model.decoder
    x = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        logits = model(x)
        maps = torch.nn.functional.interpolate(
            head(car_model.decoder(car_model.encoder(x))), scale_factor=4, mode="bilinear", align_corners=True
        )
    assert logits.shape == (1, 12, 64, 96)
    torch.testing.assert_close(logits, maps)


@pytest.mark.slow
def test_the_street_model_says_what_is_wrong(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="encoder resnet50"):
        utils.with_street_classes(torch.nn.Conv2d(3, 1, 1))
    car_model = student_code.load_FPN_resnet50()
    monkeypatch.setattr(utils, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="resnet50_street_classes_head"):
        utils.with_street_classes(car_model)
    (tmp_path / "models").mkdir()
    torch.save(torch.nn.Conv2d(128, 11, 1).state_dict(), tmp_path / "models" / "resnet50_street_classes_head.pt")
    with pytest.raises(ValueError, match="twelve classes"):
        utils.with_street_classes(car_model)
