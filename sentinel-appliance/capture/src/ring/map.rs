//! The memory that the kernel and we share.

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::block::STATUS_OFFSET;

/// The mapped ring: equal blocks, each owned by the kernel or by us as its status says.
#[derive(Debug)]
pub(super) struct Map {
    base: NonNull<c_void>,
    block_bytes: usize,
    block_count: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and this is its only owner.
unsafe impl Send for Map {}

impl Map {
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
        let base = unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, socket, 0) }?;
        let base = NonNull::new(base).ok_or(Errno::FAULT)?;
        Ok(Self { base, block_bytes, block_count })
    }

    pub(super) fn block_count(&self) -> usize {
        self.block_count
    }

    /// Whether block `index` is ours to read.
    pub(super) fn is_ours(&self, index: usize) -> bool {
        // Acquire: what the kernel wrote before it handed the block over is seen by the reads that follow.
        self.status(index).is_some_and(|status| status.load(Ordering::Acquire) & libc::TP_STATUS_USER != 0)
    }

    /// The bytes of block `index` if it is ours.
    ///
    /// # Safety
    /// [`Map::give_back`] must not be called for the block while the bytes are borrowed.
    pub(super) unsafe fn block(&self, index: usize) -> Option<&[u8]> {
        if !self.is_ours(index) {
            return None;
        }
        let start = self.start(index)?;
        // SAFETY: the block lies in the mapping, and the kernel does not write to it until it is given back.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), self.block_bytes) })
    }

    /// Lets the kernel fill block `index` again.
    pub(super) fn give_back(&self, index: usize) {
        if let Some(status) = self.status(index) {
            // Release: our reads are done before the kernel sees that it may write.
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
    }

    fn status(&self, index: usize) -> Option<&AtomicU32> {
        let start = self.start(index)?;
        // SAFETY: the field lies in the block, at a multiple of four in a page-aligned block. Both sides access
        // it atomically.
        Some(unsafe { AtomicU32::from_ptr(start.as_ptr().add(STATUS_OFFSET).cast()) })
    }

    fn start(&self, index: usize) -> Option<NonNull<u8>> {
        if index >= self.block_count {
            return None;
        }
        // SAFETY: `index` is below the number of blocks, so the sum lies in the mapping.
        Some(unsafe { self.base.cast::<u8>().add(index * self.block_bytes) })
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and whole, and nothing borrows from it any more.
        let unmapped = unsafe { munmap(self.base.as_ptr(), self.block_bytes * self.block_count) };
        debug_assert!(unmapped.is_ok(), "the range was mapped by us");
    }
}
