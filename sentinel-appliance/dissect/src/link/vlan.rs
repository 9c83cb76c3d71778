//! VLAN tags.
//!
//! Read first: IEEE 802.1Q-2022 clause 9.6 (tag control information).

use pnet_packet::vlan::VlanPacket;

use crate::read::{CapturedSlice, Malformed};

/// Bytes that a tag adds behind the ethertype: control information and the next ethertype.
const TAG_LEN: u32 = 4;

/// Most tags read in one frame. Two is stacking (`QinQ`); more is a bridge loop or an attempt to hide what is inside, which stacked
/// interfaces of Linux take all the same.
pub(crate) const MAX_TAGS: u8 = 16;

/// Tag control information: priority (3 bits), drop eligible (1), VLAN (12).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct VlanTag(pub u16);

impl VlanTag {
    /// VLAN number, 0 (priority tag only) to 4095.
    #[inline]
    #[must_use]
    pub const fn id(self) -> u16 {
        self.0 & 0x0fff
    }

    /// Priority code point, 0 to 7.
    #[inline]
    #[must_use]
    pub const fn priority(self) -> u16 {
        self.0 >> 13
    }

    /// May be dropped first under congestion.
    #[must_use]
    pub const fn is_drop_eligible(self) -> bool {
        self.0 & 0x1000 != 0
    }
}

/// The tags of a frame, outermost first. Keeps two; further ones are counted only.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Vlans {
    tags: [VlanTag; 2],
    count: u8,
}

impl Vlans {
    /// The tag that the card or kernel took off a frame without others, if any.
    #[must_use]
    pub fn offloaded(tag: Option<u16>) -> Self {
        let mut vlans = Self::default();
        if let Some(tag) = tag {
            vlans.push(VlanTag(tag));
        }
        vlans
    }

    /// The outermost tag: the service tag if there are two.
    #[inline]
    #[must_use]
    pub const fn outer(&self) -> Option<VlanTag> {
        let [outer, _] = self.tags;
        if self.count > 0 { Some(outer) } else { None }
    }

    /// The second tag: the customer tag of a stack.
    #[inline]
    #[must_use]
    pub const fn inner(&self) -> Option<VlanTag> {
        let [_, inner] = self.tags;
        if self.count > 1 { Some(inner) } else { None }
    }

    /// Number of tags of the frame, those not kept included.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> u8 {
        self.count
    }

    /// Adds a tag inside those that are there.
    #[inline]
    pub(crate) fn push(&mut self, tag: VlanTag) {
        if let Some(slot) = self.tags.get_mut(usize::from(self.count)) {
            *slot = tag;
        }
        self.count = self.count.saturating_add(1);
    }
}

/// Reads one tag: the tag, the ethertype behind it, and what follows.
///
/// # Errors
/// [`Malformed::Truncated`] or [`Malformed::BadLength`] if the tag is not all there.
#[inline]
pub(crate) fn parse(slice: CapturedSlice<'_>) -> Result<(VlanTag, u16, CapturedSlice<'_>), Malformed> {
    let view = VlanPacket::new(slice.captured).ok_or_else(|| slice.why_shorter_than(4))?;
    let priority = u16::from(view.get_priority_code_point().0) << 13;
    let drop_eligible = u16::from(view.get_drop_eligible_indicator()) << 12;
    let tag = VlanTag(priority | drop_eligible | view.get_vlan_identifier());
    Ok((tag, view.get_ethertype().0, slice.after(TAG_LEN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gives_its_three_fields() {
        // priority 5, drop eligible, VLAN 100; then IPv4
        let (tag, ethertype, remaining) =
            parse(CapturedSlice::new(&[0xb0, 0x64, 0x08, 0x00, 0x45], 5)).unwrap();
        assert_eq!(tag, VlanTag(0xb064));
        assert_eq!((tag.priority(), tag.is_drop_eligible(), tag.id()), (5, true, 100));
        assert_eq!((ethertype, remaining.captured), (0x0800, &[0x45][..]));
    }

    #[test]
    fn every_cut_is_an_error_or_a_shorter_payload() {
        let tag = [0xb0, 0x64, 0x08, 0x00];
        for cut in 0..tag.len() {
            assert_eq!(parse(CapturedSlice::new(&tag[..cut], 4)).err(), Some(Malformed::Truncated), "{cut}");
            assert_eq!(parse(CapturedSlice::new(&tag[..cut], 0)).err(), Some(Malformed::BadLength), "{cut}");
        }
    }

    #[test]
    fn a_third_tag_is_counted_but_not_kept() {
        let mut vlans = Vlans::default();
        assert_eq!((vlans.outer(), vlans.inner()), (None, None));
        for id in 1..=3 {
            vlans.push(VlanTag(id));
        }
        assert_eq!((vlans.outer(), vlans.inner(), vlans.count()), (Some(VlanTag(1)), Some(VlanTag(2)), 3));
    }
}
