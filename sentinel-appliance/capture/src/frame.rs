//! One frame.

use sentinel_units::{LinkType, Timestamp};

/// One frame as captured, borrowed from the ring or the reader's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'f> {
    /// When it was captured; [`Timestamp::ZERO`] if the capture does not say.
    pub at: Timestamp,
    /// Length on the wire; more than the bytes here if the capture cut the frame off.
    pub wire_len: u32,
    /// What the first bytes are.
    pub link: LinkType,
    /// Tag control information of a VLAN tag that the card or the kernel took off the bytes.
    pub vlan: Option<u16>,
    /// Ethertype of that tag: [`Frame::CUSTOMER_TAG`], `0x88a8` for a provider's; without a tag it says nothing.
    pub vlan_type: u16,
    /// Which interface: the number given to the ring, or the interface number in a pcapng section.
    pub interface: u16,
    /// The bytes captured.
    pub bytes: &'f [u8],
}

impl Frame<'_> {
    /// Ethertype of a customer's VLAN tag (IEEE 802.1Q, clause 9.5), and of one that is not known better.
    pub const CUSTOMER_TAG: u16 = 0x8100;
}
