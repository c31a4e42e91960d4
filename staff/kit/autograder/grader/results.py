"""results.json in the form Gradescope documents, written whole or not at all."""

import json
import os
import re
import tempfile
import time
from pathlib import Path

LONGEST = 600
ABOUT_HIDDEN = "The tests shown at first are worth "  # the beginning of a note that every student gets


class Results:
    """The state of one grading. `publish` may be called at any time; the file is valid JSON from the first call on."""

    def __init__(self, path: Path, tests: list):
        self.path = path
        self.notes: list[str] = []
        self._started = time.monotonic()
        self._tests = [
            {
                "number": f"{test.todo.split(':')[0].removeprefix('TO-DO ')}.{test.number}",
                "name": f"{test.todo} · {test.title}",
                "score": 0,
                "max_score": test.points,
                "status": "failed",
                "output": "Not run: the grading ended before it came to this test.",
                "visibility": "visible" if test.visible else "after_published",
                "tags": [test.todo],
            }
            for test in tests
        ]

    def record(self, i: int, passed: bool, message: str) -> None:
        """Note how test `i` went."""
        entry = self._tests[i]
        entry["score"] = entry["max_score"] if passed else 0
        entry["status"] = "passed" if passed else "failed"
        entry["output"] = sentence(message)

    def publish(self, final: bool = False) -> None:
        """Write results.json; until the final time only this user may read it, for it holds hidden tests' results."""
        content = {
            "score": sum(entry["score"] for entry in self._tests),
            "execution_time": round(time.monotonic() - self._started, 1),
            "output": "\n".join(map(sentence, self.notes)),
            "stdout_visibility": "hidden",
            "tests": self._tests,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=1, allow_nan=False)
        handle, partial = tempfile.mkstemp(prefix=".results-", dir=self.path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(handle, 0o644 if final else 0o600)
        os.replace(partial, self.path)

    def table(self) -> str:
        """A line a test, for the log that only staff see."""
        lines = [f"{e['score']:>3} / {e['max_score']:<3} {e['name']}: {e['output']}" for e in self._tests]
        total, most = (sum(entry[key] for entry in self._tests) for key in ("score", "max_score"))
        return "\n".join([*lines, f"total {total} / {most}"])


def sentence(text: str) -> str:
    """`text` on one line, printable, of a bounded length."""
    text = re.sub(r"\s+", " ", text[: 4 * LONGEST].encode("utf-8", "replace").decode())
    text = "".join(character for character in text if character.isprintable()).strip()
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
