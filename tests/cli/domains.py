#!/usr/bin/env python3
"""qfsck check --domain, beside libvirt's own test driver, and the hook."""

import ctypes.util
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from tap import Tap                                         # noqa: E402
from show import WORK                                       # noqa: E402
import make                                                 # noqa: E402
import qcow2                                                # noqa: E402
import tools                                                # noqa: E402

tap = Tap()
HOOK = os.path.join(HERE, "..", "..", "share", "libvirt", "qemu")
DISK = """<disk type='{type}' device='{device}'>
<driver name='qemu'{format}/>{source}
<backingStore type='file'><format type='qcow2'/>
<source file='/nowhere/base'/><backingStore/></backingStore>
<target dev='{target}' bus='virtio'/></disk>"""


def at(name):
    return os.path.join(WORK, name)


def escaped(text):
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), ("'", "&apos;")):
        text = text.replace(char, entity)
    return text


def disk(target, path=None, form="qcow2", device="disk", source=None):
    return DISK.format(
        type="file" if path else "network", device=device, target=target,
        format=form and " type='%s'" % form,
        source=source or "<source file='%s'/>" % escaped(path))


def domain(name, *disks, running=True):
    state = "" if running else \
        "<test:runstate xmlns:test='http://libvirt.org/schemas/domain/" \
        "test/1.0'>5</test:runstate>"
    return ("<domain type='test'><name>%s</name><memory>65536</memory>"
            "<os><type>hvm</type></os>%s<devices>%s</devices></domain>" % (
                escaped(name), state, "".join(disks)))


def node(*domains):
    path = at("node.xml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("<node>%s</node>" % "".join(domains))
    return "test://" + path


def check(*args, uri=None, feed=None, **env):
    """(status, {file: verdict}, stderr)."""
    env["LIBVIRT_DEFAULT_URI"] = uri or ""
    status, out, err = tools.run(
        ["env", *("%s=%s" % v for v in env.items()), tools.qfsck_path(),
         "check", "--output=json", *args], feed=feed)
    told = {}
    text = out.decode()
    for line in text.splitlines() if "\n{" in text else [text]:
        if line.strip():
            report = json.loads(line)
            told[report["filename"]] = report["verdict"]
    return status, told, err.decode()


def images():
    good, bad, name = at("good.qcow2"), at("bad.qcow2"), at("a <b> & 'c'.qcow2")
    make.build(good, "4M", ["write -P 1 0 1M"])
    shutil.copy(good, name)
    shutil.copy(good, bad)
    with qcow2.Image(bad) as image:
        image.put64(image.l2_pos(0, 1), 0x1200 | qcow2.COPIED)
    return good, bad, name


def by_libvirt(good, bad, name):
    uri = node(
        domain("one", disk("vda", good), disk("vdb", at("data.raw"), "raw"),
               disk("hda", at("cd.iso"), "raw", device="cdrom"),
               disk("vdc", form="qcow2", source="<source protocol='nbd' "
                    "name='x'><host name='h'/></source>")),
        domain("two & more", disk("vda", bad), disk("vdb", name, ""),
               disk("vdc", good), running=False),
        domain("none", disk("vda", at("data.raw"), "raw")))
    status, told, err = check("--domain=one", uri=uri)
    tap.result(status == 0 and told == {good: "clean"} and
               err.splitlines() == [
                   "qfsck: one: vdb is not checked: raw",
                   "qfsck: one: vdc is not checked: it is no file or device "
                   "of this host"],
               "one domain: its qcow2 images, not its other disks",
               [str((status, told, err))])
    status, told, err = check("--domain=two & more", uri=uri)
    tap.result(status == 2 and told == {bad: "corrupt", name: "clean",
                                        good: "clean"},
               "a domain that is shut off, names with everything in them",
               [str((status, told, err))])
    status, told, err = check("--all-domains", uri=uri)
    tap.result(status == 2 and told == {bad: "corrupt", name: "clean",
                                        good: "clean"} and
               "4 images" not in err, "all domains, each image once",
               [str((status, told, err))])
    status, told, err = check("--domain=one", "--domain=two & more", bad,
                              uri=uri)
    tap.result(status == 2 and len(told) == 3, "several, and a name",
               [str((status, told, err))])
    status, told, err = check("--domain=none", uri=uri)
    tap.result(status == 0 and not told and
               "none: no qcow2 image on this host" in err,
               "a domain without such images", [str((status, told, err))])
    status, told, err = check("--domain=three", uri=uri)
    tap.result(status == 1 and not told and
               err.startswith("qfsck: three: libvirt: ") and
               "virsh list --all" in err, "no such domain",
               [str((status, told, err))])
    status, told, err = check("--all-domains", uri="qemu+unix:///system?socket=/nowhere")
    tap.result(status == 1 and not told and
               err.startswith("qfsck: all domains: libvirt: ") and
               len(err.splitlines()) == 1, "libvirt does not answer",
               [str((status, told, err))])


def without_libvirt():
    """Its absence is one clear line, and what to do instead."""
    away = at("away")
    os.makedirs(away)
    with open(os.path.join(away, "libvirt.so.0"), "wb"):
        pass  # found before any other, and no library
    status, told, err = check("--domain=one", LD_LIBRARY_PATH=away)
    lines = err.splitlines()
    tap.result(status == 1 and not told and len(lines) == 2 and
               "libvirt.so.0 cannot be used" in lines[0] and
               "virsh domblklist" in lines[1], "no libvirt here",
               [str((status, told, err))])


def described(good, bad, name):
    text = domain("vm", disk("vda", good), disk("vdb", name)).encode()
    status, told, err = check("--domain-xml=-", feed=text)
    tap.result(status == 0 and told == {good: "clean", name: "clean"} and
               err == "2 images: 2 clean\n", "a description on standard input",
               [str((status, told, err))])
    with open(at("vm.xml"), "wb") as f:
        f.write(domain("vm", disk("vda", bad), disk(
            "vdb", form="qcow2", source="<source pool='p' volume='v'/>"
        )).encode())
    status, told, err = check("--domain-xml", at("vm.xml"))
    tap.result(status == 2 and told == {bad: "corrupt"} and
               "vm: vdb is not checked" in err, "in a file",
               [str((status, told, err))])
    for what, feed in (("nothing", b""), ("no XML", b"domain"),
                       ("a pool", b"<pool><name>x</name></pool>"),
                       ("cut off", text[:-30]), ("zeros", bytes(5 << 20))):
        status, told, err = check("--domain-xml=-", feed=feed)
        tap.result(status == 1 and not told and
                   "is no description of a domain" in err,
                   "no description: " + what, [str((status, told, err))])
    status, told, err = check("--domain-xml", at("nowhere"))
    tap.result(status == 1 and "cannot open" in err, "no such file", [err])


def hook(good, bad, name):
    def start(*disks, stage=("prepare", "begin", "-")):
        return tools.run(["env", "QFSCK=" + tools.qfsck_path(), HOOK, "vm",
                          *stage], feed=domain("vm", *disks).encode())

    status, out, err = start(disk("vda", good), disk("vdb", name))
    tap.result((status, out) == (0, b""), "the hook lets a sound one start",
               [str(err)])
    status, out, err = start(disk("vda", good), disk("vdb", bad))
    tap.result(status == 1 and b"an image of vm is corrupt" in err and
               bad.encode() in err, "and refuses a corrupt one",
               [str((status, err))])
    status, out, err = start(disk("vda", at("away.qcow2")))
    tap.result(status == 0, "what cannot be checked is libvirt's to tell",
               [str((status, err))])
    status, out, err = start(disk("vda", bad), stage=("stopped", "end", "-"))
    tap.result(status == 0 and not err, "at other times it does nothing",
               [str((status, err))])


files = images()
if ctypes.util.find_library("xml2"):
    described(*files)
    hook(*files)
else:
    tap.skip("a domain's description", "no libxml2")
if ctypes.util.find_library("virt"):
    by_libvirt(*files)
else:
    tap.skip("domains by libvirt's test driver", "no libvirt")
without_libvirt()
sys.exit(tap.finish())
