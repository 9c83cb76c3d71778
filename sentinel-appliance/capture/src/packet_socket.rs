//! `AF_PACKET` sockets, for receiving and for sending.
//!
//! Read first: `packet(7)`. All constants come from libc, because MIPS has other numbers for socket options.
//!
//! JUSTIFICATION for all `unsafe` calls of this file: rustix has neither `sockaddr_ll` nor the options of
//! `SOL_PACKET`.

#![allow(unsafe_code, reason = "socket calls that have no safe interface")]

use std::ffi::c_int;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use sentinel_units::LinkType;

use crate::errno::last_errno;
use crate::interfaces::link_type;
use crate::open_error::OpenError;

/// An `AF_PACKET` socket that receives nothing yet: its protocol is zero until [`PacketSocket::bind`].
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    interface: c_int,
}

/// Interface that an `AF_PACKET` socket is bound to, as the kernel reports it.
pub(crate) struct BoundAddress {
    /// Index of the interface; -1 once it was removed.
    pub(crate) interface: c_int,
    /// `ARPHRD_*`.
    pub(crate) hardware_type: u16,
}

impl PacketSocket {
    /// Opens a raw socket: frames have their link-layer header.
    pub(crate) fn open(interface: &str) -> Result<Self, OpenError> {
        let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(|errno| system("socket", errno))?;
        let index = netdevice::name_to_index(&fd, interface).map_err(|errno| match errno {
            Errno::NODEV => OpenError::UnknownInterface,
            errno => system("SIOCGIFINDEX", errno),
        })?;
        let interface = c_int::try_from(index).map_err(|_| OpenError::UnknownInterface)?;
        Ok(Self { fd, interface })
    }

    /// Opens a socket for capture: bound to the interface, but with no protocol, so that nothing is received
    /// until [`PacketSocket::bind`] sets one. Returns the link type of the interface too.
    pub(crate) fn open_for_capture(interface: &str) -> Result<(Self, LinkType), OpenError> {
        const NO_PROTOCOL: c_int = 0;
        const TRUE: c_int = 1;
        let socket = Self::open(interface)?;
        socket.bind(NO_PROTOCOL)?; // the hardware type is that of the interface a socket is bound to
        let hardware_type = socket.bound_address()?.hardware_type;
        let link = link_type(hardware_type).ok_or(OpenError::HardwareType(hardware_type))?;
        if hardware_type == libc::ARPHRD_LOOPBACK {
            // Else every frame would come twice, sent and received.
            socket.set_option(
                "PACKET_IGNORE_OUTGOING",
                libc::SOL_PACKET,
                libc::PACKET_IGNORE_OUTGOING,
                &TRUE,
            )?;
        }
        Ok((socket, link))
    }

    pub(crate) fn interface(&self) -> c_int {
        self.interface
    }

    /// Binds to the interface; frames of `protocol` (`ETH_P_*`) are received from then on, none if it is zero.
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

    /// The interface that the socket is bound to now.
    pub(crate) fn bound_address(&self) -> Result<BoundAddress, OpenError> {
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
        Ok(BoundAddress { interface: address.sll_ifindex, hardware_type: address.sll_hatype })
    }

    /// Sets a socket option to a structure or number with the kernel's layout.
    pub(crate) fn set_option<T: Copy>(
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

    /// Reads a socket option into `value`.
    pub(crate) fn read_option<T: IntegerOption>(
        &self,
        call: &'static str,
        level: c_int,
        option: c_int,
        value: &mut T,
    ) -> Result<(), OpenError> {
        let mut length = socket_length(size_of::<T>());
        // SAFETY: the pointer and the length describe `value`, and any bytes are a valid `IntegerOption`.
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

/// Values of socket options that are valid whatever bytes the kernel writes.
///
/// # Safety
/// The type consists of integers only.
pub(crate) unsafe trait IntegerOption: Copy {}
// SAFETY: one integer.
unsafe impl IntegerOption for c_int {}
// SAFETY: two 32-bit integers.
unsafe impl IntegerOption for libc::tpacket_stats {}
// SAFETY: three 32-bit integers.
unsafe impl IntegerOption for libc::tpacket_stats_v3 {}

/// Turns the result of a system call into the error with its name.
fn check(call: &'static str, result: c_int) -> Result<(), OpenError> {
    if result == 0 { Ok(()) } else { Err(system(call, last_errno())) }
}

/// The error of a system call.
pub(crate) const fn system(call: &'static str, errno: Errno) -> OpenError {
    OpenError::System { call, errno }
}

fn family() -> u16 {
    u16::try_from(libc::AF_PACKET).unwrap_or(0)
}

fn socket_length(bytes: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes).unwrap_or(0)
}
