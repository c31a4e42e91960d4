"""TO-DO 4: load_FPN_resnet50."""

import math

from grader.messages import describe_error
from grader.testing import Case, Failed, Outcome, describe, expect_close, expect_tensor, group
from grader.values import OpaqueValue

TESTS, test = group("TO-DO 4: load_FPN_resnet50")

CALL = "load_FPN_resnet50()"


def _network(student):
    """Return what is known of the network that the student's function returned."""
    (outcome,) = student.call("load_FPN_resnet50", [Case(CALL, (), probe=tuple(student.expected["probes"]))])
    value = outcome.value
    if not isinstance(value, OpaqueValue) or value.kind != "network":
        raise Failed(f"{CALL} should return an smp.FPN, got {describe(value)}.")
    return value.metadata


def _check_kind(metadata):
    if "segmentation_models_pytorch.decoders.fpn.model.FPN" not in metadata["classes"]:
        raise Failed(f"{CALL} should return an smp.FPN, got {str(metadata['classes'][0]).rpartition('.')[2]}.")


def _check_mode(metadata):
    if metadata["training"]:
        raise Failed(
            f"{CALL} should return a network in eval mode, but {metadata['training'][0]} is in training mode: "
            "call .eval()."
        )


def _check_weights(metadata, expected):
    """Compare every tensor's shape, sum and sum of magnitudes with those of the weight file."""
    got = metadata["state"]
    if got.keys() != expected.keys():
        name = min(got.keys() ^ expected.keys())
        raise Failed(f"{CALL} should have the tensors of the weight file, got others, the first of them {name}.")
    for name, (shape, *sums) in expected.items():
        its_shape, *its_sums = got[name]
        if list(its_shape) != list(shape):
            raise Failed(f"{CALL}: {name} should have the shape {tuple(shape)}, got {tuple(its_shape)}.")
        # A float16 network differs from the file in the last digits only.
        tolerance = 1e-3 * sums[1] + 1e-6
        if not all(math.isclose(a, b, abs_tol=tolerance) for a, b in zip(its_sums, sums, strict=True)):
            raise Failed(f"{CALL} should hold the weights of models/resnet50_best_model_weights.pt, not so in {name}.")


def _check_outputs(student, metadata, pictures):
    for i in range(pictures):
        output, right = metadata["outputs"][i], student.expected["fpn_outputs"][i]
        label = f"{CALL} on picture {i + 1}, its output,"
        if isinstance(output, OpaqueValue) and output.kind == "error":
            raise Failed(f"{label} should be a torch.Tensor, but it raised {describe_error(output.metadata)}.")
        outcome = Outcome(Case(label, ()), output, [], [])
        expect_close(label, expect_tensor(outcome, right.shape, "float32"), right, 2e-3)


@test("test_load_FPN_resnet50", 7, visible=True)
def network(student):
    metadata = _network(student)
    _check_kind(metadata)
    _check_weights(metadata, student.expected["fpn_state"])
    _check_mode(metadata)


@test("its output on pictures of two sizes", 5)
def outputs(student):
    _check_outputs(student, _network(student), pictures=2)


@test("every module in eval mode, one class, 0 to 1", 3)
def modules(student):
    metadata = _network(student)
    if "the model itself" not in metadata["training"]:  # else the first test has taken its points for that
        _check_mode(metadata)
    _check_outputs(student, metadata, pictures=1)
