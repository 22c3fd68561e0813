"""One case: a mutated image is checked, repaired, looked at, taken back.

Every fault is (class, sentence); the classes are in CLASSES. What no rule can
tell is not a fault and is counted apart, under the names in APART.
"""

import os
import re
import shutil

import closure
import mutation
import sight
from guestview import Beside, View
from tools import SECRET, luks_options, parse, qfsck_path

TIMEOUT = 20
SECONDS = 5             # of the processor, for one command
FLOOD_BYTES = 200 << 10
FLOOD_FINDINGS = 200
MEMORY = 64 << 10       # KiB more than four times what the sound image takes
CHUNK = 64 << 10
CLASSES = {
    "spoiled": "a byte that read right before the repair does not after",
    "given-up": "the same, but the repair told it as lost",
    "untold": "a wrong byte is not in check's list of what is lost",
    "clean": "check says clean (or leaks) over wrong bytes",
    "untold-after": "wrong after the repair, and told by no command",
    "freed": "a cluster that holds what is lost counts as free after the "
             "repair",
    "false-clean": "clean after the repair, and the image contradicts itself",
    "rival": "qemu-img check -r all gets more of the disk right",
    "changed": "check or repair -n changed a file",
    "plan": "repair -y did not do what -n said",
    "verdict": "two commands disagree on what the image is now",
    "not-idle": "a second repair does something",
    "undo": "undo does not give the bytes back",
    "crash": "killed by a signal, or an unknown exit code",
    "sanitizer": "a sanitizer's report",
    "hang": "took too long",
    "memory": "took too much memory",
    "flood": "the report is too long",
    "no-json": "the report is no JSON",
    "broken": "the mutator itself failed",
}
APART = {
    "payload": "wrong bytes that are mapped as they should be: what stands "
               "in a data cluster has no checksum",
    "nothing-tells": "wrong bytes in an image without any contradiction",
    "as-killed": "wrong bytes where nothing but a few leaks can tell, as a "
                 "killed writer leaves them",
}
SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|"
                       r"runtime error:).*")


def write_sparse(path, data):
    with open(path, "wb") as file:
        for at in range(0, len(data), CHUNK):
            piece = data[at:at + CHUNK]
            if piece.count(0) < len(piece):
                file.seek(at)
                file.write(piece)
        file.truncate(len(data))


def contents(path):
    """Its bytes; None if it has none, or hugely many."""
    try:
        if os.stat(path).st_size > 1 << 28:
            return None
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


class Bench:
    """A folder with a copy of the files beside the image, and a launcher."""

    def __init__(self, ground, fields, folder, launcher):
        self.ground, self.fields, self.launcher = ground, fields, launcher
        self.folder = os.path.join(folder, "%s.%d" % (ground.name,
                                                      ground.seed))
        os.makedirs(self.folder, exist_ok=True)
        self.path = os.path.join(self.folder, ground.file)
        self.put_beside()
        write_sparse(self.path, ground.data)
        self.usual = self.qfsck("check", "--data", ground.file).memory

    def put_beside(self):
        for name in self.ground.beside_names:
            shutil.copy2(os.path.join(self.ground.folder, name), self.folder)

    def qfsck(self, verb, *options):
        return self.run([qfsck_path(), verb, *options])

    def run(self, args):
        return self.launcher.run(args, self.folder, TIMEOUT)

    def clear(self):
        keep = set(self.ground.beside_names)
        for name in os.listdir(self.folder):
            if name not in keep:
                os.remove(os.path.join(self.folder, name))

    def beside(self):
        """As the image's neighbours are now."""
        mine = self.ground.beside
        if not mine.data_name:
            return mine
        return Beside(mine.base_name, mine.base_format, mine.base,
                      mine.data_name, contents(self.path + ".data") or b"")

    def qemu_repair(self, name):
        args = ["qemu-img", "check", "-q", "-r", "all"]
        if self.ground.encrypted:
            args += [*SECRET, "--image-opts", luks_options(name)]
        else:
            args += ["-f", "qcow2", name]
        self.run(args)


class Trial:
    def __init__(self, bench, text):
        self.bench, self.ground, self.text = bench, bench.ground, text
        self.faults, self.apart = [], set()
        self.damaged = mutation.apply(bench.fields, self.ground.data, text)
        self.reports = {}

    def fault(self, kind, *words):
        self.faults.append((kind, " ".join(map(str, words))))

    def run(self):
        """The faults, as [(class, sentence)]."""
        try:
            write_sparse(self.bench.path, self.damaged)
            self.commands()
            self.look()
        finally:
            self.bench.clear()
            if self.bench.beside().data != self.ground.beside.data:
                self.bench.put_beside()
        return self.faults

    # -- the commands --------------------------------------------------

    def qfsck(self, step, verb, *options):
        """Runs one, and gives its report; notes what is wrong with it."""
        done = self.bench.qfsck(verb, *options)
        said = done.err.decode(errors="replace")
        found = SANITIZER.search(said)
        if found:
            self.fault("sanitizer", step + ":", found[0][:200])
        if done.status == "timeout" or done.seconds > SECONDS:
            self.fault("hang", step)
        elif done.status not in (0, 1, 2, 3, 63):
            self.fault("crash", step, done.status, said[-200:])
        if done.memory > 4 * self.bench.usual + MEMORY and not found:
            self.fault("memory", step, done.memory >> 10, "MiB")
        report = parse(done.out) if verb != "undo" else {}
        if report is None:
            if done.status in (0, 2, 3):
                self.fault("no-json", step)
            report = {}
        if len(done.out) > FLOOD_BYTES or \
                len(report.get("findings", [])) > FLOOD_FINDINGS:
            self.fault("flood", step, len(done.out), "bytes,",
                       len(report.get("findings", [])), "findings")
        report["status"] = done.status
        self.reports[step] = report
        return report

    def is_unchanged(self, step, wanted):
        if contents(self.bench.path) != wanted:
            self.fault("changed", step)
            write_sparse(self.bench.path, wanted)
        if self.bench.beside().data != self.ground.beside.data:
            self.fault("changed", step, "the data file")

    def commands(self):
        name, json = self.ground.file, ("--jobs=1", "--output=json")
        self.qfsck("check", "check", "--data", *json, name)
        self.is_unchanged("check", self.damaged)
        plan = self.qfsck("repair -n", "repair", "-n", *json, name)
        self.is_unchanged("repair -n", self.damaged)
        done = self.qfsck("repair", "repair", "-y", *json, name)
        if plan.get("edits") != done.get("edits"):
            self.fault("plan", len(plan.get("edits", [])), "edits and",
                       len(done.get("edits", [])))
        self.repaired = contents(self.bench.path)
        self.beside_after = self.bench.beside()
        if self.repaired != self.damaged:
            self.commands_after(done, name, json)

    def commands_after(self, done, name, json):
        after = self.qfsck("check again", "check", *json, name)
        self.verdicts(done, after)
        again = self.qfsck("repair again", "repair", "-y", *json, name)
        if contents(self.bench.path) != self.repaired:
            self.fault("not-idle", "%d more edits: %s" % (
                len(again.get("edits", [])), "; ".join(
                    e["what"] for e in again.get("edits", [])[:3])))
            write_sparse(self.bench.path, self.repaired)
            return          # the undo file is that of the second now
        undone = self.qfsck("undo", "undo", name + ".qfsck-undo", name)
        if undone["status"] or contents(self.bench.path) != self.damaged:
            self.fault("undo", "exit", undone["status"])

    def verdicts(self, done, after):
        wanted = {"clean": 0, "leaks": 3, "corrupt": 2, "unchecked": 1}.get(
            done.get("verdict-after"))
        if done["status"] != wanted or after.get("verdict") != \
                done.get("verdict-after"):
            self.fault("verdict", "repair: %s, exit %s; check: %s" % (
                done.get("verdict-after"), done["status"],
                after.get("verdict")))

    # -- what the guest reads ------------------------------------------

    def sight(self, data, beside=None):
        return sight.Sight(self.ground, View(data, beside or
                                             self.ground.beside))

    def look(self):
        if self.repaired is None:
            self.fault("crash", "the image is gone, or of many GiB")
            return
        before = self.sight(self.damaged)
        after = before if self.repaired == self.damaged else \
            self.sight(self.repaired, self.beside_after)
        self.names = {k: self.names_of(k, before, after)
                      for k in self.ground.keys}
        if before.wrong or after.wrong:
            self.allow(before, after)
        self.look_before(before)
        self.look_after(before, after)

    def names_of(self, key, before, after):
        """What a report may call this state: as it is named in the sound, the
        damaged or the repaired image; where its name is damaged, anything."""
        if not key:
            return {"active"}
        ids = [k[0].decode() for k in self.ground.keys if k]
        found = {key[0].decode()} | {    # what follows a NUL is not told
            s.key[0].decode(errors="replace").split("\0")[0] for s in
            (before.matched[key], after.matched[key]) if s}
        if not before.matched[key]:
            found |= {r["holder"] for report in self.reports.values()
                      for r in report.get("lost", [])
                      if r["holder"] not in ids + ["active"]}
        return found

    def allow(self, before, after):
        """What nothing can tell: by the image as it is, then by each change
        for itself; where most counts are wrong, without any counts."""
        self.nothing, self.few = {}, {}
        sights = [before]
        whole = closure.Closure(before.view)
        self.payload = sight.plus(*(s.payload(
            self.damaged, whole.ends_early) for s in (before, after)))
        texts = mutation.parts(self.text)
        if len(texts) > 1:
            sights += [self.sight(mutation.apply(
                self.bench.fields, self.ground.data, t)) for t in texts]
        for one in sights:
            tells = closure.Closure(
                one.view, not whole.counts_are_gone).tells()
            if tells == closure.NOTHING:
                self.nothing = sight.plus(self.nothing, one.wrong)
            elif tells == closure.LEAKS:
                self.few = sight.plus(self.few, one.wrong)

    def without_gone(self, wrong, before):
        """A snapshot that the image does not list any more has no name under
        which to list a range: an error about the table tells it."""
        if any(f["name"].startswith("snapshot-") and f["severity"] in (
                "error", "fatal") for f in self.reports["check"].get(
                    "findings", [])):
            return {k: w for k, w in wrong.items() if before.matched[k]}
        return wrong

    def untold(self, wrong, where, *steps):
        """The part of WRONG that these reports do not list."""
        for step in steps:
            wrong = sight.minus(wrong, where.told(
                self.reports.get(step), wrong, self.names))
        for kind, allowed in (("payload", self.payload),
                              ("nothing-tells", self.nothing),
                              ("as-killed", self.few)):
            if wrong and sight.both(wrong, allowed):
                self.apart.add(kind)
                wrong = sight.minus(wrong, allowed)
        return wrong

    def look_before(self, before):
        report = self.reports["check"]
        calm = report["status"] in (0, 3)
        if not before.wrong:
            return
        if before.view.refusal:         # all is told: nobody can read it
            if calm:
                self.fault("clean", report.get("verdict"),
                           "and QEMU refuses it:", before.view.refusal)
            return
        wrong = self.untold(self.without_gone(before.wrong, before), before,
                            "check")
        if wrong:
            self.fault("clean" if calm else "untold",
                       sight.text(wrong, self.ground.cluster))

    def look_after(self, before, after):
        cluster = self.ground.cluster
        spoiled = sight.minus({k: w for k, w in after.wrong.items()
                               if before.matched[k]}, before.wrong)
        told = ("check", "repair", "check again")
        if spoiled:
            rest = spoiled
            for step in told:
                rest = sight.minus(rest, after.told(
                    self.reports.get(step), rest, self.names))
            self.look_spoiled(spoiled, rest)
        rest = sight.minus(after.wrong, spoiled)
        if not before.view.refusal:     # the others were told of before
            rest = sight.minus(rest, before.wrong) if any(
                k in ("untold", "clean") for k, _ in self.faults) else rest
        if rest and not after.view.refusal:
            rest = self.without_gone(rest, before)
            rest = self.untold(rest, after, *told)
            if rest:
                self.fault("untold-after", sight.text(rest, cluster))
        self.look_clean(after)
        if after.wrong and self.repaired != self.damaged:
            self.look_freed(before, after)
        if after.wrong:
            self.look_rival(after)

    def look_spoiled(self, spoiled, untold):
        """What was told as lost, and right by chance, may be what another
        change made wrong of which nothing tells."""
        cluster = self.ground.cluster
        if untold:
            self.fault("spoiled", sight.text(untold, cluster))
            return
        for kind, allowed in (("nothing-tells", self.nothing),
                              ("as-killed", self.few)):
            if sight.both(spoiled, allowed):
                self.apart.add(kind)
                spoiled = sight.minus(spoiled, allowed)
        if spoiled:
            self.fault("given-up", sight.text(spoiled, cluster))

    def look_clean(self, after):
        if self.reports["repair"].get("verdict-after") != "clean":
            return
        if after.view.away:             # of which the exit code tells
            return
        found = closure.Closure(after.view)
        if found.errors:
            self.fault("false-clean", found.errors[0])
        elif found.leaks:
            self.fault("false-clean", found.leaks, "clusters are leaked")

    def look_freed(self, before, after):
        """What is out of reach stays in the file, where nothing tells that it
        is nobody's."""
        sound, size = self.ground.view, self.ground.cluster
        if before.view.refusal or after.view.refusal or sound.outside or \
                before.view.cluster != size or "cut@" in self.text:
            return          # what only a cut snapshot had goes with it
        had, has = (closure.Closure(s.view).blocks for s in (before, after))
        freed = {}
        for key, clusters in after.wrong.items():
            its = sound.states[self.ground.keys.index(key)]
            for n, bits in clusters.items():
                source = sound.source(its, n)
                at = source[0] // size if source else 0
                if had.get(at) and not has.get(at):
                    freed.setdefault(key, {})[n] = bits
        freed = sight.minus(sight.minus(freed, self.nothing), self.few)
        if freed:
            self.fault("freed", sight.text(freed, size))

    def look_rival(self, after):
        name = self.ground.file
        write_sparse(self.bench.path, self.damaged)
        self.bench.qemu_repair(name)
        data = contents(self.bench.path)
        if data is None:
            return
        rival = self.sight(data, self.bench.beside())
        after, rival = (s.held(s.wrong) for s in (after, rival))
        ours, theirs = sight.count(after), sight.count(rival)
        if theirs < ours:
            more = sight.minus(after, rival)
            self.fault("rival", "%d sectors wrong, ours %d;" % (theirs, ours),
                       sight.text(more, self.ground.cluster))
