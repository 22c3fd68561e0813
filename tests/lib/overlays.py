"""Overlays of raw disks, their bases, and what check --backing-chain says."""

import os
import shutil

from tools import qemu_img, qfsck_check

OURS = "guest-other-base"


def as_image(path, cluster=65536):
    qemu_img("convert", "-f", "raw", "-O", "qcow2", "-o",
             "cluster_size=%d" % cluster, path, path + ".qcow2")
    return path + ".qcow2"


def over(base, later, name, cluster=65536, fmt="qcow2"):
    """The overlay NAME on BASE that shows what the raw disk LATER does, and
    has no more clusters than that takes."""
    qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=%d" % cluster,
             "-F", "raw", "-b", os.path.abspath(later), name)
    qemu_img("rebase", "-b", os.path.abspath(base), "-F", fmt, name)
    return name


def rebased(name, base, fmt="qcow2"):
    """A copy of the overlay that names BASE."""
    out = "rebased.qcow2"
    shutil.copyfile(name, out)
    qemu_img("rebase", "-u", "-b", os.path.abspath(base), "-F", fmt, out)
    return out


def said(path, *options):
    """(exit code, [our findings], stderr)."""
    status, shown, err, _ = qfsck_check(os.path.abspath(path), *(
        options or ("--backing-chain",)))
    found = [f for f in shown["findings"] if f["name"] == OURS] if shown \
        else []
    return status, found, err
