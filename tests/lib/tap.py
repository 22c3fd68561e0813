"""Test Anything Protocol, the little of it that is needed."""

import sys


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def result(self, good, name, detail=()):
        self.count += 1
        self.failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.count, name))
        for line in () if good else detail:
            print("# " + line)
        sys.stdout.flush()

    def skip(self, name, why):
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, name, why))

    def finish(self):
        print("1..%d" % self.count)
        return 1 if self.failed else 0
