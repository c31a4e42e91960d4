"""What utils.py draws: visualize, display, error_map, show_prediction, show_feature_maps."""

import math

import matplotlib
import numpy as np
import pytest
import torch

import utils


@pytest.fixture
def shown(monkeypatch):
    """The figures that the code under test shows."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figures = []
    monkeypatch.setattr(plt, "show", lambda: figures.append(plt.gcf()))
    yield figures
    plt.close("all")


def test_visualize_shows_one_row_with_titles_from_the_names(shown):
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    mask = np.eye(4, 5)
    utils.visualize(image=image, cars_mask=mask, final_seg=torch.from_numpy(image).long() * 9)
    axes = shown[0].axes
    assert [ax.get_title() for ax in axes] == ["Image", "Cars Mask", "Final Seg"]
    assert len({ax.get_subplotspec().rowspan.start for ax in axes}) == 1
    drawn = [ax.images[0].get_array() for ax in axes]
    assert np.array_equal(drawn[0], image) and np.array_equal(drawn[1], mask)
    assert np.array_equal(drawn[2], (image.astype(int) * 9).clip(0, 255))
    assert not any(ax.get_xticks().size or ax.get_yticks().size for ax in axes)
    with pytest.raises(ValueError, match="name the pictures"):
        utils.visualize()


IMAGE = np.random.default_rng(3).integers(0, 256, (6, 7, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        (IMAGE, IMAGE),
        (IMAGE.transpose(2, 0, 1), IMAGE),
        (IMAGE / 255, IMAGE),
        (IMAGE.astype(np.float32), IMAGE),
        (torch.from_numpy(IMAGE).float().requires_grad_(), IMAGE),
        (torch.from_numpy(IMAGE).long() - 50, (IMAGE.astype(int) - 50).clip(0)),
        (IMAGE[..., :1], IMAGE[..., 0]),
        (IMAGE[None, ..., 0], IMAGE[..., 0]),
        (torch.ones(1, 6, 7).bool(), np.ones((6, 7))),
        (np.zeros((6, 7)), np.zeros((6, 7))),
    ],
)
def test_visualize_takes_pictures_and_masks_of_every_layout(shown, given, drawn):
    utils.visualize(picture=given)
    artist = shown[0].axes[0].images[0]
    assert np.abs(np.asarray(artist.get_array(), float) - drawn).max() <= (1 if given is not IMAGE else 0)
    if np.ndim(drawn) == 2:
        low, high = artist.get_clim()
        assert low == 0 and high == max(1, np.max(drawn))  # an empty mask and a full one differ


def test_a_probability_gets_a_colour_bar_and_a_mask_none(shown):
    utils.visualize(probability=torch.linspace(0, 0.8, 30).reshape(1, 5, 6), mask=np.eye(5, 6))
    *_, bar = axes = shown[0].axes
    assert len(axes) == 3 and bar.get_ylabel() == "probability" and bar.get_ylim() == (0, 1)


def test_visualize_says_what_it_cannot_show(shown):
    with pytest.raises(ValueError, match="2×6×7"):
        utils.visualize(mask=np.zeros((2, 6, 7)))


def test_display_shows_one_pair_or_all_without_preprocessing(street, prepared, shown):
    dataset = prepared
    dataset.display(-1)
    dataset.display()
    assert len(shown) == 4
    padded, mask = utils.Dataset(*street[:2], classes=["car"], augmentation=utils.get_validation_augmentation())[2]
    for figure in (shown[0], shown[3]):
        assert [ax.get_title() for ax in figure.axes] == ["Image", "Car Mask"]
        assert np.array_equal(figure.axes[0].images[0].get_array(), padded)
        assert np.array_equal(figure.axes[1].images[0].get_array(), mask[..., 0])
    utils.Dataset(*street[:2]).display(0)
    assert np.array_equal(shown[4].axes[1].images[0].get_array(), street[2]["a"][1] + 1)
    with pytest.raises(IndexError):
        dataset.display(3)


PREDICTED, TRUE = np.array([[1, 1], [0, 0]]), np.array([[1, 0], [1, 0]])
ERRORS = [["hit", "false alarm"], ["missed", None]]


@pytest.mark.parametrize("form", [lambda m: m, lambda m: m[..., None] > 0, lambda m: torch.from_numpy(m)[None] * 0.7])
def test_error_map_colours_hits_misses_and_false_alarms(form):
    picture = utils.error_map(form(PREDICTED), form(TRUE))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[list(utils.ERROR_COLOURS.get(kind, (0, 0, 0))) for kind in row] for row in ERRORS]
    over = utils.error_map(form(PREDICTED), form(TRUE), np.full((2, 2, 3), (30, 60, 90), np.uint8))
    assert over[1, 1].tolist() == [60] * 3 and np.array_equal(over[0], picture[0])


def test_error_map_names_unequal_sizes():
    with pytest.raises(ValueError, match=r"predicted mask is 2×2, the true mask 3×2"):
        utils.error_map(PREDICTED, np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"the picture 4×2"):
        utils.error_map(PREDICTED, TRUE, np.zeros((4, 2, 3)))


def test_show_prediction_draws_four_pictures_and_a_legend(shown, monkeypatch):
    texts, show = [], utils.show
    monkeypatch.setattr(utils, "show", lambda alt: texts.append(alt) or show(alt))
    image = np.full((2, 2, 3), 90, np.uint8)
    utils.show_prediction(image, TRUE, PREDICTED)
    axes = shown[0].axes
    assert [ax.get_title() for ax in axes] == ["Image", "True Mask", "Pred Mask", "Errors"]
    for ax, drawn in zip(axes, (image, TRUE, PREDICTED, utils.error_map(PREDICTED, TRUE, image)), strict=True):
        assert np.array_equal(ax.images[0].get_array(), drawn)
    assert {text.get_text() for text in axes[3].get_legend().get_texts()} == set(utils.ERROR_COLOURS)
    assert "50% of the true mask is hit" in texts[0] and "1 pixels are false alarms" in texts[0]


@pytest.mark.parametrize("count", [1, 5, 64, 70])
def test_feature_maps_are_one_tiled_picture(shown, count):
    maps = (
        torch.rand(1, count, 30, 48, generator=torch.Generator().manual_seed(0))
        * torch.arange(1, count + 1)[:, None, None]
    )
    maps.requires_grad_()
    utils.show_feature_maps(maps, "conv1")
    (ax,) = shown[0].axes
    canvas = np.asarray(ax.images[0].get_array())
    number = min(count, 64)
    columns = math.ceil(math.sqrt(number))
    assert ax.get_title() == ("conv1" if count <= 64 else "conv1 (the first 64 of 70)")
    for k in range(number):
        tile = canvas[k // columns * 32 :, k % columns * 50 :][:30, :48]
        low, high = np.percentile(maps[0, k].detach().numpy(), (1, 99))
        assert np.allclose(tile, ((maps[0, k].detach().numpy() - low) / (high - low)).clip(0, 1), atol=1e-4)
    assert np.isfinite(canvas).sum() == number * 30 * 48


def test_feature_maps_that_are_flat_or_of_another_shape(shown):
    utils.show_feature_maps(np.zeros((2, 4, 4)), "flat")
    canvas = np.asarray(shown[0].axes[0].images[0].get_array())
    assert set(canvas[np.isfinite(canvas)]) == {0}
    for shape in ((4, 4), (2, 3, 4, 4)):
        with pytest.raises(ValueError, match="×".join(map(str, shape))):
            utils.show_feature_maps(np.zeros(shape), "wrong")
