//! Sorting of flow records in place, without memory.

use super::FlowRecord;

/// Heapsort (Williams, 1964) by first packet, then last packet, protocol and endpoints.
///
/// `sort_unstable` of the standard library is faster and adds several KiB to the program; this runs once, at the end.
pub(super) fn heap_sort(list: &mut [FlowRecord]) {
    // The second half are leaves, heaps already.
    for root in (0..list.len() / 2).rev() {
        sift_down(list, root);
    }
    for end in (1..list.len()).rev() {
        // The largest entry is at the root; it goes behind the heap.
        list.swap(0, end);
        sift_down(list.get_mut(..end).unwrap_or_default(), 0);
    }
}

/// Restores the max-heap below `root`: sinks its entry until no child is larger.
fn sift_down(heap: &mut [FlowRecord], root: usize) {
    let order = |it: &FlowRecord| (it.first, it.last, it.key.protocol, it.key.low, it.key.high);
    let is_before = |heap: &[FlowRecord], one: usize, other: usize| match (heap.get(one), heap.get(other)) {
        (Some(one), Some(other)) => order(one) < order(other),
        _ => false,
    };
    let mut parent = root;
    loop {
        let left = 2 * parent + 1;
        let right = left + 1;
        // Ends: `parent` moves to a higher index, and a child past the end is larger than nothing.
        let child = if is_before(heap, left, right) { right } else { left };
        if !is_before(heap, parent, child) {
            return;
        }
        heap.swap(parent, child);
        parent = child;
    }
}

/// Moves the entries that are `wanted` to the front and returns their number. Their order is not kept.
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
