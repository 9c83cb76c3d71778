//! Netlink dumps: requests for all objects of a kind, and the walk over the replies.
//!
//! Read first: `netlink(7)`, `rtnetlink(7)`. Numbers are in the byte order of this machine. (`qemu-user` does
//! not swap them for a guest of the other order, so under it [`dump`] fails; on a real machine it does not.)

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

use super::error::InterfaceError;
use crate::readiness;

/// A request for all objects of a kind.
pub(super) struct DumpRequest<'q> {
    /// `None` is routing: `NETLINK_ROUTE` is zero, the default.
    pub(super) protocol: Option<Protocol>,
    /// Message type of the request.
    pub(super) kind: u16,
    /// Message type of the replies.
    pub(super) reply: u16,
    /// Family-specific header, behind the header of the message.
    pub(super) header: &'q [u8],
}

/// Requests all links or addresses (`RTM_GETLINK`, `RTM_GETADDR`).
#[inline]
pub(super) fn dump_route(kind: u16, reply: u16) -> Result<Vec<Vec<u8>>, InterfaceError> {
    /// An empty `ifinfomsg`: family "any" and no filter, for links and addresses alike.
    const ANY: [u8; 16] = [0; 16];
    dump(&DumpRequest { protocol: None, kind, reply, header: &ANY })
}

/// Requests a dump and gives the payload of each reply. Not generic over what they are parsed to: it would be compiled for each.
///
/// Starts over, four times at most, if the kernel says that the objects changed meanwhile.
#[inline]
pub(super) fn dump(request: &DumpRequest<'_>) -> Result<Vec<Vec<u8>>, InterfaceError> {
    const MAX_ATTEMPTS: usize = 4;
    for _ in 0..MAX_ATTEMPTS {
        if let Some(objects) = dump_once(request)? {
            return Ok(objects);
        }
    }
    Err(InterfaceError::Unstable)
}

/// Parses each reply; one that cannot be is [`InterfaceError::Malformed`].
#[inline]
pub(super) fn parsed<T>(
    replies: &[Vec<u8>],
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, InterfaceError> {
    let mut objects = Vec::with_capacity(replies.len());
    for reply in replies {
        objects.push(parse(reply).ok_or(InterfaceError::Malformed)?);
    }
    Ok(objects)
}

/// One dump; `None` if a change interrupted it.
#[inline]
fn dump_once(request: &DumpRequest<'_>) -> Result<Option<Vec<Vec<u8>>>, InterfaceError> {
    const INTERRUPTED: u16 = 0x10; // NLM_F_DUMP_INTR
    const BUFFER_BYTES: usize = 32_768; // the most that the kernel puts into one message of a dump
    const MAX_READS: usize = 65_536;
    const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
    let error = |call| move |errno| InterfaceError::System { call, errno };
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, request.protocol)
        .map_err(error("socket"))?;
    retry_on_intr(|| send(&socket, &encode(request), SendFlags::empty())).map_err(error("send"))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut is_consistent = true;
    let mut objects = Vec::new();
    for _ in 0..MAX_READS {
        // The kernel replies at once. A translator below us (qemu-user) may drop the request, hence the
        // timeout.
        retry_on_intr(|| readiness::wait(socket.as_fd(), REPLY_TIMEOUT))
            .and_then(|ready| ready.ok_or(Errno::TIMEDOUT))
            .map_err(error("poll"))?;
        let (length, _) = retry_on_intr(|| recv(&socket, buffer.as_mut_slice(), RecvFlags::empty()))
            .map_err(error("recv"))?;
        let mut remaining = buffer.get(..length).ok_or(InterfaceError::Malformed)?;
        if remaining.is_empty() {
            return Err(InterfaceError::Malformed);
        }
        while !remaining.is_empty() {
            let (message, after) = Message::split(remaining).ok_or(InterfaceError::Malformed)?;
            remaining = after;
            is_consistent &= message.flags & INTERRUPTED == 0;
            match i32::from(message.kind) {
                libc::NLMSG_DONE => return Ok(is_consistent.then_some(objects)),
                libc::NLMSG_ERROR => return Err(error("netlink dump")(message.errno())),
                _ if message.kind == request.reply => {
                    objects.push(message.payload.to_vec());
                }
                _ => {}
            }
        }
    }
    Err(InterfaceError::Malformed)
}

/// The request as a netlink message.
#[inline]
fn encode(request: &DumpRequest<'_>) -> Vec<u8> {
    const REQUEST_DUMP: u16 = 0x301; // NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
    let length = u32::try_from(Message::HEADER_LEN + request.header.len()).unwrap_or(0);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(request.kind.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]); // sequence number and port
    bytes.extend(request.header);
    bytes
}

/// One netlink message.
struct Message<'m> {
    kind: u16,
    flags: u16,
    payload: &'m [u8],
}

impl<'m> Message<'m> {
    const HEADER_LEN: usize = 16;

    /// Splits off the first message; `None` if it is longer than `bytes` or shorter than its header.
    #[inline]
    fn split(bytes: &'m [u8]) -> Option<(Self, &'m [u8])> {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let payload = bytes.get(Self::HEADER_LEN..length)?;
        let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((Self { kind: u16_at(bytes, 4)?, flags: u16_at(bytes, 6)?, payload }, after))
    }

    /// Error number of an `NLMSG_ERROR`, which is negative in the message.
    #[inline]
    fn errno(&self) -> Errno {
        let code = u32_at(self.payload, 0).map_or(0, u32::cast_signed);
        Errno::from_raw_os_error(code.wrapping_neg())
    }
}

/// Iterates over attributes (type, length, value). Ends at the first that does not fit.
pub(super) struct Attributes<'m>(pub(super) &'m [u8]);

impl<'m> Iterator for Attributes<'m> {
    type Item = (u16, &'m [u8]);

    #[inline]
    fn next(&mut self) -> Option<(u16, &'m [u8])> {
        const FLAGS: u16 = 0xc000; // NLA_F_NESTED | NLA_F_NET_BYTEORDER
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & !FLAGS;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[inline]
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[inline]
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of kind 16 whose payload is `payload`.
    fn message(payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 16).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(16_u16.to_ne_bytes());
        bytes.extend(2_u16.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn messages_are_split_off_one_by_one() {
        let bytes = [message(&[1, 2, 3]), message(&[4])].concat();
        let (first, remaining) = Message::split(&bytes).unwrap();
        assert_eq!((first.kind, first.flags, first.payload), (16, 2, &[1, 2, 3][..]));
        let (second, remaining) = Message::split(remaining).unwrap();
        assert_eq!(second.payload, [4]);
        assert!(remaining.is_empty() && Message::split(remaining).is_none());
    }

    #[test]
    fn a_message_longer_than_the_reply_or_shorter_than_its_header_is_rejected() {
        for length in [0_u32, 15, 21, u32::MAX] {
            let mut bytes = message(&[1, 2, 3, 4]);
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(Message::split(&bytes).is_none(), "{length}");
        }
    }

    #[test]
    fn attributes_end_at_the_first_that_does_not_fit() {
        let attribute = |length: u16, kind: u16, value: &[u8]| {
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat()
        };
        let bytes =
            [attribute(5, 0x8003, &[7, 0, 0, 0]), attribute(4, 1, &[]), attribute(9, 2, &[1; 4])].concat();
        let found: Vec<_> = Attributes(&bytes).collect();
        assert_eq!(found, [(3, &[7][..]), (1, &[])]);
        for length in [0, 3] {
            assert_eq!(Attributes(&attribute(length, 1, &[])).count(), 0);
        }
    }

    #[test]
    fn an_error_message_carries_the_error_number() {
        let bytes = message(&(-1_i32).to_ne_bytes());
        assert_eq!(Message::split(&bytes).unwrap().0.errno(), Errno::PERM);
    }
}
