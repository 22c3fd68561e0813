#!/usr/bin/env python3
"""The page in a browser: headless Chromium, as Debian has it.

The script makes no error, and asks for nothing; what the pointer, a click and
the keys do is what the page says; narrow and wide, dark and light, on paper,
and without the script.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "screens"))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import browser                                              # noqa: E402
from guests import must, parse, qfsck_path                  # noqa: E402
from screens import Quiet, make, viz                        # noqa: E402
from tools import own_folder                                # noqa: E402
from viz_guest import make_guest                            # noqa: E402

CASES = ("lost-l2-zeroed", "clean-snapshots", "clean-size-0", "l2-is-random")

# Where the middle of a map's cell is on the screen.
CELL = """(function(m, i) {
    var svg = document.querySelector('#' + m + '-map svg'),
        d = JSON.parse(document.getElementById(m + '-data').textContent);
    svg.scrollIntoView({block: 'center'});
    var r = svg.getBoundingClientRect();
    return [r.left + (i %% d.cols + .5) * r.width / d.cols,
            r.top + (Math.floor(i / d.cols) + .5) * r.height / d.rows];
})('%s', %d)"""
READ = "document.getElementById('%s-read').textContent"
# Letters against the ground behind them, as WCAG 2 has it: those below 4.5.
CONTRAST = """(function() {
    function rgb(c) { return c.match(/[\\d.]+/g).map(Number) }
    function light(c) {
        var v = c.slice(0, 3).map(function(x) {
            x /= 255;
            return x <= .03928 ? x / 12.92 : Math.pow((x + .055) / 1.055, 2.4)
        });
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]
    }
    var bad = [];
    document.querySelectorAll('body *').forEach(function(e) {
        var text = Array.from(e.childNodes).some(function(n) {
            return n.nodeType === 3 && n.textContent.trim()
        }), p = e, ground;
        if (!text || /SCRIPT|STYLE|TITLE/i.test(e.tagName)
            || !e.getClientRects().length || e.closest('svg')) return;
        for (; p; p = p.parentElement) {
            ground = rgb(getComputedStyle(p).backgroundColor);
            if (ground.length < 4 || ground[3] > 0) break
        }
        var a = light(rgb(getComputedStyle(e).color)),
            b = light(ground || [255, 255, 255]),
            ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5)
            bad.push(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2)
                     + ' ' + e.textContent.slice(0, 30))
    });
    return bad
})()"""
# What screen readers need: see the names of the checks.
LABELS = """(function() {
    var bad = [], last = 0, ids = {};
    function all(s) { return Array.from(document.querySelectorAll(s)) }
    function name(e) {
        return (e.getAttribute('aria-label') || e.textContent).trim()
    }
    function no(test, what, e) {
        if (!test) bad.push(what + ': ' + (e ? e.outerHTML.slice(0, 80) : ''))
    }
    no(/^[a-z]{2}/.test(document.documentElement.lang), 'no language');
    no(document.title.trim(), 'no title');
    no(all('main').length === 1, 'not one main');
    no(all('h1').length === 1, 'not one h1');
    no(all('meta[name=viewport]').length === 1
       && !/user-scalable|maximum-scale/.test(
           document.querySelector('meta[name=viewport]').content),
       'it cannot be made larger');
    all('h1,h2,h3,h4').forEach(function(h) {
        var n = +h.tagName[1];
        no(n <= last + 1, 'a level is left out', h);
        no(name(h), 'an empty heading', h);
        last = n
    });
    all('body > *').forEach(function(e) {
        no(/^(MAIN|HEADER|FOOTER|NAV|SCRIPT|STYLE)$/.test(e.tagName),
           'outside the landmarks', e)
    });
    all('[id]').forEach(function(e) {
        no(!ids[e.id], 'twice the id', e);
        ids[e.id] = 1
    });
    all('a').forEach(function(a) {
        var to = a.getAttribute('href');
        no(name(a), 'a link without words', a);
        no(to && (to[0] !== '#' || document.getElementById(to.slice(1))),
           'leads nowhere', a);
        no(/underline/.test(getComputedStyle(a).textDecorationLine)
           || a.closest('nav'), 'told by its colour alone', a)
    });
    all('svg').forEach(function(e) {
        no(e.getAttribute('aria-hidden') === 'true'
           || (e.getAttribute('role') === 'img'
               && e.getAttribute('aria-label')), 'a picture, no name', e)
    });
    all('img').forEach(function(e) { no(e.alt, 'a picture, no alt', e) });
    all('table').forEach(function(t) {
        no(t.querySelector('th'), 'a table without headings', t);
        t.querySelectorAll('tr').forEach(function(r) {
            var n = 0;
            Array.from(r.cells).forEach(function(c) { n += c.colSpan });
            no(n === t.rows[0].cells.length, 'a row of another width', r)
        })
    });
    all('th').forEach(function(e) {
        no(/^(col|row)(group)?$/.test(e.scope), 'th, no scope', e);
        no(name(e), 'th, no words', e)
    });
    all('ul,ol').forEach(function(l) {
        Array.from(l.children).forEach(function(e) {
            no(e.tagName === 'LI', 'a list of other things', e)
        })
    });
    all('li').forEach(function(e) {
        no(/^[UO]L$/.test(e.parentNode.tagName), 'li without a list', e)
    });
    all('dl').forEach(function(l) {
        var before = '';
        Array.from(l.children).forEach(function(e) {
            no(/^D[TD]$/.test(e.tagName) && (before || e.tagName === 'DT'),
               'a dl of other things', e);
            before = e.tagName
        });
        no(before === 'DD', 'a dl without its end', l)
    });
    all('details').forEach(function(d) {
        no(d.firstElementChild.tagName === 'SUMMARY'
           && name(d.firstElementChild), 'details, no summary', d)
    });
    all('[tabindex]').forEach(function(e) {
        no(+e.getAttribute('tabindex') <= 0, 'an order of its own', e);
        no(e.getAttribute('tabindex') === '-1'
           || (e.getAttribute('role') && e.getAttribute('aria-label')),
           'focus, no name or role', e)
    });
    all('[aria-labelledby],[aria-describedby],[aria-controls]').forEach(
        function(e) {
            ['labelledby', 'describedby', 'controls'].forEach(function(a) {
                (e.getAttribute('aria-' + a) || '').split(' ').forEach(
                    function(i) {
                        no(!i || document.getElementById(i),
                           'told by what is not there', e)
                    })
            })
        });
    return bad
})()"""
FOCUS = """(function() {
    var e = document.activeElement, s = getComputedStyle(e);
    if (e === document.body) return null;
    window.seen = window.seen || [];
    var late = window.seen.every(function(p) {
        return p.compareDocumentPosition(e) & 4
    }), again = window.seen.indexOf(e) >= 0;
    window.seen.push(e);
    return [late, again, s.outlineStyle !== 'none'
            && parseFloat(s.outlineWidth) >= 2, e.outerHTML.slice(0, 60)]
})()"""
# Short words of tables that are broken within: they have two boxes.
BROKEN = """(function() {
    var bad = [];
    document.querySelectorAll('tr.has td:first-child, td.d, td.n').forEach(
        function(e) {
            var t = e.firstChild, range = document.createRange(), m,
                word = /[^\\s-]{1,10}/g;
            while (t && t.nodeType === 3 && (m = word.exec(t.data))) {
                range.setStart(t, m.index);
                range.setEnd(t, m.index + m[0].length);
                if (range.getClientRects().length > 1)
                    bad.push('broken: ' + m[0])
            }
        });
    return bad
})()"""
WIDE = ("document.documentElement.scrollWidth"
        " - document.documentElement.clientWidth")


def check_looks(tap, web, case, url):
    for width in (390, 1300):
        for dark in (False, True):
            page = web.open(url, width=width, dark=dark)
            wrong = page.complaints() + page.requests() \
                + page.ask(CONTRAST) + page.ask(LABELS) \
                + page.ask(BROKEN)
            over = page.ask(WIDE)
            ground = page.ask("getComputedStyle(document.body)"
                              ".backgroundColor")
            tap.result(not wrong and over <= 0
                       and (ground == "rgb(255, 255, 255)") != dark,
                       f"{case}: {width} px, {'dark' if dark else 'light'}: "
                       "no error, no request, all can be read",
                       [*map(str, wrong[:8]), f"{over} px over", ground])


def check_focus(tap, page):
    """Tab goes through all that can be used, in the order of the page, and
    what has the focus is seen."""
    want = page.ask("Array.from(document.querySelectorAll("
                    "'a[href],summary,[tabindex=\"0\"]')).filter("
                    "e => e.getClientRects().length).length")
    steps, bad = 0, []
    while steps <= want + 2:
        page.tab()
        at = page.ask(FOCUS)
        if not at or at[1]:
            break
        steps += 1
        if not at[0] or not at[2]:
            bad.append(str(at))
    tap.result(not bad and steps == want,
               f"Tab goes through all {want} in order, and is seen",
               [f"{steps} of {want}", *bad[:5]])


def hover(page, m, i):
    page.mouse("mouseMoved", *page.ask(CELL % (m, i)))
    return page.ask(READ % m)


def check_cells(tap, page):
    """lost-l2-zeroed: the L2 table at 0x4000 was erased, clusters of 4 KiB."""
    still = page.ask(READ % "file")
    header = hover(page, "file", 0)
    damaged = hover(page, "file", 4)
    lost = hover(page, "guest", 3)
    data = hover(page, "guest", 600)
    page.mouse("mouseMoved", 1, 1)
    left = page.ask(READ % "file")
    tap.result(header.startswith("File 0x0 to 0x1000 (4 KiB): header")
               and damaged.startswith("File 0x4000 to 0x5000 (4 KiB): damaged")
               and "1221 l2-table-erased" in damaged
               and lost.startswith("Disk 0x3000 to 0x4000 (4 KiB): lost")
               and "of this state only" in data and left == still,
               "the pointer on a cell tells place, kind and findings",
               [header, damaged, lost, data, left])
    page.click(*page.ask(CELL % ("file", 4)))
    page.mouse("mouseMoved", 1, 1)
    held = page.ask(READ % "file")
    page.ask("document.querySelector('#file-read a').click()")
    here = page.ask("document.querySelector('.here').textContent")
    tap.result(held == damaged and "0x4000 (16 KiB) holds nothing" in here,
               "a click holds the cell, and its finding is a link",
               [held, here])


def check_findings(tap, page):
    """From what is told to the cells."""
    at = page.ask("(function() { var a = document.querySelector("
                  "'#findings ~ ul a[data-m=file]');"
                  "a.scrollIntoView({block: 'center'});"
                  "var r = a.getBoundingClientRect();"
                  "return [r.left + 3, r.top + 3] })()")
    page.click(*at)
    told = page.ask(READ % "file")
    cursor = page.ask("document.querySelector('#file-map .cur2')"
                      ".getAttribute('d')")
    page.ask("document.querySelector('#l0 a').click()")
    lost = page.ask(READ % "guest")
    span = page.ask("(function() { var b = document.querySelector("
                    "'#guest-map .cur2').getBBox();"
                    "return [b.x, b.y, b.width, b.height] })()")
    tap.result(told.startswith("File 0x4000 ") and cursor == "M4 0h1v1h-1z"
               and lost.startswith("Disk 0x0 to 0x1000")
               and span == [0, 0, 128, 4],
               "a click on a finding shows its cells, all of them",
               [told, str(cursor), lost, str(span)])


def check_keys(tap, page):
    page.ask("document.getElementById('file-map').focus()")
    page.key("Home")
    told = []
    for name in ("ArrowRight", "ArrowDown", "End", "ArrowRight", "Escape"):
        page.key(name)
        told.append(page.ask(READ % "file"))
    tap.result(told[0].startswith("File 0x1000 ")
               and told[1].startswith("File 0x41000 ")
               and told[2].startswith("File 0x305000 ")
               and told[3] == told[2] and told[4].startswith("A cell is "),
               "the keys go from cell to cell", told)


def check_files(tap, web):
    """A guest's disk: whose bytes a cell has; a partition leads to its
    cells."""
    disk = os.path.abspath(make_guest())
    viz("--export", "guest.html", disk)
    names = parse(must([qfsck_path(), "guest", "--path=/etc/passwd",
                        "--output=json", disk]))
    start = names["files"][0]["pieces"][0]["start"]
    page = web.open("file://" + os.path.abspath("guest.html"))
    unit = page.ask("JSON.parse(document.getElementById('guest-data')"
                    ".textContent).unit")
    said = hover(page, "guest", start // unit)
    page.ask("document.querySelectorAll('table a[data-m=guest]')[1].click()")
    part = page.ask(READ % "guest")
    bar = page.ask("Array.from(document.querySelectorAll('.vols span'))"
                   ".map(e => e.textContent)")
    place = names["files"][0]["pieces"][0]["extents"][0]["host-offset"]
    place, start = place // unit * unit, start // unit * unit
    page.click(*page.ask(CELL % ("guest", start // unit)))
    page.ask("document.querySelector('#guest-read a').click()")
    there = page.ask(READ % "file")
    page.ask("document.querySelector('#file-read a').click()")
    again = page.ask(READ % "guest")
    tap.result(f"; in the file at {place:#x}" in said
               and there.startswith(f"File {place:#x} to ")
               and f"; on the disk at {start:#x}" in there and again == said,
               "and where it lies in the file, and from there back",
               [said, there, again])
    tap.result('; partition 2 (ext4 "root"); /etc/passwd' in said
               and part.startswith("Disk 0x1000000 ")
               and bar == ['partition 1 (ext4 "boot")',
                           'partition 2 (ext4 "root")'],
               "a cell of the guest's disk tells partition and file",
               [said, part, str(bar)])


def check_screen(tap, web, image):
    """A saved screen keeps its blanks: newer browsers do not heed xml:space."""
    viz("--script", "-", image, input="size 80x24\nwait\nsave screen.svg\n")
    page = web.open("file://" + os.path.abspath("screen.svg"))
    wide = page.ask("""Array.from(document.querySelectorAll('text'))
        .filter(t => / {2}/.test(t.textContent))
        .map(t => [t.getNumberOfChars(), t.textContent.length])""")
    tap.result(wide and all(a == b for a, b in wide),
               "a saved screen keeps its blanks", [str(wide)])


def check_plain(tap, web, url):
    """Without the script, and on paper, all findings are there."""
    page = web.open(url, script=False)
    # DevTools itself may still ask
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    shut = page.ask("document.querySelectorAll('details:not([open])').length")
    seen = page.ask("document.querySelectorAll('#file-map svg path.k').length")
    curs = page.ask("document.querySelectorAll('.cur').length")
    tap.result(shut and seen and not curs,
               "without the script the page is whole", [f"{shut} {seen}"])
    page = web.open(url)
    pdf = page.call("Page.printToPDF", printBackground=True,
                    preferCSSPageSize=True)["data"]
    tap.result(len(pdf) > 4000, "it is printed", [str(len(pdf))])


def main():
    tap = Quiet()
    if not browser.program():
        print("1..0 # SKIP no chromium")
        return 0
    own_folder()
    images = make(CASES, os.getcwd())
    urls = {}
    for case in CASES:
        out = os.path.join(os.getcwd(), f"{case}.html")
        viz("--export", out, images[case])
        urls[case] = "file://" + out
    with browser.Browser() as web:
        for case in CASES:
            check_looks(tap, web, case, urls[case])
        check_focus(tap, web.open(urls["lost-l2-zeroed"]))
        page = web.open(urls["lost-l2-zeroed"])
        check_cells(tap, page)
        check_findings(tap, page)
        check_keys(tap, page)
        tap.result(not page.complaints() and not page.requests(),
                   "and no error was made", page.complaints())
        check_files(tap, web)
        check_screen(tap, web, images["clean-snapshots"])
        check_plain(tap, web, urls["l2-is-random"])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
