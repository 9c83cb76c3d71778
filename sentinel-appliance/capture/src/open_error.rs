//! Errors of opening a packet socket, each with the call that failed, its error number, and what helps.

use std::fmt;

use rustix::io::Errno;

/// A socket on an interface could not be opened or configured. After a failed open nothing is left open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no interface of that name; [`interfaces::list`](crate::interfaces::list) returns all.
    UnknownInterface,
    /// Frames of this hardware type (`ARPHRD_*` in `linux/if_arp.h`) begin with a header that is not supported.
    HardwareType(u16),
    /// The ring is not at least two whole blocks of whole pages.
    RingSize {
        /// Size of the ring in the configuration.
        ring_bytes: u32,
        /// Size of a block in the configuration.
        block_bytes: u32,
        /// Size of a page of this machine.
        page_bytes: u32,
    },
    /// The filter has no instruction, or more than the kernel accepts.
    FilterLength(usize),
    /// The kernel refused a call.
    System {
        /// The system call or socket option.
        call: &'static str,
        /// The reason.
        errno: Errno,
    },
}

impl fmt::Display for OpenError {
    #[inline]
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownInterface => out.write_str("no such interface"),
            Self::HardwareType(kind) => {
                write!(out, "interface has hardware type {kind}, which is not supported")
            }
            Self::RingSize { ring_bytes, block_bytes, page_bytes } => write!(
                out,
                "a ring of {ring_bytes} bytes is not two or more whole blocks of {block_bytes} bytes, \
                 or those are not whole pages of {page_bytes}"
            ),
            Self::FilterLength(count) => {
                write!(out, "a filter of {count} instructions; 1 to 4096 are allowed")
            }
            Self::System { call, errno } => {
                write!(out, "{call}: {errno}")?;
                match remedy(call, *errno) {
                    Some(remedy) => write!(out, "; {remedy}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// Advice for when the kernel refuses `call` with `errno`, as far as that is known (`packet_setsockopt`,
/// `fanout_add` in the kernel's `net/packet/af_packet.c`; `__sk_attach_prog` in `net/core/filter.c`).
#[inline]
fn remedy(call: &str, errno: Errno) -> Option<&'static str> {
    Some(match (call, errno) {
        (_, Errno::PERM | Errno::ACCESS) => "needs root or the capability CAP_NET_RAW",
        (_, Errno::NODEV | Errno::NXIO) => "the interface is gone",
        (_, Errno::NETDOWN) => "the interface is down; set it up first",
        ("socket", Errno::AFNOSUPPORT) => "the kernel lacks packet sockets (CONFIG_PACKET)",
        ("PACKET_VERSION", Errno::INVAL) => "TPACKET_V3 needs Linux 3.2",
        ("PACKET_RX_RING" | "mmap", Errno::NOMEM | Errno::AGAIN) => {
            "not enough memory for the ring; set a smaller ring_kib"
        }
        ("PACKET_RX_RING", Errno::INVAL) => {
            "the kernel refuses this size of ring or blocks; set another ring_kib"
        }
        ("SO_ATTACH_FILTER" | "PACKET_FANOUT_DATA", Errno::NOMEM) => {
            "the program exceeds net.core.optmem_max; use a shorter filter or raise it"
        }
        ("SO_ATTACH_FILTER", Errno::INVAL) => "the kernel refuses an instruction of the filter",
        ("PACKET_FANOUT", Errno::NOSPC | Errno::NOMEM) => "the fan-out group is full, or no number is free",
        ("PACKET_FANOUT" | "PACKET_FANOUT_DATA", Errno::INVAL | Errno::NOPROTOOPT) => {
            "sharing an interface between workers needs Linux 4.12 and the interface up; else set one worker"
        }
        ("PACKET_IGNORE_OUTGOING", Errno::NOPROTOOPT) => "capturing on the loopback needs Linux 4.20",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_call_the_reason_and_what_helps() {
        for (call, errno, reason, remedy) in [
            ("socket", Errno::PERM, "Operation not permitted", Some("CAP_NET_RAW")),
            ("PACKET_ADD_MEMBERSHIP", Errno::NODEV, "No such device", Some("gone")),
            ("bind", Errno::NETDOWN, "Network is down", Some("set it up")),
            ("PACKET_VERSION", Errno::INVAL, "Invalid argument", Some("Linux 3.2")),
            ("PACKET_RX_RING", Errno::NOMEM, "annot allocate memory", Some("smaller ring_kib")),
            ("SO_ATTACH_FILTER", Errno::NOMEM, "annot allocate memory", Some("net.core.optmem_max")),
            ("PACKET_FANOUT", Errno::INVAL, "Invalid argument", Some("one worker")),
            ("SO_RCVBUF", Errno::INVAL, "Invalid argument", None),
        ] {
            let message = OpenError::System { call, errno }.to_string();
            assert!(message.starts_with(call) && message.contains(reason), "{message}");
            match remedy {
                Some(remedy) => assert!(message.contains(remedy), "{message}"),
                None => assert!(!message.contains(';'), "{message}"),
            }
        }
    }
}
