"""What a class handed in, as Gradescope exports it and as folders hold it: everything is read, and nothing is lost."""

import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from staff.kit import gradebook
from staff.kit.class_export import METADATA, Student, parse_time, printable, read_class

METADATA_OF_TWO = """---
submission_11:
  :submitters:
  - :name: Ana Müller
    :sid: '0071'
    :email: ana@example.edu
  :created_at: 2026-10-06 03:21:05.281219000 Z
  :score: 93.0
  :results: !ruby/hash:ActiveSupport::HashWithIndifferentAccess
    tests: []
  :history:
  - :id: 5
    :created_at: 2026-10-05 03:00:00.000000000 Z
    :score: 20.0
submission_12:
  :submitters:
  - :name: Bo
    :sid: '0072'
    :email: bo@example.edu
  - :name: Chen
    :sid: '0073'
    :email: chen@example.edu
  :created_at: 2026-10-07 04:00:00.000000000 Z
"""


def export(folder, metadata=METADATA_OF_TWO, names=("submission_11", "submission_12")):
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "student_code.py").write_text("x = 1\n")
    (folder / METADATA).write_text(metadata, "utf-8")
    return folder


@pytest.fixture
def read(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return lambda given, ignored=(): read_class(given, scratch, set(ignored))


def zipped(folder, target, root):
    return Path(shutil.make_archive(str(target), "zip", root, folder.relative_to(root)))


@pytest.mark.parametrize("form", ["folder", "folder in a folder", "zip", "zip in a folder"])
def test_export_is_read_as_it_is(tmp_path, read, form):
    folder = export(tmp_path / "outer" / "assignment_1_export")
    if form.startswith("zip"):
        packed = zipped(folder, tmp_path / "handed" / "export", folder.parent)
        given = packed if form == "zip" else packed.parent
    else:
        given = folder if form == "folder" else folder.parent
    one, two = read(given)
    assert (one.name, one.students) == ("submission_11", [Student("Ana Müller", "0071", "ana@example.edu")])
    assert [student.name for student in two.students] == ["Bo", "Chen"]
    assert one.handed_in == parse_time("2026-10-06T03:21:05.281219Z")
    assert one.history == ["2026-10-05 03:00:00 UTC, 20.0 points, id 5"]
    assert (one.path / "student_code.py").is_file() and not one.problem


def test_folders_and_metadata_that_do_not_agree_are_both_mentioned(tmp_path, read):
    folder = export(tmp_path / "class", names=("submission_11", "submission_99"))
    entries = {entry.name: entry for entry in read(folder)}
    assert set(entries) == {"submission_11", "submission_12", "submission_99"}
    assert "its folder is missing" in entries["submission_12"].problem and entries["submission_12"].students
    assert not entries["submission_99"].students and not entries["submission_99"].problem


@pytest.mark.parametrize("metadata", ["{broken", "just a text", "- a\n- list", "", "a: [" * 3000, "? {x: y}\n: z"])
def test_broken_metadata_costs_the_names_alone(tmp_path, read, capsys, metadata):
    entries = read(export(tmp_path / "class", metadata))
    assert [entry.name for entry in entries][:2] == ["submission_11", "submission_12"]
    assert not [entry for entry in entries if entry.students]
    assert METADATA in capsys.readouterr().err or len(entries) > 2


@pytest.mark.parametrize(
    "about", ["null", "7", "[]", "{':submitters': 7}", "{':submitters': [7, null, {}]}", "{':created_at': never}"]
)
def test_odd_values_in_the_metadata_are_left_out(tmp_path, read, about):
    (entry,) = read(export(tmp_path / "class", f"submission_11: {about}\n", ("submission_11",)))
    assert (entry.students, entry.handed_in, entry.problem) == ([], None, "")


def test_whatever_lies_in_a_folder_is_graded_or_said_why_not(tmp_path, read):
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("a.zip", "b.tar.gz", "c.rar", "d.7z", "e.py", "f.pdf", ".DS_Store", "._a.zip", "grades.csv"):
        (folder / name).write_bytes(b"x")
    (folder / "g.zip").mkdir()
    (folder / "empty").mkdir()
    (folder / "gone.zip").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe.zip")
    problems = {entry.name: entry.problem for entry in read(folder, [folder / "grades.csv"])}
    assert {name for name, problem in problems.items() if not problem} == {
        "a.zip",
        "b.tar.gz",
        "e.py",
        "g.zip",
        "empty",
    }
    assert "ask for a zip" in problems["c.rar"] and "ask for a zip" in problems["d.7z"]
    assert problems["f.pdf"].startswith("not a submission")
    assert "cannot be read" in problems["gone.zip"] and "cannot be read" in problems["loop"]
    assert problems["pipe.zip"] == "neither a file nor a folder"
    assert len(problems) == 11


def test_a_submission_among_others_cannot_speak_for_them(tmp_path, read):
    """A student could hand in the metadata of a whole class, with the names of others in it."""
    folder = tmp_path / "class"
    forged = export(tmp_path / "forged")
    zipped(forged, folder / "mallory", tmp_path)
    (folder / "bo.zip").write_bytes(b"x")
    bo, mallory = read(folder)
    assert (bo.name, bo.problem) == ("bo.zip", "")
    assert not mallory.students and "grade it apart" in mallory.problem


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no name can hold such a byte")
def test_any_name_can_be_shown(tmp_path, read):
    folder = tmp_path / "class"
    folder.mkdir()
    os.mkdir(os.fsencode(folder) + b"/M\xfcller_102")
    (folder / "two\nlines\x1b[31m\u202e").mkdir()
    names = [entry.name for entry in read(folder)]
    assert names == ["M\\xfcller_102", "two\\nlines\\x1b[31m\\u202e"]
    assert all(name.encode("utf-8").decode().isprintable() for name in names)
    assert printable("Ærø 日本") == "Ærø 日本"


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_damaged_entry_of_the_zip_costs_no_other(tmp_path, read, capsys, packed):
    archive, name = tmp_path / "export.zip", b"a/student_code.py"
    with zipfile.ZipFile(archive, "w", packed) as file:
        file.writestr(name.decode(), "first\n" * 5)
        file.writestr("b/student_code.py", "second\n" * 5)
    content = archive.read_bytes()
    start = content.index(name) + len(name)
    archive.write_bytes(content[:start] + b"\xff" * 8 + content[start + 8 :])
    first, second = read(archive)
    assert (first.name, first.problem) == ("a", "student_code.py is damaged in the zip")
    assert not list(first.path.iterdir()), "half a file would be graded"
    assert (second.name, second.problem) == ("b", "")
    assert "a/student_code.py could not be unpacked" in capsys.readouterr().err


def test_zip_that_is_none_is_named(tmp_path, read):
    (tmp_path / "export.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"export\.zip cannot be read as a zip"):
        read(tmp_path / "export.zip")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-10-06 03:21:05.281219000 Z", "2026-10-06T03:21:05.281219+00:00"),
        ("2026-10-06T03:21:05-04:00", "2026-10-06T07:21:05+00:00"),
        ("2026-10-06 03:21 -0400", "2026-10-06T07:21:00+00:00"),
        ("2026-10-06 03:21", "2026-10-06T03:21:00+00:00"),
    ],
)
def test_times_are_read_as_gradescope_and_iso_write_them(text, time):
    assert parse_time(text).isoformat() == time


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01 00:00 +1400"])
def test_what_is_no_time_is_none(text):
    assert parse_time(text) is None


def test_last_submission_counts_and_the_earlier_are_listed(tmp_path, read):
    metadata = METADATA_OF_TWO.replace("'0073'", "'0071'").replace("chen@", "ana@")
    lines = gradebook.lines_of(read(export(tmp_path / "class", metadata)), None)
    assert [(line.student.sid, line.entry.name) for line in lines] == [
        ("0071", "submission_12"),
        ("0072", "submission_12"),
    ]
    row = gradebook.row_of(lines[0], parse_time("2026-10-06 23:59:59 -0400"))
    assert row["earlier submissions"].startswith("submission_11 (2026-10-06 03:21:05 UTC)")
    assert row["group"] == "Bo" and row["late"] == "0 d 00:00:01"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_roster_gives_the_order_and_who_is_missing(tmp_path, read, encoding, separator):
    rows = [
        ("Last Name", "First Name", "SID", "Email", "Role"),
        ("Teacher", "Tom", "1", "tom@example.edu", "Instructor"),
        ("Silva", "Dara", "0099", "dara@example.edu", "Student"),
        ("Bo", "", "0072", "bo@example.edu", "Student"),
        ("Müller", "Ana", "", "ANA@example.edu", "Student"),
    ]
    roster = tmp_path / "roster.csv"
    roster.write_bytes("\r\n".join(separator.join(row) for row in rows).encode(encoding))
    lines = gradebook.lines_of(read(export(tmp_path / "class")), gradebook.read_roster(roster))
    assert [(line.student.name, line.remark) for line in lines] == [
        ("Dara Silva", "nothing handed in"),
        ("Bo", ""),
        ("Ana Müller", ""),
        ("Chen", "not on the roster"),
    ]


def test_plain_files_find_their_students_on_the_roster(tmp_path, read):
    folder = tmp_path / "class"
    folder.mkdir()
    for name in ("gburdell3.zip", "0071.tar.gz", "somebody.py"):
        (folder / name).write_bytes(b"x")
    roster = [Student("George", "0070", "gburdell3@example.edu"), Student("Ana", "0071", "")]
    lines = gradebook.lines_of(read(folder), roster)
    assert [(line.student.name, line.entry.name, line.remark) for line in lines] == [
        ("George", "gburdell3.zip", ""),
        ("Ana", "0071.tar.gz", ""),
        ("", "somebody.py", "not on the roster"),
    ]


def test_a_user_name_of_two_students_is_nobodys(tmp_path, read):
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "j.smith.zip").write_bytes(b"x")
    roster = [Student("Jo", "1", "j.smith@example.edu"), Student("Jim", "2", "j.smith@example.org")]
    lines = gradebook.lines_of(read(folder), roster)
    assert [(line.student.name, line.remark) for line in lines] == [
        ("Jo", "nothing handed in"),
        ("Jim", "nothing handed in"),
        ("", "not on the roster"),
    ]


def test_namesakes_stay_two_students(tmp_path, read):
    metadata = "".join(
        f"submission_{i}: {{':submitters': [{{':name': Li Wei{sid}}}]}}\n" for i, sid in ((11, ""), (12, ""))
    )
    lines = gradebook.lines_of(read(export(tmp_path / "class", metadata)), None)
    assert [line.entry.name for line in lines] == ["submission_11", "submission_12"]


@pytest.mark.parametrize(("content", "complaint"), [(b"", "is empty"), (b"points\n3\n", "needs a column called")])
def test_roster_that_is_none_is_named(tmp_path, content, complaint):
    (tmp_path / "roster.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"roster\.csv {complaint}"):
        gradebook.read_roster(tmp_path / "roster.csv")
    with pytest.raises(ValueError, match=r"absent\.csv cannot be read"):
        gradebook.read_roster(tmp_path / "absent.csv")
