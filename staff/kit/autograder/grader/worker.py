"""Runs the student's functions on given inputs and sends back what they return.

Everything here shares a process with the student's code and may be altered by it; what it sends is judged elsewhere.
"""

import ast
import functools
import importlib.util
import marshal
import os
import sys
import tempfile
import types
from pathlib import Path

import numpy as np

from . import objects
from .submission import CODE, OWN
from .tracing import trace_ufuncs, tracing
from .values import Tensor, dumps

OWN_UTILS = f"{OWN}/utils.py"
# Tracing makes every operator some ten times as slow, so a loop over the pixels of a large mask runs without.
LARGEST_TRACED = 5000


def run(request: dict, project: Path, send: int) -> None:
    """Answer one request in two frames: how importing the submission went, and what its function gave on every case."""
    student, imported = _import(project, request)
    _send(send, dumps(imported))
    try:
        frame = dumps(_answer(request, student, project) if student and request["function"] else {})
    except BaseException as error:  # also of an answer that cannot be written, such as an int of a million digits
        frame = dumps({"error": _describe_error(error)})
    _send(send, frame)


def settle_in(project: Path, home: Path) -> None:
    """Prepare this process for the student's code: its folders, and an empty `__main__`."""
    names = ("HOME", "TMPDIR", "MPLCONFIGDIR", "TORCH_HOME", "XDG_CACHE_HOME")
    os.environ.update(dict.fromkeys(names, str(home)))
    os.chdir(project)
    tempfile.tempdir = None  # found before this process began, for another user
    sys.modules["__main__"] = types.ModuleType("__main__")  # or multiprocessing's `spawn` would import the supervisor
    # As at home, where the notebook runs in the root: helper files are found in both. The first entry was the grader's.
    sys.path[:1] = [str(project / CODE), str(project)]


def _send(send, frame):
    while frame:
        frame = frame[os.write(send, frame) :]


def _import(project, request):
    """Return the student's module (or None) and a report on the import, longer if no function is called."""
    notes = []
    trace_ufuncs()
    path = project / CODE / "student_code.py"
    try:
        if b"utils" in path.read_bytes():
            _load_utils(project, notes)
        student = _load(path, "student_code", notes)
    except BaseException as error:
        return None, {"notes": notes, "broken": _describe_error(error)}
    imported = {"notes": notes, "broken": None}
    if not request["function"]:
        imported["functions"] = [name for name, value in vars(student).items() if callable(value)]
        imported["unwritten"] = _unwritten(student, path)
    return student, imported


def _load_utils(project, notes):
    """Import the student's utils; what is missing in it, or all of it if it fails, comes from the project's own."""
    own = project / OWN_UTILS
    try:
        theirs = importlib.import_module("utils")
    except BaseException as error:
        notes.append(
            {"what": "utils.py could not be imported and the project's own was used", "error": _describe_error(error)}
        )
        theirs = sys.modules["utils"] = _import_file(own)
    # `from proj2_code.utils import …`, which works where the root is on the path, finds the same module.
    sys.modules[f"{CODE}.utils"] = theirs
    lost = [name for name in defined_in(own) if not hasattr(theirs, name)]
    if lost:
        original = _import_file(own)
        for name in lost:
            setattr(theirs, name, getattr(original, name))
        notes.append({"what": f"utils.py lacks {', '.join(lost)}, taken from the project's own", "error": None})


@functools.cache  # filled by the supervisor, since parsing takes a while
def defined_in(path: Path) -> list[str]:
    """The public functions and classes of a file of the project's own."""
    definitions = (ast.FunctionDef, ast.ClassDef)
    names = [node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, definitions)]
    return [name for name in names if not name.startswith("_")]


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
    sys.modules[name] = sys.modules[f"{CODE}.{name}"] = module
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


def _unwritten(student, path):
    """The functions that only say that they are not written yet, and what a call of each raises: no need to call it."""
    found = {}
    for node in ast.parse(path.read_bytes()).body:
        match node:
            case ast.FunctionDef(body=[*before, ast.Raise(exc=ast.Call() as call) as last], decorator_list=[]):
                alone = len(before) == (ast.get_docstring(node) is not None)
                code = getattr(getattr(student, node.name, None), "__code__", None)  # it may be another by now
                here = code is not None and code.co_firstlineno == node.lineno and code.co_filename == str(path)
                if alone and here and ast.unparse(call.func) == "NotImplementedError":
                    message = " ".join(str(arg.value) for arg in call.args if isinstance(arg, ast.Constant))
                    found[node.name] = _error("NotImplementedError", message, last.lineno, path.name)
    return found


def _answer(request, student, project):
    if request["stand_ins"]:
        _put_stand_ins(student, request["stand_ins"], request.pop("stand_in_code"), project)
    function = getattr(student, request["function"], None)
    if not callable(function):
        return {"missing": True}
    return {"outcomes": [_call(student, function, case, request["traced"]) for case in request["cases"]]}


def _put_stand_ins(student, names, code, project):
    """Put the reference's functions in the place of the student's, for a test of what calls them.

    They come as bytecode, and README.md says why nothing that such a run prints or writes is seen by anybody.
    """
    module = types.ModuleType("stand_in")
    module.__file__ = str(project / CODE / "student_code.py")
    theirs = sys.modules.get("utils")
    sys.modules["utils"] = _import_file(project / OWN_UTILS)
    exec(marshal.loads(code.tobytes()), vars(module))
    sys.modules["utils"] = theirs
    for name in names:
        setattr(student, name, getattr(module, name))


def _call(student, function, case, traced):
    outcome = {"value": None, "error": None, "args": [], "grads": [], "calls": []}
    try:
        args = [objects.to_native(arg, student) for arg in case["args"]]
        if case["grad"]:
            args[0].requires_grad_()
        if traced and _elements(case["args"]) <= LARGEST_TRACED:
            with tracing(outcome["calls"]):
                value = function(*args, **case["kwargs"])
        else:
            value = function(*args, **case["kwargs"])
        outcome["value"] = objects.from_native(value, case["probe"])
        if case["grad"]:
            value.sum().backward()
            outcome["grads"] = [objects.from_native(args[0].grad)]
        outcome["args"] = [objects.from_native(arg) for arg in args]
    except BaseException as error:
        outcome["error"] = _describe_error(error)
    return outcome


def _elements(args):
    arrays = (arg.array if isinstance(arg, Tensor) else arg for arg in args)
    return sum(array.size for array in arrays if isinstance(array, np.ndarray))


def _describe_error(error):
    line, file = None, None
    trace = error.__traceback__
    while trace:
        path = trace.tb_frame.f_code.co_filename
        if os.path.basename(path) in ("student_code.py", "utils.py"):
            line, file = trace.tb_lineno, os.path.basename(path)
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line, file = error.lineno, os.path.basename(str(error.filename))
    try:
        message = str(error.msg if isinstance(error, SyntaxError) else error)[:1000]
    except BaseException:
        message = ""
    memory = isinstance(error, MemoryError) or "can't allocate memory" in message or "Cannot allocate memory" in message
    return _error(type(error).__name__, message, line, file, memory)


def _error(kind, message, line, file, memory=False):
    return {"type": kind, "message": message, "line": line, "file": file, "memory": memory}
