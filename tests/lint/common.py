"""What the lints share: the C files of the tree, and TAP. Not a lint itself."""
import glob
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from tap import Tap  # noqa: E402  (tests/lib is no package)

__all__ = ["FOLDERS", "Tap", "c_files", "finish"]
FOLDERS = (".", "lib", "check", "repair", "viz")


def c_files(ext="[ch]", folders=FOLDERS):
    """The C files of the folders and of their rooms."""
    return sorted(f.removeprefix("./") for d in folders
                  for room in (("",) if d == "." else ("", "*/"))
                  for f in glob.glob(f"{d}/{room}*.{ext}"))


def finish(tap, nothing="nothing to look at"):
    """End the lint; one that had nothing to look at has been skipped."""
    if not tap.count:
        tap.skip("all of it", nothing)
    sys.exit(tap.finish())
