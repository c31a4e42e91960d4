"""Runs the student's functions on given inputs and sends back what they return.

Everything here shares a process with the student's code and may be altered by it; what it sends is judged elsewhere.
"""

import ast
import contextlib
import importlib.util
import os
import sys
import threading
import types
from pathlib import Path

import numpy as np

from .values import Tensor, Thing, dumps

LARGEST_ARRAY = 16 << 20
MOST_ITEMS = 10_000
# Packages whose functions would do a student's TO-DO, by the path their code lies in.
READY_MADE = tuple(
    os.sep + path.replace("/", os.sep) + os.sep
    for path in (
        "torchmetrics",
        "segmentation_models_pytorch/metrics",
        "segmentation_models_pytorch/losses",
        "sklearn/metrics",
        "scipy/special",
        "scipy/stats",
    )
)

_calls_of_ufuncs = set()


def run(request: dict, project: Path, send: int) -> None:
    """Answer one request: import the submission, call one of its functions on every case, send the outcomes."""
    home = str(project.parent / "home")
    os.environ.update(HOME=home, TMPDIR=home, MPLCONFIGDIR=home, TORCH_HOME=home, XDG_CACHE_HOME=home)
    os.chdir(project)
    try:
        answer = _answer(request, project)
    except BaseException as error:
        answer = {"notes": [], "broken": _describe_error(error)}
    frame = dumps(answer)
    while frame:
        frame = frame[os.write(send, frame) :]


def _answer(request, project):
    notes = []
    sys.path.insert(0, str(project / "proj2_code"))
    _trace_ufuncs()
    path = project / "proj2_code" / "student_code.py"
    try:
        if b"utils" in path.read_bytes():
            _load_utils(project, notes)
        student = _load(path, "student_code", notes)
    except BaseException as error:
        return {"notes": notes, "broken": _describe_error(error)}
    answer = {"notes": notes, "broken": None}
    if request["function"] is None:
        return answer | {"functions": [name for name, value in vars(student).items() if callable(value)]}
    if request["stand_ins"]:
        _lend(student, request["stand_ins"], request["stand_in_source"], project)
    function = getattr(student, request["function"], None)
    if not callable(function):
        return answer | {"missing": True}
    return answer | {"outcomes": [_call(student, function, case) for case in request["cases"]]}


def _load_utils(project, notes):
    """Import the student's utils; what is missing in it, or all of it if it fails, comes from the project's own."""
    own = project / "project_code" / "utils.py"
    try:
        theirs = importlib.import_module("utils")
    except BaseException as error:
        fault = _describe_error(error)
        notes.append({"what": "utils.py could not be imported and the project's own was used", "error": fault})
        sys.modules["utils"] = _import_file(own)
        return
    definitions = (ast.FunctionDef, ast.ClassDef)
    names = [node.name for node in ast.parse(own.read_bytes()).body if isinstance(node, definitions)]
    lost = [name for name in names if not name.startswith("_") and not hasattr(theirs, name)]
    if lost:
        original = _import_file(own)
        for name in lost:
            setattr(theirs, name, getattr(original, name))
        notes.append({"what": f"utils.py lacks {', '.join(lost)}, taken from the project's own", "error": None})


def _import_file(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load(path, name, notes):
    """Import a file statement by statement, so that one failing line at its top does not take the rest with it."""
    tree = ast.parse(path.read_bytes(), path.name)
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    flags = 0
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            flags |= sum(getattr(__import__("__future__"), alias.name).compiler_flag for alias in statement.names)
            continue
        try:
            code = compile(ast.Module([statement], []), str(path), "exec", flags, dont_inherit=True)
            exec(code, vars(module))
        except BaseException as error:
            what = f"line {statement.lineno} of {path.name} failed on import and was passed over"
            notes.append({"what": what, "error": _describe_error(error)})
    return module


def _lend(student, names, source, project):
    """Put the reference's functions in the place of the student's, for a test of what calls them."""
    module = types.ModuleType("lent")
    module.__file__ = str(project / "proj2_code" / "student_code.py")
    theirs = sys.modules.get("utils")
    sys.modules["utils"] = _import_file(project / "project_code" / "utils.py")
    exec(compile(source, "lent", "exec"), vars(module))
    sys.modules["utils"] = theirs
    for name in names:
        setattr(student, name, getattr(module, name))


def _call(student, function, case):
    outcome = {"value": None, "error": None, "args": [], "grads": [], "ready_made": []}
    try:
        args = [_to_native(arg, student) for arg in case["args"]]
        if case["grad"]:
            args[0].requires_grad_()
        with _tracing(outcome["ready_made"]):
            value = function(*args, **case["kwargs"])
        outcome["value"] = _from_native(value, case["probe"])
        if case["grad"]:
            value.sum().backward()
            outcome["grads"] = [_from_native(args[0].grad)]
        outcome["args"] = [_from_native(arg) for arg in args]
    except BaseException as error:
        outcome["error"] = _describe_error(error)
    return outcome


@contextlib.contextmanager
def _tracing(names):
    """Note the operators torch runs, whatever name they were called by, and calls into READY_MADE packages."""
    from torch.utils._python_dispatch import TorchDispatchMode

    def note(name):
        if name not in names and len(names) < 200:
            names.append(name)

    class Operators(TorchDispatchMode):
        @classmethod
        def _should_skip_dynamo(cls):
            return False  # or every worker would spend two seconds on importing torch's compiler

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            note(f"torch.{func._schema.name.removeprefix('aten::')}")
            return func(*args, **(kwargs or {}))

    def profile(frame, event, arg):
        if event == "call" and any(path in frame.f_code.co_filename for path in READY_MADE):
            note(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}")

    _calls_of_ufuncs.clear()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        with Operators():
            yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        names.extend(_calls_of_ufuncs)


def _trace_ufuncs():
    """scipy's expit is a ufunc, which no profiler sees: wrap it before the submission imports it."""
    special = sys.modules.get("scipy.special")
    for name in ("expit", "log_expit") if special else ():
        setattr(special, name, _traced(getattr(special, name), f"scipy.special.{name}"))


def _traced(function, name):
    def call(*args, **kwargs):
        _calls_of_ufuncs.add(name)
        return function(*args, **kwargs)

    return call


def _to_native(value, student):
    import torch

    if isinstance(value, Tensor):
        return torch.from_numpy(value.array.copy()).to(getattr(torch, value.dtype))
    if isinstance(value, list | tuple):
        return type(value)(_to_native(item, student) for item in value)
    if isinstance(value, Thing) and value.kind == "model":
        return _red_is_car()
    if isinstance(value, Thing) and value.kind == "dataset":
        return _frames(value.facts["items"])
    if isinstance(value, Thing):
        return getattr(student, value.facts["function"])()
    return value


def _red_is_car():
    """A model that takes an image's first channel for the car probability and keeps note of how it was run."""
    import torch

    class RedIsCar(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.frozen = torch.nn.BatchNorm2d(1).eval()
            self.trained, self.tracked, self.ranks = [], [], []

        def forward(self, x):
            self.trained.append(self.training)
            self.tracked.append(torch.is_grad_enabled())
            self.ranks.append(x.ndim)
            return x[:, :1] * self.scale

        @torch.no_grad()
        def predict(self, x):
            if self.training:
                self.eval()
            return self.forward(x)

        def facts(self):
            return {
                "trained": self.trained,
                "tracked": self.tracked,
                "ranks": self.ranks,
                "training": [self.training, self.frozen.training],
            }

    return RedIsCar()


def _frames(items):
    import torch

    class Frames(torch.utils.data.Dataset):
        def __len__(self):
            return len(items)

        def __getitem__(self, i):
            return items[i]

        def facts(self):
            return {"items": items}

    return Frames()


def _from_native(value, probe=()):
    import torch

    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return (int if isinstance(value, int) else float)(value)
    if isinstance(value, str):
        return value[:1000]
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().to_dense() if value.layout != torch.strided else value.detach().cpu()
        if plain.numel() > LARGEST_ARRAY:
            return Thing("too large", {"shape": list(plain.shape)})
        name = str(value.dtype).removeprefix("torch.")
        return Tensor((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(), name)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc" and value.size <= LARGEST_ARRAY:
        return np.asarray(value)
    if isinstance(value, list | tuple):
        items = [_from_native(item) for item in value[:MOST_ITEMS]]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, torch.nn.Module) and not hasattr(value, "facts"):
        return _describe_network(value, probe)
    facts = value.facts() if hasattr(value, "facts") else {}
    return Thing(type(value).__name__, facts)


def _describe_network(network, probe):
    import torch

    names = [f"{base.__module__}.{base.__qualname__}" for base in type(network).__mro__]
    training = [name or "the model itself" for name, module in network.named_modules() if module.training]
    state = {name: fingerprint(tensor) for name, tensor in network.state_dict().items()}
    network.eval()  # its mode is noted: a forgotten eval() need not cost the test of its outputs as well
    with torch.inference_mode():
        outputs = [_from_native(network(torch.from_numpy(x))) for x in probe]
    return Thing("network", {"classes": names, "training": training[:3], "state": state, "outputs": outputs})


def fingerprint(tensor):
    """Shape, sum and sum of magnitudes: enough to tell one trained tensor from another."""
    values = tensor.detach().cpu().double()
    return [list(values.shape), values.sum().item(), values.abs().sum().item()]


def _describe_error(error):
    line, file = None, None
    trace = error.__traceback__
    while trace:
        name = os.path.basename(trace.tb_frame.f_code.co_filename)
        if name in ("student_code.py", "utils.py"):
            line, file = trace.tb_lineno, name
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line, file = error.lineno, os.path.basename(str(error.filename))
    try:
        message = str(error.msg if isinstance(error, SyntaxError) else error)[:1000]
    except BaseException:
        message = ""
    memory = isinstance(error, MemoryError) or "can't allocate memory" in message or "Cannot allocate memory" in message
    return {"type": type(error).__name__, "message": message, "line": line, "file": file, "memory": memory}
