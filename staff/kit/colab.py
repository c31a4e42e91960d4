"""Lets the starter's notebook be opened in Colab from the repository that a course publishes its starter in."""

import re

from nbformat import NotebookNode

# The ids of the notebook's cells, and the texts in them that the repository's address replaces.
_SETUP, _TEXT, _TOP = "colab-setup", "colab", "brief"
_ZIP = "unpacks the project's zip (upload it to Colab's files beforehand, or when you are asked for it)"
_UPLOAD = (
    "unpack the zip on your computer. In Colab, choose *File*, *Upload notebook*, and take `proj2.ipynb` from it. Then "
    "run the cells from the top; one of them asks for the zip."
)


class Repository:
    """A repository on GitHub with the unpacked starter at its top, on the branch `main`."""

    def __init__(self, address: str):
        """`address` is as in `github.com/owner/repository`. Raises `ValueError` if it is not."""
        parts = re.fullmatch(r"(?:https?://)?github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?", address.strip())
        if parts is None:
            raise ValueError(f"COLAB must be like github.com/owner/repository, not {address!r}.")
        self.name = f"{parts[1]}/{parts[2]}"
        self.url = f"https://github.com/{self.name}"
        self.notebook = f"https://colab.research.google.com/github/{self.name}/blob/main/proj2.ipynb"

    def put_into_notebook(self, notebook: NotebookNode) -> None:
        """Add the badge, and let the Colab cell clone the repository. Raises `ValueError` where it cannot."""
        cells = {cell.id: cell for cell in notebook.cells}
        for name in (_SETUP, _TEXT, _TOP):
            if name not in cells:
                raise ValueError(f"proj2.ipynb has no cell {name!r}, where the repository's address belongs.")
        badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({self.notebook})"
        cells[_TOP].source = re.sub(r"\A(# .*\n)", rf"\1\n{badge}\n", cells[_TOP].source)
        cells[_TEXT].source = _replaced(_ZIP, f"clones [the project]({self.url})", cells[_TEXT].source, "proj2.ipynb")
        clone = f'subprocess.check_call(["git", "clone", "--quiet", "--depth", "1", "{self.url}", "proj2"])'
        source = re.sub(
            r'(?<=    if not find\("proj2_code"\):\n)(?: {8}.*\n)+', f"        {clone}\n", cells[_SETUP].source
        )
        for line in ("    import zipfile\n", "    from google.colab import files\n\n"):
            source = _replaced(line, "", source, "proj2.ipynb")
        if clone not in source:
            raise ValueError('proj2.ipynb, cell colab-setup: no lines below `if not find("proj2_code"):`.')
        cells[_SETUP].source = source

    def put_into_readme(self, text: str) -> str:
        """The starter's README with the way to Colab that needs no upload."""
        return _replaced(
            _UPLOAD, f"open [the notebook]({self.notebook}) and run the cells from the top.", text, "README.md"
        )


def _replaced(old: str, new: str, text: str, name: str) -> str:
    if old not in text:
        raise ValueError(f"{name} no longer says {old.strip()!r}: change it in staff/kit/colab.py too.")
    return text.replace(old, new)
