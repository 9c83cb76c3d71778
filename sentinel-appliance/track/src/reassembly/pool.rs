//! Pool of fixed-size chunks with a free list (a stack of chunk numbers).

use super::CHUNK_LEN;

/// Chunk number that names no chunk.
pub(super) const NO_CHUNK: u16 = u16::MAX;

/// Chunks over lent storage: at most `u16::MAX`, numbered from 0.
//
// Invariant: a chunk number is either among the first `free_count` of `free`, or in exactly one stream slot. `Streams`
// returns every chunk of a slot before it releases or resets the slot; the tests check `in_use` after every run.
#[derive(Debug)]
pub(super) struct ChunkPool<'m> {
    chunks: &'m mut [[u8; CHUNK_LEN]],
    free: &'m mut [u16],
    free_count: usize,
}

impl<'m> ChunkPool<'m> {
    /// Makes a pool with all chunks free: as many as the shorter of both slices has entries.
    pub(super) fn new(chunks: &'m mut [[u8; CHUNK_LEN]], free: &'m mut [u16]) -> Self {
        let count = chunks.len().min(free.len()).min(usize::from(NO_CHUNK));
        let chunks = chunks.get_mut(..count).unwrap_or_default();
        let mut pool = Self { chunks, free, free_count: 0 };
        for chunk in 0..u16::try_from(count).unwrap_or(NO_CHUNK) {
            pool.release(chunk);
        }
        pool
    }

    /// Number of chunks that are not free.
    pub(super) const fn in_use(&self) -> usize {
        self.chunks.len().saturating_sub(self.free_count)
    }

    /// Returns true if no chunk is free.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.free_count == 0
    }

    /// Takes a free chunk; its bytes are those of its last user.
    pub(super) fn allocate(&mut self) -> Option<u16> {
        self.free_count = self.free_count.checked_sub(1)?;
        self.free.get(self.free_count).copied()
    }

    /// Frees a chunk; nothing for [`NO_CHUNK`].
    pub(super) fn release(&mut self, chunk: u16) {
        if chunk != NO_CHUNK
            && let Some(entry) = self.free.get_mut(self.free_count)
        {
            *entry = chunk;
            self.free_count += 1;
        }
    }

    /// Bytes of a chunk; `None` for [`NO_CHUNK`].
    pub(super) fn get(&self, chunk: u16) -> Option<&[u8; CHUNK_LEN]> {
        self.chunks.get(usize::from(chunk))
    }

    /// Bytes of a chunk, to write; `None` for [`NO_CHUNK`].
    pub(super) fn get_mut(&mut self, chunk: u16) -> Option<&mut [u8; CHUNK_LEN]> {
        self.chunks.get_mut(usize::from(chunk))
    }
}
