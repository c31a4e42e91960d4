"""Make the report: proj2_template.pptx for students, dist/proj2_reference.pptx and .pdf with the answers for staff.

    python -m staff.kit.make_report

The template needs nothing but this repository. The reference copy takes its scores from build/iou.csv and its pictures
from build/proj2.ipynb, both written by `make run`; the PDF is made by LibreOffice where it is installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from staff import ROOT, files
from staff.kit.report.deck import Filling, make_deck
from staff.kit.report.inputs import NotebookPictures, ReportError, read_scores

# Where LibreOffice lies on systems that do not put it on the path.
OFFICE_PATHS = (
    "/Applications/LibreOffice.app/Contents/MacOS/soffice",
    r"C:\Program Files\LibreOffice\program\soffice.exe",
)
PDF_TIMEOUT_S = 300


def make_template(root: Path) -> Path:
    """Write proj2_template.pptx at the top of the repository `root` and return its path."""
    return _write(root / "proj2_template.pptx", make_deck(root))


def make_reference(root: Path) -> Path:
    """Write dist/proj2_reference.pptx and return its path.

    Raises:
        ReportError: the scores or a picture are missing or damaged; nothing is written then.
    """
    scores = read_scores(root / "build" / "iou.csv")
    pictures = NotebookPictures([root / "build" / "proj2.ipynb", root / "proj2.ipynb"])
    return _write(root / "dist" / "proj2_reference.pptx", make_deck(root, Filling(scores, pictures)))


def make_pdf(deck: Path, office: str | None) -> Path:
    """Write the PDF of a presentation beside it with the LibreOffice program `office` and return its path.

    A PDF of an earlier deck is deleted first, so that none is left that shows something else.

    Raises:
        ReportError: `office` is None, or it made no PDF.
    """
    pdf = deck.with_suffix(".pdf")
    pdf.unlink(missing_ok=True)
    if office is None:
        raise ReportError(
            f"No PDF: LibreOffice is not installed. Install it (its part Impress) and run `make report` again, "
            f"or open {deck} and export it."
        )
    # A profile of its own: a LibreOffice that is open with the usual one would take the job and answer nothing.
    with tempfile.TemporaryDirectory(dir=deck.parent) as folder:
        command = [office, f"-env:UserInstallation={(Path(folder) / 'profile').as_uri()}", "--headless"]
        command += ["--convert-to", "pdf", "--outdir", folder, str(deck)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=PDF_TIMEOUT_S)
            os.replace(Path(folder) / pdf.name, pdf)
        except (OSError, subprocess.SubprocessError) as error:
            raise ReportError(f"No PDF: {office} could not convert {deck}. Open it and export it.") from error
    return pdf


def find_office() -> str | None:
    """Return the path of LibreOffice's program, or None."""
    candidates = ("soffice", "libreoffice", *OFFICE_PATHS)
    return next(filter(None, map(shutil.which, candidates)), None)


def _write(path: Path, data: bytes) -> Path:
    files.replace(path, lambda partial: partial.write_bytes(data))
    return path


def main(root: Path = ROOT) -> int:
    """Make all files, print their names, and return the exit status. It is 0 also if only the PDF is missing."""
    try:
        print("wrote", make_template(root).relative_to(root))
        reference = make_reference(root)
        print("wrote", reference.relative_to(root))
    except (ReportError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        print("wrote", make_pdf(reference, find_office()).relative_to(root))
    except ReportError as error:
        print(error, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
