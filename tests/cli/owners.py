#!/usr/bin/env python3
"""qfsck owners: every pointer that it names is read and followed by hand."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK, each_layout, qfsck, shown            # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
from tools import qfsck_check                               # noqa: E402

tap = Tap()
IMAGE_FIELDS = {"l1": (40, 8), "refcount-table": (48, 8),
                "snapshot-table": (64, 8)}


def follows(img, owner):
    """Whether the pointer at its place names the owner's host offset."""
    at, kind = owner["pointer-offset"], owner["kind"]
    if at is None:
        return kind in ("header", "bitmap-directory", "crypto")
    value = img.u64(at)
    if kind == "compressed":
        return img.compressed_range(value)[0] == owner["host-offset"]
    if kind in ("data", "l2") and int(owner["pointer"], 16) != value:
        return False
    return value & qcow2.OFFSET_MASK == owner["host-offset"]


def clusters_of(img):
    """Some of each sort: all of a small file, else every few."""
    count = img.clusters()
    return range(0, count, max(1, count // 25))


def compare(name, path):
    notes = []
    with qcow2.Image(path) as img:
        for cluster in clusters_of(img):
            place = shown("owners", "--cluster", cluster, path)
            owners = place["owners"]
            if place["refcount"] != img.refcount(cluster):
                notes.append("refcount: %s" % place)
            if len(owners) != place["refcount"]:
                notes.append("as many owners as references: %s" % place)
            if place["state"] != ("in use" if owners else "free"):
                notes.append("state: %s" % place)
            notes += ["pointer: %s" % o for o in owners
                      if not follows(img, o)]
            notes += there_and_back(path, img, cluster, owners)
    return notes


def there_and_back(path, img, cluster, owners):
    """From the guest offset of a data cluster back to the same owners."""
    data = [o for o in owners if o["kind"] == "data"]
    size = img.get("size")
    if not data or data[0]["guest-offset"] >= size:
        return []
    if "backing-extl2" in path:     # another subcluster may shine through
        return []
    answer = shown("owners", "--guest", data[0]["guest-offset"] + 511, path)
    mapped = {m["holder"] for m in answer["mappings"]
              if m["pointer-offset"] in {o["pointer-offset"] for o in data}}
    places = [p for p in answer["places"] if p["cluster"] == cluster]
    if mapped != {o["holder"] for o in data} or len(places) != 1 \
            or places[0]["owners"] != owners:
        return ["back from guest: %s %s" % (owners, answer)]
    return []


def classic():
    path = os.path.join(WORK, "classic.qcow2")
    make.build(path, "384k", [
        "write -P 65 0 128k", ("snap", "S1"), "write -P 66 64k 128k",
        ("snap", "S2"), "write -P 67 128k 128k"])
    answer = shown("owners", "--guest=64k", path)
    kinds = [(m["holder"], m["kind"], m["host-offset"])
             for m in answer["mappings"]]
    a, b = answer["mappings"][1], answer["mappings"][0]
    tap.result(kinds == [("active", "data", b["host-offset"]),
                         ("1", "data", a["host-offset"]),
                         ("2", "data", b["host-offset"])]
               and a["host-offset"] != b["host-offset"],
               "A of S1, B of S2 and the active disk", [str(answer)])
    only = shown("owners", "--guest=64k", "-s", "S1", path)
    tap.result([m["name"] for m in only["mappings"]] == ["S1"]
               and len(only["places"]) == 1, "only in one snapshot",
               [str(only)])
    host = shown("owners", "--host", a["host-offset"] + 77, path)
    tap.result(host["host-offset"] == a["host-offset"]
               and host["owners"] == only["places"][0]["owners"],
               "from an offset within the cluster", [str(host)])
    status, out, err = qfsck("owners", "--guest=64k", path)
    tap.result(status == 0 and b'snapshot 2 ("S2"): data at' in out,
               "for people", [out.decode(), err])


def other_places():
    path = os.path.join(WORK, "places.qcow2")
    make.build(path, "1M", ["write -z 0 64k", ("snap", "one")])
    zero = shown("owners", "--guest=0", path)
    tap.result([m["kind"] for m in zero["mappings"]] == ["zero", "zero"]
               and zero["places"] == [], "zeros have no place", [str(zero)])
    none = shown("owners", "--guest=512k", path)
    tap.result([m["kind"] for m in none["mappings"]] ==
               ["unmapped", "unmapped"], "unmapped", [str(none)])
    with qcow2.Image(path) as img:
        clusters = img.clusters()
        img.truncate((clusters + 2) * img.cluster)
        img.set_refcount(clusters, 1)
    found = [shown("owners", "--cluster", n, path)["state"]
             for n in (clusters, clusters + 1, clusters + 2, 1 << 40)]
    tap.result(found == ["leaked", "free", "outside the file",
                         "outside the file"], "nobody's", [str(found)])


def as_check_says():
    """Of a refcount block that is wrong throughout, check names the owner that
    its cluster has, not that of what the block counts."""
    path = os.path.join(WORK, "block.qcow2")
    make.build(path, "8M", ["write -P 1 0 4M"], cluster_size=4096)
    with qcow2.Image(path) as img:
        img.write(img.tables()["refblock"][0], bytes(img.cluster))
    _, report, _, _ = qfsck_check(path)
    found = [f for f in report["findings"] if f["id"] == 1510]
    kinds = {o["kind"] for f in found for o in shown(
        "owners", "--host", f["host-offset"], path)["owners"]}
    tap.result(len(found) == 1 and kinds == {"refcount-block"} and
               found[0]["owner"] == "refcount block 0" and
               "guest-offset" not in found[0], "a block's owner, as check "
               "says", [str(found), str(kinds)])


def refusals():
    path = os.path.join(WORK, "plain.qcow2")
    make.build(path, "1M")
    for args in ((), ("--host=0", "--guest=0"), ("--host=0", "-s", "1"),
                 ("--guest=1M",), ("--guest=0", "-s", "none"),
                 ("--host=zero",), ("--cluster=0xffffffffffffff",)):
        status, out, err = qfsck("owners", *args, path)
        tap.result(status == 1 and not out and err, "refused: %s" % (args,),
                   [str(status), err])


each_layout(tap, compare, lambda name: name != "refcount-growth")
classic()
other_places()
as_check_says()
refusals()
sys.exit(tap.finish())
