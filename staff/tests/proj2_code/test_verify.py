"""utils.verify: what it answers, and that it judges what the files hold now."""

import importlib
import importlib.util
import io
import re
import sys
from pathlib import Path

import pytest
import torch

import student_code
import utils

RED, GREEN, END = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def fails_with_message():
    raise AssertionError("sigmoid(0) is 0.4, expected 0.5\n  and more\n")


def is_not_done():
    raise NotImplementedError("TO-DO 1: sigmoid")


def breaks_in_a_library():
    student_code.softmax(torch.ones(2), dim=5)


def is_done_but_ands_floats():
    return torch.ones(2) & torch.ones(2)


def breaks_in_given_code():
    student_code.sigmoid(torch.tensor([1j]))


def breaks_here():
    return {}["key"]


def skips():
    pytest.fail("no such thing")


def leaves():
    sys.exit(3)


def test_verify_says_correct_in_green_and_prints_nothing(capsys):
    assert utils.verify(lambda: None) == f'{GREEN}"Correct"{END}'
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (fails_with_message, "sigmoid(0) is 0.4, expected 0.5 and more"),
        (is_not_done, "TO-DO 1: sigmoid"),
        (
            is_done_but_ands_floats,
            "NotImplementedError: \"bitwise_and_cpu\" not implemented for 'Float' (test_verify.py, line ",
        ),
        (skips, "Failed: no such thing"),
        (leaves, "SystemExit: 3"),
        (
            breaks_in_a_library,
            "IndexError: Dimension out of range (expected to be in range of [-1, 0], but got 5) (student_code.py, ",
        ),
        (breaks_here, "KeyError: 'key' (test_verify.py, line "),
        (lambda missing: None, "TypeError: "),
    ],
)
def test_verify_says_wrong_in_red_and_why(test, reason):
    result = utils.verify(test)
    assert result.startswith(f'{RED}"Wrong"{END} {reason}') and "\n" not in result and "Traceback" not in result


def test_verify_names_the_line_that_called_given_code():
    where = re.search(r"\(student_code\.py, line (\d+)\)$", utils.verify(breaks_in_given_code))
    lines = Path(student_code.__file__).read_text("utf-8").splitlines()
    assert where and lines[int(where[1]) - 1].startswith("    x = utils.as_floating(x)")


def test_verify_shows_an_assertion_without_a_message(tmp_path):
    """Compiled apart: pytest gives every assertion of its own test files a message."""
    space = module_of(tmp_path / "plain.py", "def test():\n    y = 3\n    assert y == 4\n")
    assert utils.verify(space.test) == f'{RED}"Wrong"{END} it does not hold that y == 4 (plain.py, line 3).'


def test_verify_keeps_long_messages_short_and_printable(monkeypatch):
    def fails():
        raise AssertionError("expected ≥ 0 " + "x " * 5000)

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    result = utils.verify(fails)
    assert len(result) < 500 and "expected ? 0 x" in result


def test_verify_lets_the_interrupt_key_through_and_refuses_a_result():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        utils.verify(interrupted)
    with pytest.raises(TypeError, match="without brackets"):
        utils.verify(None)


def module_of(path, text, name=None):
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name or path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOURCE = """
import functools
import torch

def sigmoid(x):
    return 1 / (1 + torch.exp(-x))

partial = functools.partial(sigmoid, 1)
"""


@pytest.mark.parametrize(
    ("saved", "x", "y"),
    [
        (SOURCE, 0.0, 0.5),
        (SOURCE.replace("1 / (1", "3 / (1"), 0.0, 1.5),
    ],
)
def test_verify_judges_what_the_file_holds_now_wherever_its_functions_were_imported_to(
    monkeypatch, tmp_path, saved, x, y
):
    path = tmp_path / "student_code.py"
    module = module_of(path, SOURCE.replace("1 / (1", "7 / (1"))
    monkeypatch.setitem(sys.modules, "student_code", module)
    test = module_of(
        tmp_path / "test_sigmoid.py", "from student_code import sigmoid as s\ndef test():\n    return s(X)"
    )
    notebook = sys.modules["__main__"]
    monkeypatch.setattr(notebook, "sigmoid", module.sigmoid, raising=False)
    path.write_text(saved)
    results = []
    test.X = torch.tensor(x)
    assert utils.verify(lambda: results.append(module.sigmoid(torch.tensor(x)))) == f'{GREEN}"Correct"{END}'
    utils.verify(test.test)
    assert results == [pytest.approx(y)] and test.s is module.sigmoid is notebook.sigmoid
    assert test.test() == pytest.approx(y)


@pytest.mark.parametrize(
    ("saved", "reason"),
    [
        (SOURCE.replace("(-x))", "(-x)"), r"line 6: '\(' was never closed\."),
        (SOURCE.replace("    return 1 /", "  return\n    return 1 /"), r"line 7: unexpected indent"),
        (SOURCE + "\0", "null byte"),
        (SOURCE + "import no_such\n", r"line 9: ModuleNotFoundError: No module named 'no_such'"),
        (SOURCE + "sigmoid('a')\n", r"line 6: TypeError: "),
        ("exit(3)\n" + SOURCE, r"line 1: SystemExit: 3"),
    ],
)
def test_verify_names_the_line_of_a_file_that_cannot_be_imported_and_keeps_the_old_functions(
    monkeypatch, tmp_path, saved, reason
):
    path = tmp_path / "student_code.py"
    module = module_of(path, SOURCE)
    monkeypatch.setitem(sys.modules, "student_code", module)
    names = dict(vars(module))
    path.write_text(saved)
    result = utils.verify(lambda: pytest.fail("the test ran"))
    assert re.search(
        rf'^{re.escape(RED)}"Wrong"{re.escape(END)} student_code.py cannot be imported: .*{reason}', result
    )
    assert vars(module) == names


def test_verify_forgets_names_that_the_file_no_longer_has_and_leaves_other_modules_alone(monkeypatch, tmp_path):
    path = tmp_path / "student_code.py"
    module = module_of(path, SOURCE + "from torch import exp as f\n")
    monkeypatch.setitem(sys.modules, "student_code", module)
    path.write_text(
        SOURCE.replace("def sigmoid", "def sigmoids").replace("partial(sigmoid", "partial(sigmoids")
        + "from torch import log as f\n"
    )
    kept = torch.exp
    assert "Correct" in utils.verify(lambda: None)
    assert not hasattr(module, "sigmoid") and module.f is torch.log and torch.exp is kept


def test_verify_reads_utils_again_only_where_it_has_changed(monkeypatch, tmp_path):
    source = Path(utils.__file__).read_text(encoding="utf-8")
    module = module_of(tmp_path / "utils.py", source, "copied_utils")
    monkeypatch.setitem(sys.modules, "utils", module)
    monkeypatch.delitem(sys.modules, "student_code", raising=False)  # it would import this copy
    before = module.Dataset
    assert "Correct" in module.verify(lambda: None) and module.Dataset is before
    (tmp_path / "utils.py").write_text(source + "\nMORE = 1\n", encoding="utf-8")
    assert "Correct" in module.verify(lambda: None) and module.Dataset is not before and module.MORE == 1


@pytest.mark.parametrize("first", ["student_code", "proj2_code.student_code"])
def test_both_names_of_utils_are_one_module(monkeypatch, first):
    for name in ("student_code", "utils", "proj2_code", "proj2_code.student_code", "proj2_code.utils"):
        monkeypatch.setitem(sys.modules, name, None)  # so that it is put back afterwards
        del sys.modules[name]
    monkeypatch.syspath_prepend(utils.ROOT)  # puts the path back afterwards: student_code adds its folder
    importlib.import_module(first)
    assert importlib.import_module("utils") is importlib.import_module("proj2_code.utils")


def test_verify_names_student_code_that_is_gone(monkeypatch, tmp_path):
    path = tmp_path / "proj2_code" / "student_code.py"
    path.parent.mkdir()
    monkeypatch.setitem(sys.modules, "student_code", module_of(path, SOURCE))
    path.rename(path.with_name("student_code_old.py"))
    assert utils.verify(lambda: None) == f'{RED}"Wrong"{END} student_code.py is missing from proj2_code.'


def test_verify_does_not_need_student_code(monkeypatch):
    monkeypatch.delitem(sys.modules, "student_code", raising=False)
    assert "Correct" in utils.verify(lambda: None)
    monkeypatch.setitem(sys.modules, "student_code", None)
    assert "Correct" in utils.verify(lambda: None)


def test_printable_replaces_only_what_the_console_lacks(monkeypatch):
    for encoding, expected in (("cp1252", "José ? ×"), ("ascii", "Jos? ? ?"), ("utf-8", "José ≥ ×")):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
        assert utils.printable("José ≥ ×") == expected
    monkeypatch.setattr(sys, "stdout", None)
    assert utils.printable("José ≥ ×") == "José ≥ ×"
