"""What course staff use and students never open. Its programs run from the project's root: `python -m staff.…`."""

import os
import sys
from pathlib import Path

from data.get_camvid import escape_unprintable

ROOT = Path(__file__).resolve().parents[1]
# student_code and utils are flat modules, since that is how they are handed in.
sys.path.insert(0, str(ROOT / "proj2_code"))
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # albumentations would ask the network for a newer version of itself
escape_unprintable()  # for every program of staff
# nbformat's jsonschema needs seconds to import this package, and works without it.
sys.modules.setdefault("rfc3987_syntax", None)
