"""What the tests of the showing commands share."""

import os
import tempfile

import tools
from layouts import LAYOUTS

WORK = os.environ.get("TMPDIR") or tempfile.mkdtemp()


def qfsck(*args, cwd=None, feed=None):
    """(exit status, stdout, stderr) of qfsck ARGS."""
    status, out, err = tools.run([tools.qfsck_path(), *map(str, args)],
                                 cwd=cwd, feed=feed)
    return status, out, err.decode(errors="replace")


def shown(*args, cwd=None):
    """The JSON that qfsck ARGS prints; a complaint if it does not."""
    status, out, err = qfsck(*args, "--output=json", cwd=cwd)
    if status != 0:
        raise tools.Refused("qfsck %s: %s: %s" % (" ".join(map(str, args)),
                                                  status, err))
    return tools.parse(out)


def each_layout(tap, check, wanted=lambda name: True):
    """Makes every layout in a folder of its own and calls CHECK(name, path).

    CHECK returns a list of complaints.
    """
    for name in filter(wanted, sorted(LAYOUTS)):
        folder = os.path.join(WORK, name)
        os.makedirs(folder)
        path = os.path.join(folder, name + ".qcow2")
        try:
            LAYOUTS[name](path)
            notes = check(name, path)
        except tools.Refused as why:
            notes = [str(why)]
        tap.result(not notes, name, notes[:20])
        tools.run(["rm", "-rf", folder])
