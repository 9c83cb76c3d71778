//! Detectors that look up names, addresses and ports in lists.

pub(crate) mod address_list;
pub(crate) mod fingerprint;
pub mod indicators;
pub(crate) mod name_list;
pub(crate) mod signatures;
pub(crate) mod suspicious_port;
#[cfg(test)]
mod tests;

use sentinel_alert::{Evidence, ShortName, Subject, Test};
use sentinel_dissect::PacketSummary;

use crate::incident::{Finding, Findings};
use crate::shared::event::Setting;
use crate::shared::rate::Activation;

/// Test for entries of one list, with its settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) test: Test,
    pub(crate) activation: Activation,
}

impl Rule {
    /// Reports a contact of the sender of `packet` that a list names.
    #[cold]
    pub(crate) fn report(
        &self,
        setting: Setting<'_>,
        packet: &PacketSummary<'_>,
        label: &str,
        scope: u32,
        findings: &mut Findings<'_, '_>,
    ) {
        if !self.activation.enabled {
            return;
        }
        let mut short = ShortName::new();
        for char in label.chars() {
            if short.push(if char.is_control() { '?' } else { char }).is_err() {
                break;
            }
        }
        findings.add(&Finding {
            test: self.test,
            severity: self.activation.severity,
            first: setting.now,
            subject: Subject {
                source: Some(packet.tuple.source),
                destination: Some(packet.tuple.destination),
                destination_port: Some(packet.tuple.destination_port),
                mac: packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Listed { count: 1, label: short },
            adds: 1,
            scope,
        });
    }
}
