"""Sound structures that no tool here makes: written by hand, checked by qemu."""

from qcow2 import OFFSET_MASK, Image


def add_vm_state(path, size):
    """States a VM state of SIZE bytes in the last snapshot.

    Its clusters were written beforehand by qemu-io's `write -b`; only a
    machine monitor would also fill in these two fields.
    """
    with Image(path) as image:
        last = image.snapshots()[-1]
        image.put_snapshot(last, "vm_state_size", size)
        image.put_snapshot(last, "extra_vm_state_size", size)


def drop_vm_state(path):
    """Takes the VM state out of the active disk, as savevm does.

    The tables that hold it belong to the last snapshot alone afterwards.
    """
    with Image(path) as image:
        per_table = image.l2_entries * image.cluster
        first = -(-image.get("size") // per_table)
        for index in [i for i in image.l1_used() if i >= first]:
            table = image.l2_offset(index)
            for entry in image.l2_table(table):
                if entry:
                    less(image, entry & OFFSET_MASK)
            less(image, table)
            image.put64(image.l1_pos(index), 0)


def less(image, offset):
    cluster = offset // image.cluster
    image.set_refcount(cluster, image.refcount(cluster) - 1)
