//! `arp_spoof`: a claim to an IPv4 address that another station holds.
//!
//! Read first: RFC 826; RFC 5227 (probes claim nothing, announcements do). Requests claim as replies do: every receiver learns from
//! both. What is forged and what has a reason: `bindings`.

use sentinel_alert::{Kind, Severity};
use sentinel_dissect::Arp;
use sentinel_units::Mac;

use super::bindings::{Claim, Form};
use crate::registry::{Detector, DetectorConfig};

/// Declaration of `arp_spoof`; `link_layer` detects it.
#[derive(Debug)]
pub(crate) struct ArpSpoof;

impl ArpSpoof {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::ArpSpoof,
        about: "a station claims an IPv4 address that another holds; low without proof that the claim is forged",
        source: "RFC 826; RFC 5227 section 2.4; virtual router addresses of RFC 9568 section 7.3",
        severity: Severity::High,
        thresholds: &[],
        ports: None,
    };

    pub(crate) const fn new(_config: &DetectorConfig) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the table of detectors calls every one alike")]
    pub(crate) const fn configure(&mut self, _config: &DetectorConfig) {}
}

/// Claim of a message on `link`, and the address that it asks for, with true if what is learned is not used (a probe). `destination` is that of the frame, if its link has one.
pub(super) fn read(arp: &Arp, link: u32, destination: Option<Mac>) -> Claim {
    let is_unicast = !destination.unwrap_or(arp.target_mac).is_group() && arp.target_mac != Mac::ZERO
        || destination.is_some_and(|mac| !mac.is_group());
    let form = match (arp.is_request(), is_unicast) {
        (_, false) if arp.is_gratuitous() => Form::Announcement,
        (true, false) => Form::Request,
        (true, true) => Form::UnicastRequest,
        (false, _) => Form::Reply,
    };
    Claim { link, address: arp.sender_ip, mac: arp.sender_mac, form, receiver: arp.target_mac }
}
