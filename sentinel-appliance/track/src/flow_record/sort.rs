//! Sorting of records in place.

use super::FlowRecord;

/// Sorts by first packet, then by last, then by ends: heapsort (Williams, 1964). That of the standard library would be
/// faster, and adds several KiB to the program.
pub(super) fn sort(list: &mut [FlowRecord]) {
    for root in (0..list.len() / 2).rev() {
        sift(list, root);
    }
    for end in (1..list.len()).rev() {
        list.swap(0, end);
        sift(list.get_mut(..end).unwrap_or_default(), 0);
    }
}

/// Lets the entry at `root` sink to its place in a heap with the last on top.
fn sift(heap: &mut [FlowRecord], root: usize) {
    let order = |it: &FlowRecord| (it.first, it.last, it.key.protocol, it.key.low, it.key.high);
    let is_before = |heap: &[FlowRecord], one: usize, other: usize| match (heap.get(one), heap.get(other)) {
        (Some(one), Some(other)) => order(one) < order(other),
        _ => false,
    };
    let mut parent = root;
    loop {
        let left = 2 * parent + 1;
        let right = left + 1;
        let child = if is_before(heap, left, right) { right } else { left };
        if !is_before(heap, parent, child) {
            return;
        }
        heap.swap(parent, child);
        parent = child;
    }
}

/// Moves those that are `wanted` to the front; gives how many they are.
pub(super) fn partition(slots: &mut [FlowRecord], wanted: impl Fn(&FlowRecord) -> bool) -> usize {
    let mut front = 0;
    for index in 0..slots.len() {
        if slots.get(index).is_some_and(&wanted) {
            slots.swap(front, index);
            front += 1;
        }
    }
    front
}
