"""The sizes that the network diagrams show, for the 384 × 480 input of this project: (channels, height, width).

They are written down here so that drawing needs no PyTorch. `staff/tests/figures` compares them with the models.
"""

INPUT = (3, 384, 480)
OUTPUT = (1, 384, 480)

# VGG-19: convolutions of each block, each block's output before its pooling, and the last pooling's output.
VGG19_CONVOLUTIONS = (2, 2, 4, 4, 4)
VGG19_BLOCKS = ((64, 384, 480), (128, 192, 240), (256, 96, 120), (512, 48, 60), (512, 24, 30))
VGG19_LAST = (512, 12, 15)

# ResNet-50: the stem before its pooling, bottlenecks of layer1..layer4 and their outputs.
RESNET50_STEM = (64, 192, 240)
RESNET50_BOTTLENECKS = (3, 4, 6, 3)
RESNET50_LAYERS = ((256, 96, 120), (512, 48, 60), (1024, 24, 30), (2048, 12, 15))
# Channels inside the second bottleneck of layer1: input, after each of its three convolutions; and their kernel sizes.
BOTTLENECK_CHANNELS = (256, 64, 64, 256)
BOTTLENECK_KERNELS = (1, 3, 1)

# FPN decoder: p2..p5, the ×2 steps of their segmentation blocks, and the map they are all brought to and summed in.
FPN_PYRAMID = ((256, 96, 120), (256, 48, 60), (256, 24, 30), (256, 12, 15))
FPN_UPSAMPLINGS = (0, 1, 2, 3)
FPN_SUM = (128, 96, 120)
FPN_HEAD_KERNEL, FPN_HEAD_UPSAMPLING = 1, 4
FPN_PYRAMID_MODE, FPN_BLOCK_MODE, FPN_HEAD_MODE = "nearest", "bilinear", "bilinear"  # interpolation

# PSPNet on ResNet-50's layer2: grids, channels of each pooled branch, concatenation, map before the head.
PSP_FEATURES = (512, 48, 60)
PSP_GRIDS = (1, 2, 3, 6)
PSP_BRANCH_CHANNELS = 128
PSP_CONCATENATED = (1024, 48, 60)
PSP_BEFORE_HEAD = (512, 48, 60)
PSP_HEAD_KERNEL, PSP_HEAD_UPSAMPLING = 3, 8


def shape(size: tuple[int, int, int]) -> str:
    """Return a size as the figures write it, for example ``256 × 96 × 120``."""
    return " × ".join(map(str, size))
