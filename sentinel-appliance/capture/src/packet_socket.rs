//! `AF_PACKET` sockets: what opening one for receiving and for sending share.
//!
//! Read first: `packet(7)`. All constants come from libc, because MIPS numbers socket options its own way.

use std::ffi::c_int;
use std::fmt;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

/// Why a socket on an interface could not be opened. Nothing is left open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no interface of that name; [`interfaces::list`](crate::interfaces::list) tells which there are.
    UnknownInterface,
    /// The process lacks the capability `CAP_NET_RAW`.
    NotPermitted,
    /// Frames of this hardware type (`ARPHRD_*` in `linux/if_arp.h`) begin with a header that is not known here.
    HardwareType(u16),
    /// The ring is not at least two whole blocks of whole pages.
    RingSize {
        /// What the ring was to have.
        ring_bytes: u32,
        /// What a block was to have.
        block_bytes: u32,
        /// Bytes in a page of this machine.
        page_bytes: u32,
    },
    /// The filter has no instruction, or more than the kernel takes.
    FilterLength(usize),
    /// The machine refused a call.
    System {
        /// The call or the socket option.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownInterface => out.write_str("no such interface"),
            Self::NotPermitted => {
                out.write_str("not permitted; capturing needs root or the capability CAP_NET_RAW")
            }
            Self::HardwareType(kind) => {
                write!(out, "interface has hardware type {kind}, which cannot be read")
            }
            Self::RingSize { ring_bytes, block_bytes, page_bytes } => write!(
                out,
                "a ring of {ring_bytes} bytes is not two or more whole blocks of {block_bytes} bytes, \
                 or those are not whole pages of {page_bytes}"
            ),
            Self::FilterLength(count) => {
                write!(out, "a filter of {count} instructions; 1 to 4096 are allowed")
            }
            Self::System { call, errno } => write!(out, "{call}: {errno}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// An `AF_PACKET` socket that receives nothing yet: its protocol is zero until [`PacketSocket::bind`].
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    interface: c_int,
}

/// What the kernel says an `AF_PACKET` socket is bound to.
pub(crate) struct Bound {
    /// Negative once the interface is gone.
    pub(crate) interface: c_int,
    /// `ARPHRD_*`.
    pub(crate) hardware_type: u16,
}

impl PacketSocket {
    /// Frames come and go with their link-layer header.
    pub(crate) fn open(interface: &str) -> Result<Self, OpenError> {
        let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(|errno| system("socket", errno))?;
        let index = netdevice::name_to_index(&fd, interface).map_err(|_| OpenError::UnknownInterface)?;
        let interface = c_int::try_from(index).map_err(|_| OpenError::UnknownInterface)?;
        Ok(Self { fd, interface })
    }

    pub(crate) fn interface(&self) -> c_int {
        self.interface
    }

    /// Binds to the interface; frames of `protocol` (`ETH_P_*`) arrive from here on.
    pub(crate) fn bind(&self, protocol: c_int) -> Result<(), OpenError> {
        let protocol = u16::try_from(protocol).unwrap_or(0);
        let address = libc::sockaddr_ll {
            sll_family: family(),
            sll_protocol: protocol.to_be(),
            sll_ifindex: self.interface,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        let result = unsafe {
            libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), socket_length(size_of_val(&address)))
        };
        check("bind", result)
    }

    /// What the socket is bound to now.
    pub(crate) fn bound(&self) -> Result<Bound, OpenError> {
        let mut address = libc::sockaddr_ll {
            sll_family: 0,
            sll_protocol: 0,
            sll_ifindex: 0,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let mut length = socket_length(size_of_val(&address));
        // SAFETY: the pointer and the length describe `address`, any bytes of which are a valid value.
        let result =
            unsafe { libc::getsockname(self.fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) };
        check("getsockname", result)?;
        Ok(Bound { interface: address.sll_ifindex, hardware_type: address.sll_hatype })
    }

    /// Sets a socket option to a structure or number that has the kernel's layout.
    pub(crate) fn set<T: Copy>(
        &self,
        call: &'static str,
        level: c_int,
        option: c_int,
        value: &T,
    ) -> Result<(), OpenError> {
        // SAFETY: the pointer and the length describe `value`; the kernel only reads it.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                option,
                (&raw const *value).cast(),
                socket_length(size_of::<T>()),
            )
        };
        check(call, result)
    }

    /// Reads a socket option into `value`, of which any bytes must be a valid value.
    pub(crate) fn read<T: PlainOption>(
        &self,
        call: &'static str,
        level: c_int,
        option: c_int,
        value: &mut T,
    ) -> Result<(), OpenError> {
        let mut length = socket_length(size_of::<T>());
        // SAFETY: the pointer and the length describe `value`, and any bytes are a valid `PlainOption`.
        let result = unsafe {
            libc::getsockopt(self.fd.as_raw_fd(), level, option, (&raw mut *value).cast(), &raw mut length)
        };
        check(call, result)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Socket options of which any bytes are a valid value.
///
/// # Safety
/// The type consists of integers only.
pub(crate) unsafe trait PlainOption: Copy {}
// SAFETY: one integer.
unsafe impl PlainOption for c_int {}
// SAFETY: two 32-bit integers.
unsafe impl PlainOption for libc::tpacket_stats {}
// SAFETY: three 32-bit integers.
unsafe impl PlainOption for libc::tpacket_stats_v3 {}

fn check(call: &'static str, result: c_int) -> Result<(), OpenError> {
    if result == 0 { Ok(()) } else { Err(system(call, last_errno())) }
}

pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

pub(crate) fn system(call: &'static str, errno: Errno) -> OpenError {
    match errno {
        Errno::PERM | Errno::ACCESS => OpenError::NotPermitted,
        errno => OpenError::System { call, errno },
    }
}

fn family() -> u16 {
    u16::try_from(libc::AF_PACKET).unwrap_or(0)
}

fn socket_length(bytes: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes).unwrap_or(0)
}
