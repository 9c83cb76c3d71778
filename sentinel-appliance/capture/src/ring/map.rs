//! The memory-mapped ring, shared with the kernel.
//!
//! Read first: the kernel's `Documentation/networking/packet_mmap.rst`, `net/packet/af_packet.c`.
//!
//! The ring is an array of blocks of equal size. The status word of a block is its ownership flag, and the
//! only word that both sides write: the kernel sets `TP_STATUS_USER` when a block is complete, user space
//! sets `TP_STATUS_KERNEL` when it has read it. While the kernel owns a block its bytes may change, so no
//! reference to them may exist; while user space owns it the kernel does not write to it, so a shared
//! reference is sound.
//!
//! Memory ordering: the kernel writes the frames, then the status (`smp_wmb`); an Acquire load of the status
//! orders our reads of the frames after it. Our Release store of the status orders those reads before the
//! kernel's next writes. The kernel is the other thread of a single-producer, single-consumer hand-over; no
//! lock, and no system call.

#![allow(unsafe_code, reason = "the memory mapping of the ring")]

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::block::STATUS_OFFSET;

/// The mapping, unmapped when it is dropped.
#[derive(Debug)]
pub(super) struct RingMap {
    base: NonNull<c_void>,
    block_bytes: usize,
    block_count: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and this is its only owner. It is not `Sync`:
// two threads that release blocks could break the rule above.
unsafe impl Send for RingMap {}

impl RingMap {
    /// Maps the ring that was set up on `socket`.
    ///
    /// # Safety
    /// The socket must have a ring of `block_count` blocks of `block_bytes` each, and no other mapping.
    pub(super) unsafe fn new(
        socket: BorrowedFd<'_>,
        block_bytes: usize,
        block_count: usize,
    ) -> Result<Self, Errno> {
        let length = block_bytes.checked_mul(block_count).ok_or(Errno::INVAL)?;
        let access = ProtFlags::READ.union(ProtFlags::WRITE);
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory in use.
        // JUSTIFICATION: there is no safe way to map memory; `read(2)` would cost a system call and a copy
        // for each frame.
        let base = unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, socket, 0) }?;
        let base = NonNull::new(base).ok_or(Errno::FAULT)?;
        Ok(Self { base, block_bytes, block_count })
    }

    pub(super) fn block_count(&self) -> usize {
        self.block_count
    }

    /// Returns true if user space owns block `index` and may read it.
    pub(super) fn is_user_owned(&self, index: usize) -> bool {
        // Acquire: pairs with the kernel's write barrier before it set the status.
        self.status(index).is_some_and(|status| status.load(Ordering::Acquire) & libc::TP_STATUS_USER != 0)
    }

    /// The bytes of block `index`, if user space owns it.
    ///
    /// # Safety
    /// [`RingMap::release_block`] must not be called for the block while the bytes are borrowed.
    pub(super) unsafe fn block(&self, index: usize) -> Option<&[u8]> {
        if !self.is_user_owned(index) {
            return None;
        }
        let start = self.start(index)?;
        // SAFETY: the block lies in the mapping, its bytes are initialised (the kernel zeroes the ring), and
        // the kernel does not write to it until it is released, which the caller excludes for the lifetime of
        // the slice.
        // JUSTIFICATION: copying a block into safe memory first would double the memory traffic of every
        // frame.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), self.block_bytes) })
    }

    /// Returns the ownership of block `index` to the kernel, which may then fill it again.
    pub(super) fn release_block(&self, index: usize) {
        if let Some(status) = self.status(index) {
            // Release: all reads of the block are complete before the kernel can see the new status.
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
    }

    /// The status word of block `index`.
    fn status(&self, index: usize) -> Option<&AtomicU32> {
        let start = self.start(index)?;
        // SAFETY: the field lies in the block, at a multiple of four in a page-aligned block, so it is
        // aligned. Both sides access it by atomic loads and stores only; the slice of `block` is never used
        // to read it.
        // JUSTIFICATION: an ordinary read could be reordered or kept in a register by the compiler.
        Some(unsafe { AtomicU32::from_ptr(start.as_ptr().add(STATUS_OFFSET).cast()) })
    }

    /// Address of block `index`; `None` if there is no such block.
    fn start(&self, index: usize) -> Option<NonNull<u8>> {
        if index >= self.block_count {
            return None;
        }
        // SAFETY: `index` is below the number of blocks, so the sum lies in the mapping and does not
        // overflow.
        // JUSTIFICATION: the blocks are not slices of one allocation that safe code could index, because the
        // kernel owns some.
        Some(unsafe { self.base.cast::<u8>().add(index * self.block_bytes) })
    }
}

impl Drop for RingMap {
    fn drop(&mut self) {
        // SAFETY: base and length are those of the mapping, and every reference into it borrows from `self`.
        // JUSTIFICATION: what was mapped without a safe owner must be unmapped here.
        let unmapped = unsafe { munmap(self.base.as_ptr(), self.block_bytes * self.block_count) };
        debug_assert!(unmapped.is_ok(), "munmap of our own mapping: {unmapped:?}");
    }
}
