"""How the cost of a check grows with one thing at a time: a table, an SVG."""
import math
import os

import shapes

JOBS = (1, 2, 4, 8)
JOBS_SHAPE = "small-256g"
COLOURS = {"qemu-img": "#c0392b", "qfsck": "#2471a3", "floor": "#7f8c8d"}
WIDTH, HEIGHT, MARGIN = 360, 260, 56


def run_curve(store, points, args, run_pairs, rows, title):
    """[(x, {program: seconds})], and a row of the table for each."""
    series = []
    for x, shape in points:
        store.shapes[shape.name] = shape
        try:
            path = store.get(shape.name)
        except shapes.NoRoom as why:
            print("skipped", why)
            continue
        store.log(f"running {shape.name}")
        series.append(point(x, run_pairs(path, min(args.pairs, 3))))
        rows.append(table_row(title, *series[-1]))
    return series


def point(x, costs):
    return x, {name: cost.wall for name, cost in
               zip(("qemu-img", "qfsck", "floor"), costs) if cost}


def table_row(title, x, walls):
    return [title, str(x)] + [f"{walls[n]:.3f}" if n in walls else "-"
                              for n in COLOURS]


def run_jobs(store, args, run_pairs, rows):
    series = []
    path = store.get(JOBS_SHAPE)
    for jobs in JOBS:
        store.log(f"running {JOBS_SHAPE} with --jobs {jobs}")
        costs = run_pairs(path, min(args.pairs, 3),
                          options=("--jobs", str(jobs)))
        # The others have no jobs: theirs is the line to compare with.
        series.append(point(jobs, costs))
        rows.append(table_row("--jobs, 4 KiB clusters", *series[-1]))
    return series


def scale(values, low, high):
    """Even steps for the given places; a curve has few of them."""
    step = (high - low) / max(len(values) - 1, 1)
    return {v: low + i * step for i, v in enumerate(values)}


def log10_steps(top):
    """Powers of ten from a millisecond to above TOP."""
    steps = [0.001]
    while steps[-1] < top:
        steps.append(steps[-1] * 10)
    return steps


def panel(title, series, left):
    """One diagram: x as it was chosen, seconds on a scale of powers."""
    steps = log10_steps(max(max(w.values()) for _, w in series))
    grid = scale(steps, HEIGHT - MARGIN, MARGIN)
    xs = scale([x for x, _ in series], left + MARGIN, left + WIDTH - 16)
    out = [f'<text x="{left + WIDTH / 2}" y="20" text-anchor="middle" '
           f'font-weight="bold">{title}</text>']
    for value, y in grid.items():
        out.append(f'<line x1="{left + MARGIN}" x2="{left + WIDTH - 16}" '
                   f'y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                   f'<text x="{left + MARGIN - 6}" y="{y + 4:.1f}" '
                   f'text-anchor="end">{value:g} s</text>')
    for x, at in xs.items():
        out.append(f'<text x="{at:.1f}" y="{HEIGHT - MARGIN + 18}" '
                   f'text-anchor="middle">{x}</text>')
    for name, colour in COLOURS.items():
        out.append(line(name, colour, series, xs, grid))
    return "\n".join(out)


def height(seconds, grid):
    """Between the two powers of ten around it."""
    low, high = min(grid), max(grid)
    part = math.log(max(seconds, low) / low) / math.log(high / low)
    return grid[low] + part * (grid[high] - grid[low])


def line(name, colour, series, xs, grid):
    dots = [(xs[x], height(walls[name], grid))
            for x, walls in series if name in walls]
    if not dots:
        return ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    return (f'<polyline points="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="2"/>' + "".join(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                for x, y in dots))


def legend():
    return "".join(
        f'<text x="{MARGIN + 90 * i}" y="{HEIGHT - 6}" fill="{colour}">'
        f"{name}</text>" for i, (name, colour) in enumerate(COLOURS.items()))


def svg(curves):
    width = WIDTH * len(curves)
    panels = [panel(title, series, WIDTH * i)
              for i, (title, series) in enumerate(curves.items())]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{HEIGHT}" font-family="DejaVu Sans, sans-serif" '
        f'font-size="11">',
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>',
        *panels, legend(), "</svg>", ""])


def bench(store, args, run_pairs, print_table):
    rows = [["growing with", "", *COLOURS]]
    curves = {}
    for title, points in shapes.curve_shapes().items():
        curves[title] = run_curve(store, points, args, run_pairs, rows, title)
    try:
        curves["--jobs (4 KiB clusters)"] = run_jobs(store, args, run_pairs,
                                                     rows)
    except shapes.NoRoom as why:
        print("skipped", why)
    print_table(rows)
    os.makedirs(os.path.dirname(os.path.abspath(args.svg)), exist_ok=True)
    with open(args.svg, "w", encoding="utf-8") as f:
        f.write(svg({t: s for t, s in curves.items() if s}))
    print("drawn:", args.svg)
    return 0
