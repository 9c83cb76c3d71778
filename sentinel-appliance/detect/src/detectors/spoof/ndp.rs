//! `ndp_spoof`: a claim to an IPv6 address that another station holds.
//!
//! Read first: RFC 4861 sections 7.1 (which messages are valid), 7.2.4 to 7.2.8 (advertisements, anycast, proxies) and 11.1 (attacks).
//! Forged claims, and those that have a reason: `bindings`.

use sentinel_alert::{Kind, Severity};
use sentinel_dissect::{Icmpv6, Ip};
use sentinel_units::{Address, Mac};

use super::bindings::{Claim, Form};
use crate::registry::Detector;

/// Hop limit of messages that no router has forwarded; all others are ignored (RFC 4861 section 7.1).
pub(super) const ON_LINK: u8 = 255;

/// Declaration of `ndp_spoof`; `link_layer` detects it.
#[derive(Debug)]
pub(crate) struct NdpSpoof;

impl NdpSpoof {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::NdpSpoof,
        about: "a station claims an IPv6 address that another holds; low without proof that the claim is forged",
        source: "RFC 4861 sections 7.2.5 and 11.1; virtual router addresses of RFC 9568 section 7.3",
        severity: Severity::High,
        thresholds: &[],
        ports: None,
    };
}

/// Claim of a neighbour message, and the address that it asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct NeighbourMessage {
    pub(super) claim: Option<Claim>,
    pub(super) asks: Option<Address>,
    /// The sender has no address yet: duplicate address detection (RFC 4862 section 5.4).
    pub(super) is_probe: bool,
}

/// Reads a neighbour message on `link` in a frame of these addresses; `None` for other messages and invalid ones.
///
/// An advertisement without the override flag changes no cache that has another entry (RFC 4861 section 7.2.5), as those of anycast
/// addresses: `holder` is the one known, which it must not differ from to claim anything.
pub(super) fn read(
    (ip, icmp): (&Ip<'_>, &Icmpv6<'_>),
    link: u32,
    (source, destination): (Mac, Mac),
    holder: impl FnOnce(Address) -> Option<Mac>,
) -> Option<NeighbourMessage> {
    let message = icmp.neighbour().filter(|_| ip.hop_limit == ON_LINK && icmp.code == 0)?;
    let mac = message.link_layer.unwrap_or(source);
    let is_probe = ip.source.is_unspecified();
    if !message.is_advertisement {
        let form = if destination.is_group() { Form::Request } else { Form::UnicastRequest };
        let claim = Claim { link, address: ip.source, mac, form, receiver: destination };
        let claim = Some(claim).filter(|_| !is_probe && message.link_layer.is_some());
        return Some(NeighbourMessage { claim, asks: Some(message.target), is_probe });
    }
    let form = if destination.is_group() { Form::Announcement } else { Form::Reply };
    let claim = Claim { link, address: message.target, mac, form, receiver: destination };
    let counts = message.overrides || holder(message.target).is_none_or(|holder| holder == mac);
    Some(NeighbourMessage { claim: Some(claim).filter(|_| counts), asks: None, is_probe })
}
