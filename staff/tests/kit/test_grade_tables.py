"""The CSV and the page of a class, and the comparison of two tables."""

import csv
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from staff.kit import compare_grades, grade_page, gradebook, spreadsheet
from staff.kit.class_export import Entry, Student, parse_time
from staff.kit.gradebook import Line

TESTS = (("1.1", "TO-DO 1: sigmoid", 7), ("1.2", "TO-DO 1: sigmoid", 8), ("2.1", "TO-DO 2: softmax", 5))


def results(scores, sentences=("Expected 0.5, got 0.25.", "Expected 2, got 7.", "No such function.")):
    tests = [
        {
            "number": number,
            "name": f"{todo} · test {number}",
            "score": score,
            "max_score": most,
            "output": "As expected." if score else sentence,
            "visibility": "visible",
            "tags": [todo],
        }
        for (number, todo, most), score, sentence in zip(TESTS, scores, sentences, strict=True)
    ]
    return {"score": sum(scores), "output": "", "tests": tests}


def line(name, scores, sid=""):
    student = Student(name, sid, f"{sid}@example.edu" if sid else "")
    entry = Entry(f"submission_{sid or name}", students=[student])
    return Line(student, entry, results=results(scores) if scores else None)


def table(target, lines):
    gradebook.write_table(target, lines, None)
    with target.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_table_has_a_line_a_student_with_points_of_todos_and_tests(tmp_path):
    missing = Line(Student("Chen", "3"), None, remark="nothing handed in")
    rows = table(tmp_path / "grades.csv", [missing, line("Ana", (7, 0, 5), "1")])
    assert [row["name"] for row in rows] == ["Chen", "Ana"]
    assert rows[0]["total"] == "" and rows[0]["notes"] == "nothing handed in"
    assert (rows[1]["total"], rows[1]["of"], rows[1]["TO-DO 1: sigmoid"]) == ("12", "20", "7")
    assert rows[1]["1.2 TO-DO 1: sigmoid · test 1.2"] == "0"


def test_table_without_any_result_still_has_its_columns(tmp_path):
    (row,) = table(tmp_path / "grades.csv", [Line(Student(), Entry("a.rar", problem="cannot be unpacked"))])
    assert row["total"] == "" and row["notes"] == "could not be graded: cannot be unpacked"


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "|x", "%x", "'=1"])
def test_no_cell_is_a_formula(tmp_path, name):
    gradebook.write_table(tmp_path / "grades.csv", [line(name, (7, 8, 5), "1")], None)
    text = (tmp_path / "grades.csv").read_text("utf-8-sig")
    cells = next(csv.reader(text.splitlines()[1:]))
    assert not [cell for cell in cells if re.match(r"\s*[=+\-@|%]", cell)]
    assert name in spreadsheet.read(tmp_path / "grades.csv")[1]


def test_the_csv_has_a_byte_order_mark_and_odd_bytes_are_escaped(tmp_path):
    gradebook.write_table(tmp_path / "grades.csv", [line("M\udcfcller", (7, 8, 5)), line("Ærø", (7, 8, 5))], None)
    content = (tmp_path / "grades.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") and "Ærø".encode() in content and b"M\\udcfcller" in content


def test_numbers_are_no_text():
    assert [spreadsheet.safe(value) for value in (0, -3, 2.5)] == [0, -3, 2.5]


@pytest.mark.parametrize(
    ("handed_in", "late"),
    [
        ("2026-10-06 12:00", ""),
        ("2026-10-06 11:59", ""),
        ("2026-10-06 12:00:01", "0 d 00:00:01"),
        ("2026-10-08 13:02:03", "2 d 01:02:03"),
    ],
)
def test_lateness(handed_in, late):
    assert gradebook.lateness(parse_time(handed_in), parse_time("2026-10-06 12:00")) == late


def test_comparison_names_student_test_and_difference(tmp_path):
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    table(
        old,
        [
            line("Ana", (7, 8, 5), "1"),
            line("Bo", (7, 0, 0), "2"),
            line("Bo", (7, 0, 5), "3"),
            line("Gone", (0, 0, 0), "4"),
        ],
    )
    table(
        new,
        [
            line("Bo", (7, 8, 0), "2"),
            line("Bo", (7, 0, 5), "3"),
            line("Ana", (7, 8, 0), "1"),
            line("New", (0, 0, 0), "5"),
        ],
    )
    assert compare_grades.compare(old, new).splitlines() == [
        "Ana: 20 → 15 (-5)",
        "    2.1 TO-DO 2: softmax · test 2.1: 5 → 0 (-5)",
        "Bo: 7 → 15 (+8)",
        "    1.2 TO-DO 1: sigmoid · test 1.2: 0 → 8 (+8)",
        "Gone: only in old.csv",
        "New: only in new.csv",
        "2 of 3 students changed.",
    ]


def test_comparison_shows_points_that_move_under_an_equal_total_and_new_tests(tmp_path):
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    table(old, [line("Ana", (7, 0, 5), "1"), line("Bo", None, "2")])
    later = line("Ana", (0, 7, 5), "1")
    later.results["tests"].append(later.results["tests"][0] | {"number": "1.3", "score": 0})
    table(new, [later, line("Bo", (7, 8, 5), "2")])
    report = compare_grades.compare(old, new)
    assert "Ana: 12 → 12 (+0)" in report and "1.3 TO-DO 1: sigmoid · test 1.1: none → 0" in report
    assert "Bo: none → 20" in report


def test_comparison_reads_rows_whose_last_cells_a_spreadsheet_dropped(tmp_path):
    for name, points in (("old.csv", (7, 0, 5)), ("new.csv", (0, 7, 5))):
        table(tmp_path / name, [line("Bo", None, "2"), line("Ana", points, "1")])
        rows = (tmp_path / name).read_text("utf-8-sig").splitlines()
        (tmp_path / name).write_text("\n".join(row.rstrip(",") for row in rows), "utf-8")
    report = compare_grades.compare(tmp_path / "old.csv", tmp_path / "new.csv")
    assert "Ana: 12 → 12 (+0)" in report and "1.1 TO-DO 1: sigmoid · test 1.1: 7 → 0" in report


@pytest.mark.parametrize("content", [b"", b"name,points\nAna,3\n", b"\x00\x01\x02"])
def test_comparison_names_the_file_that_is_no_table(tmp_path, content):
    table(tmp_path / "new.csv", [line("Ana", (7, 8, 5), "1")])
    (tmp_path / "old.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"old\.csv"):
        compare_grades.compare(tmp_path / "old.csv", tmp_path / "new.csv")


class Page(HTMLParser):
    """What a page shows, and what it would fetch."""

    def __init__(self, path):
        super().__init__()
        self.text, self.fetched, self.open = "", [], 0
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        self.open += tag == "details"
        names = ("src", "href", "data", "srcset", "action")
        self.fetched += [value for name, value in attributes if name in names and not value.startswith("#")]

    def handle_endtag(self, tag):
        self.open -= tag == "details"

    def handle_data(self, data):
        self.text += data


def test_page_shows_tests_and_students_and_needs_no_other_file(tmp_path):
    lines = [line("Ana <b>", (7, 8, 5), "1"), line("Bo", (0, 0, 5), "2"), line("Chen", (0, 8, 0), "3")]
    lines[2].results["tests"][0]["output"] = "Expected 0.5, got 1e-3."
    lines += [line("Dara", None, "4"), Line(Student("Eva"), None, remark="nothing handed in")]
    grade_page.write(tmp_path / "grades.html", "grades", lines, None)
    page = Page(tmp_path / "grades.html")
    text = " ".join(page.text.split())
    assert page.fetched == [] and page.open == 0
    assert "1 of 3" in text and "33%" in text
    assert "2 × Expected 0.5, got 0.25. Bo, Chen" in text  # numbers alone differ
    assert "Ana <b>" in page.text and "<b>" not in (tmp_path / "grades.html").read_text("utf-8")
    assert (tmp_path / "grades.html").read_text("utf-8").count("@import") == 0
    for who in ("Ana", "Bo", "Chen", "Dara", "Eva"):
        assert who in text


def test_page_of_a_class_without_results(tmp_path):
    grade_page.write(tmp_path / "grades.html", "grades", [Line(Student("Eva"), None, remark="nothing handed in")], None)
    assert "Eva" in Page(tmp_path / "grades.html").text


def test_group_counts_once_and_all_of_it_is_named(tmp_path):
    lines = [line("Ana", (0, 8, 5), "1"), line("Bo", (7, 8, 5), "2")]
    lines.append(Line(Student("Chen", "3"), lines[0].entry, results=lines[0].results))
    grade_page.write(tmp_path / "grades.html", "grades", lines, None)
    text = " ".join(Page(tmp_path / "grades.html").text.split())
    assert "1 of 2" in text and "2 × Expected 0.5, got 0.25. Ana, Chen" in text


def test_namesakes_in_a_group_are_two(tmp_path):
    one, other = Student("Li Wei", "1"), Student("Li Wei", "2")
    rows = [gradebook.row_of(Line(student, Entry("a", students=[one, other])), None) for student in (one, other)]
    assert [(row["sid"], row["group"]) for row in rows] == [("1", "Li Wei"), ("2", "Li Wei")]


def test_discrimination_is_the_point_biserial_correlation():
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    passed, rest = random.random(40) < 0.6, random.integers(0, 100, 40)
    assert grade_page.discrimination(passed, rest) == f"{stats.pointbiserialr(passed, rest)[0]:.2f}"
    assert grade_page.discrimination(np.ones(40, bool), rest) == ""
    assert grade_page.discrimination(passed, np.full(40, 5)) == ""
