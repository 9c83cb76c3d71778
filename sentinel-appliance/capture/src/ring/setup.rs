//! Steps of opening a ring, each one socket option.

use std::ffi::{c_int, c_uint};

use super::config::{Fanout, FanoutMode, RingConfig};
use crate::open_error::OpenError;
use crate::packet_socket::PacketSocket;

/// Size of a block and number of blocks; the kernel would refuse other sizes with `EINVAL` only.
pub(super) fn ring_geometry(config: &RingConfig<'_>) -> Result<(usize, c_uint), OpenError> {
    let RingConfig { ring_bytes, block_bytes, .. } = *config;
    let page_bytes = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    let fits =
        block_bytes != 0 && block_bytes.is_multiple_of(page_bytes) && ring_bytes.is_multiple_of(block_bytes);
    let count = ring_bytes.checked_div(block_bytes).filter(|count| fits && *count >= 2);
    match (usize::try_from(block_bytes), count) {
        (Ok(bytes), Some(count)) => Ok((bytes, count)),
        _ => Err(OpenError::RingSize { ring_bytes, block_bytes, page_bytes }),
    }
}

/// Allocates the ring in the kernel, with blocks of version 3 (`TPACKET_V3`).
pub(super) fn request_ring(
    socket: &PacketSocket,
    config: &RingConfig<'_>,
    block_count: c_uint,
) -> Result<(), OpenError> {
    /// Version 3 packs frames of any size; the kernel only checks that this size and the number of frames fit
    /// the blocks.
    const FRAME_BYTES: c_uint = 2048;
    const VERSION_3: c_int = 2; // TPACKET_V3 of the enumeration that begins with TPACKET_V1 = 0
    socket.set_option("PACKET_VERSION", libc::SOL_PACKET, libc::PACKET_VERSION, &VERSION_3)?;
    let millis = c_uint::try_from(config.block_timeout.as_millis()).unwrap_or(c_uint::MAX);
    let request = libc::tpacket_req3 {
        tp_block_size: config.block_bytes,
        tp_block_nr: block_count,
        tp_frame_size: FRAME_BYTES,
        tp_frame_nr: config.block_bytes / FRAME_BYTES * block_count,
        tp_retire_blk_tov: millis.max(1), // zero would let the kernel choose
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    socket.set_option("PACKET_RX_RING", libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
}

/// Sets the interface promiscuous. The kernel counts the sockets that ask for it, and resets it after the
/// last is closed.
pub(super) fn enable_promiscuous(socket: &PacketSocket) -> Result<(), OpenError> {
    let membership = libc::packet_mreq {
        mr_ifindex: socket.interface(),
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or(1),
        mr_alen: 0,
        mr_address: [0; 8],
    };
    socket.set_option("PACKET_ADD_MEMBERSHIP", libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// `PACKET_FANOUT_FLAG_IGNORE_OUTGOING` of `linux/if_packet.h`; not in libc.
const FANOUT_FLAG_IGNORE_OUTGOING: c_uint = 0x4000;

/// Joins a fan-out group, or creates it. The rings of a group are numbered in the order in which they join,
/// and fan-out programs return these numbers: who needs a certain order must open the rings one after the
/// other.
pub(super) fn join_fanout(socket: &PacketSocket, fanout: Fanout) -> Result<(), OpenError> {
    let mode = match fanout.mode {
        FanoutMode::Flow => libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG,
        FanoutMode::Cpu => libc::PACKET_FANOUT_CPU,
        FanoutMode::Program => libc::PACKET_FANOUT_CBPF,
    };
    let unique = if fanout.group.is_none() { libc::PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
    // The group receives in place of its sockets, and has this option of its own (Linux 6.2; not known before, and ignored).
    let is_loopback = socket.bound_address()?.hardware_type == libc::ARPHRD_LOOPBACK;
    let once = if is_loopback { FANOUT_FLAG_IGNORE_OUTGOING } else { 0 };
    // Group in the lower half, mode and flags in the upper half (packet(7), PACKET_FANOUT).
    let argument: u32 = u32::from(fanout.group.unwrap_or(0)) | (mode | unique | once) << 16;
    socket.set_option("PACKET_FANOUT", libc::SOL_PACKET, libc::PACKET_FANOUT, &argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_two_or_more_whole_blocks_of_whole_pages() {
        let page = u32::try_from(rustix::param::page_size()).unwrap();
        let config =
            |ring_bytes, block_bytes| RingConfig { ring_bytes, block_bytes, ..RingConfig::new("eth0") };
        assert_eq!(ring_geometry(&config(page * 6, page * 2)), Ok((usize::try_from(page * 2).unwrap(), 3)));
        for (ring_bytes, block_bytes) in
            [(page, page), (page * 3, page * 2), (page, page / 2), (page, 0), (0, page), (u32::MAX, page)]
        {
            let error = OpenError::RingSize { ring_bytes, block_bytes, page_bytes: page };
            assert_eq!(ring_geometry(&config(ring_bytes, block_bytes)), Err(error));
        }
    }
}
