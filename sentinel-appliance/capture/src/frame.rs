//! One frame.

use sentinel_units::{LinkType, Timestamp};

/// One captured frame, borrowed from the ring or from the buffer of the file reader.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'f> {
    /// Time of capture; [`Timestamp::ZERO`] if the file has none.
    pub at: Timestamp,
    /// Length on the wire; more than the bytes here if the capture truncated the frame.
    pub wire_len: u32,
    /// Type of the header at the start of the bytes.
    pub link: LinkType,
    /// Tag control information of the VLAN tag that the card or the kernel removed from the bytes.
    pub vlan: Option<u16>,
    /// Ethertype of that tag: [`Frame::CUSTOMER_TAG`], or `0x88a8` for a provider's. Undefined without a tag.
    pub vlan_type: u16,
    /// Number of the interface: that given to the ring, or that in the pcapng section.
    pub interface: u16,
    /// The bytes captured.
    pub bytes: &'f [u8],
}

impl Frame<'_> {
    /// Ethertype of a customer VLAN tag (IEEE 802.1Q, clause 9.5); the default where the kernel does not
    /// report it.
    pub const CUSTOMER_TAG: u16 = 0x8100;
}
