#!/usr/bin/env bash
# make demo: check an image that was really damaged, and show the report.
#
# The image comes from the corpus; where that case is not at hand, the same
# accident is made on the spot: two programs write one image at a time, with
# QEMU's locking switched off.
set -euo pipefail
cd "$(dirname "$0")/.."

case=two-writers
qfsck=${QFSCK:-$PWD/qfsck}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
image=$tmp/damaged.qcow2

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }

# Run a command as it is shown, and print at most so many lines of it. A check
# that finds something is no failure; one that cannot run is.
show() {
	local most=$1 status=0 lines
	shift
	printf '$ %s\n' "$(basename "$1") ${*:2}"
	(cd "$tmp" && "$@") >"$tmp/out" 2>&1 || status=$?
	head -n "$most" "$tmp/out"
	lines=$(wc -l <"$tmp/out")
	[ "$lines" -le "$most" ] || printf '... and %d lines more\n' $((lines - most))
	printf '(exit status %d)\n' "$status"
	case $status in 0 | 2 | 3) ;; *) exit 1 ;; esac
}

two_writers() {
	local nolock="driver=qcow2,file.driver=file,file.locking=off"
	nolock+=",file.filename=$image"

	qemu-img create -q -f qcow2 "$image" 2G
	qemu-io -f qcow2 -c 'write -q -P 1 0 1M' -c 'write -q -P 1 1G 1M' \
		"$image" >/dev/null
	# The first writer remembers which clusters are free, pauses, and then
	# takes room that the second one has used in the meantime.
	qemu-io --image-opts "$nolock" -c 'write -q -P 1 1M 64k' \
		-c 'sleep 1500' -c 'write -q -P 1 8M 2M' >/dev/null &
	sleep 0.5
	qemu-io --image-opts "$nolock" -c 'write -q -P 2 1028M 3M' >/dev/null
	wait $!
}

packed=corpus/$case/image.qcow2.gz
if [ -f "$packed" ]; then
	say "A really damaged image, from the corpus: corpus/$case"
	[ ! -f "corpus/$case/origin" ] || sed 's/^/  /' "corpus/$case/origin"
	gzip -dc "$packed" >"$image"
else
	say 'Two programs write one image at the same time'
	two_writers
fi
before=$(sha256sum "$image")

say 'What qemu-img says'
show 12 qemu-img check -f qcow2 damaged.qcow2

say 'What qfsck says'
show 200 "$qfsck" check damaged.qcow2

[ "$before" = "$(sha256sum "$image")" ] || {
	echo 'demo: the check changed the image' >&2
	exit 1
}
say 'Not a byte of the image was changed.'
