//! Buffering of an incomplete message in chunks of the pool, and its delivery once complete.

use sentinel_dissect::framing::MessageLen;

use super::pool::NO_CHUNK;
use super::{BUFFERING, CHUNK_LEN, Content, MAX_MESSAGE_LEN, MAX_PROBES, Message, Streams};

impl Streams<'_> {
    /// Buffers bytes at `offset` and delivers the message once it is complete, or once it cannot become so.
    pub(super) fn buffer(
        &mut self,
        slot: usize,
        offset: usize,
        bytes: &[u8],
        is_truncated: bool,
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> Content {
        // `needed_len` is at most MAX_MESSAGE_LEN, so bytes past that are never needed.
        let kept = bytes.get(..MAX_MESSAGE_LEN.saturating_sub(offset)).unwrap_or(bytes);
        let is_stored = self.store(slot, offset, kept, deliver);
        let Some(stream) = self.slots.get(slot) else { return Content::Message };
        let ready = stream.ranges.prefix_len();
        self.lru.touch(slot, BUFFERING);
        if !is_stored || is_truncated {
            self.deliver_partial(slot, deliver);
        } else if ready > 0 && ready >= stream.needed_len {
            return self.probe_buffer(slot, deliver);
        }
        Content::Message
    }

    /// Copies the bytes not received before into chunks. Returns false if ranges or chunks ran out; some bytes may then be
    /// copied, but none are added to `ranges`.
    // Each step copies or compares up to the next border of a chunk or of a known range, so the loop takes at most
    // MAX_CHUNKS + 2 * MAX_RANGES steps.
    fn store(
        &mut self,
        slot: usize,
        offset: usize,
        bytes: &[u8],
        deliver: &mut dyn FnMut(&Message<'_>),
    ) -> bool {
        let end = offset + bytes.len();
        let mut is_conflict = false;
        let mut at = offset;
        while at < end {
            let Some(stream) = self.slots.get(slot) else { return false };
            let (is_known, border) = stream.ranges.run_from(at);
            let index = at / CHUNK_LEN;
            let stop = border.min(end).min((index + 1) * CHUNK_LEN);
            let Some(chunk) = self.chunk_at(slot, index, deliver) else { return false };
            let start = at % CHUNK_LEN;
            let (Some(from), Some(to)) = (
                bytes.get(at - offset..stop - offset),
                self.pool.get_mut(chunk).and_then(|it| it.get_mut(start..start + (stop - at))),
            ) else {
                return false;
            };
            if is_known {
                is_conflict |= from != to;
            } else {
                to.copy_from_slice(from);
            }
            at = stop;
        }
        self.counts.conflicts += u64::from(is_conflict);
        let (Ok(from), Ok(to)) = (u16::try_from(offset), u16::try_from(end)) else { return false };
        self.slots.get_mut(slot).is_some_and(|stream| stream.ranges.insert(from, to))
    }

    /// Returns chunk `index` of a slot, allocating it if needed.
    fn chunk_at(&mut self, slot: usize, index: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Option<u16> {
        match self.slots.get(slot)?.chunks.get(index).copied()? {
            NO_CHUNK => {
                let chunk = self.allocate_chunk(slot, deliver)?;
                *self.slots.get_mut(slot)?.chunks.get_mut(index)? = chunk;
                Some(chunk)
            }
            chunk => Some(chunk),
        }
    }

    /// Delivers the buffered bytes without gap if they are a complete message, or updates the length needed if not.
    fn probe_buffer(&mut self, slot: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Content {
        let Some(stream) = self.slots.get(slot) else { return Content::Message };
        let (key, next_sequence, last_used) = (stream.key, stream.next_sequence, stream.last_used);
        let ready = self.join(slot);
        let bytes = self.message.get(..ready).unwrap_or_default();
        match key.message_len(bytes) {
            MessageLen::AtLeast(needed_len) if ready < MAX_MESSAGE_LEN => {
                let Some(stream) = self.slots.get_mut(slot) else { return Content::Message };
                // No overflow: above MAX_PROBES the slot is released below.
                stream.probe_count += 1;
                let needed_len = needed_len.clamp(ready + 1, MAX_MESSAGE_LEN);
                stream.needed_len = u16::try_from(needed_len).unwrap_or(u16::MAX);
                if stream.probe_count > MAX_PROBES {
                    self.deliver_partial(slot, deliver);
                }
            }
            MessageLen::AtLeast(_) => self.deliver_partial(slot, deliver),
            MessageLen::Unrecognised => {
                self.release(Some(slot));
                return Content::Other;
            }
            MessageLen::Complete => {
                self.counts.reassembled += 1;
                deliver(&key.message(bytes, last_used));
                self.free_chunks(slot);
                let next_sequence = next_sequence.wrapping_add(u32::try_from(ready).unwrap_or(0));
                self.start(Some(slot), key, next_sequence, last_used);
            }
        }
        Content::Message
    }

    /// Joins the chunks of the bytes without gap in `message` and returns their number.
    pub(super) fn join(&mut self, slot: usize) -> usize {
        let Some(stream) = self.slots.get(slot) else { return 0 };
        let ready = usize::from(stream.ranges.prefix_len()).min(self.message.len());
        // Every byte of the prefix lies in an allocated chunk, so no byte of an earlier message is left in
        // `message`.
        let targets = self.message.get_mut(..ready).unwrap_or_default().chunks_mut(CHUNK_LEN);
        for (target, chunk) in targets.zip(stream.chunks) {
            if let Some(bytes) = self.pool.get(chunk).and_then(|it| it.get(..target.len())) {
                target.copy_from_slice(bytes);
            }
        }
        ready
    }

    /// Allocates a chunk for `slot`, evicting another direction if none is free.
    fn allocate_chunk(&mut self, slot: usize, deliver: &mut dyn FnMut(&Message<'_>)) -> Option<u16> {
        if self.pool.is_exhausted() {
            let oldest = self.lru.oldest(BUFFERING)?;
            // Never the slot being filled: the caller holds offsets into its chunks.
            let victim = if oldest == slot { self.lru.newer(oldest)? } else { oldest };
            self.counts.evictions += 1;
            self.deliver_partial(victim, deliver);
        }
        self.pool.allocate()
    }
}
