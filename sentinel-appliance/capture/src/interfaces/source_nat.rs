//! Rules of the firewall that change the source address of what the machine forwards.
//!
//! Read first: `linux/netfilter/nf_tables.h`.

use rustix::net::netlink;

use super::error::InterfaceError;
use super::netlink::{Attributes, DumpRequest, dump};
use super::text;

/// Rule that translates the source of every IPv4 packet leaving by an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceNat {
    /// The interface, if the rule names it; otherwise the rule that jumps to it may.
    pub device: Option<String>,
}

/// The rules of `nf_tables`, those of `iptables-nft` included. Needs `CAP_NET_ADMIN`.
///
/// Rules with other conditions than the outgoing interface and the family (addresses, marks, sets) are left out: they do not
/// translate every packet.
///
/// # Errors
/// [`InterfaceError`] if the kernel does not reply, among others without the capability or without `nf_tables`.
#[inline]
pub fn source_nat() -> Result<Vec<SourceNat>, InterfaceError> {
    const SUBSYSTEM: u16 = 10 << 8; // NFNL_SUBSYS_NFTABLES
    const GET_RULE: u16 = SUBSYSTEM | 7;
    const NEW_RULE: u16 = SUBSYSTEM | 6;
    const ANY_FAMILY: [u8; 4] = [0; 4]; // struct nfgenmsg: family, version, resource
    let request = DumpRequest {
        protocol: Some(netlink::NETFILTER),
        kind: GET_RULE,
        reply: NEW_RULE,
        header: &ANY_FAMILY,
    };
    Ok(dump(&request)?.iter().filter_map(|payload| parse(payload)).collect())
}

/// Reads an `nfgenmsg` and its attributes; `None` for a rule that does not translate, or not every packet.
#[inline]
fn parse(payload: &[u8]) -> Option<SourceNat> {
    const EXPRESSIONS: u16 = 4;
    const EXPRESSION_NAME: u16 = 1;
    const EXPRESSION_DATA: u16 = 2;
    const IPV4: u8 = 2; // NFPROTO_IPV4
    const ANY_INTERNET: u8 = 1; // NFPROTO_INET
    let (header, attributes) = payload.split_first_chunk::<4>()?;
    if !matches!(header[0], IPV4 | ANY_INTERNET) {
        return None;
    }
    let mut rule = Rule::default();
    for (_, expression) in Attributes(find(attributes, EXPRESSIONS)?) {
        rule.read(find(expression, EXPRESSION_NAME)?, find(expression, EXPRESSION_DATA).unwrap_or_default())?;
    }
    rule.translates.then_some(SourceNat { device: rule.device })
}

/// Value of the first attribute of a kind. Not inlined: this crate is compiled for speed, and this needs none.
#[inline(never)]
fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    Attributes(attributes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Last byte of a number, all of which are big-endian and small here.
#[inline(never)]
fn number(attributes: &[u8], wanted: u16) -> Option<u8> {
    find(attributes, wanted)?.last().copied()
}

/// Meaning of the expressions of a rule that were read so far.
#[derive(Default)]
struct Rule {
    translates: bool,
    device: Option<String>,
    /// Field that was loaded last, which a comparison refers to.
    loaded: u8,
}

impl Rule {
    const OUT_NAME: u8 = 7; // NFT_META_OIFNAME
    const FAMILY: u8 = 15; // NFT_META_NFPROTO

    /// Reads an expression; `None` if it is a condition that some packets do not meet.
    #[inline(never)]
    fn read(&mut self, name: &[u8], data: &[u8]) -> Option<()> {
        match name {
            b"counter\0" | b"immediate\0" => {}
            b"masq\0" => self.translates = true,
            // NFTA_NAT_TYPE: 0 is the source.
            b"nat\0" => self.translates = number(data, 1)? == 0,
            // A target of iptables, by its name.
            b"target\0" => self.translates = matches!(find(data, 1)?, b"MASQUERADE\0" | b"SNAT\0"),
            // NFTA_META_KEY
            b"meta\0" => {
                self.loaded = number(data, 2).filter(|key| matches!(*key, Self::OUT_NAME | Self::FAMILY))?;
            }
            b"cmp\0" => self.compare(number(data, 2)?, find(data, 3)?)?,
            _ => return None,
        }
        Some(())
    }

    /// Reads a comparison: its operator, and the value in an attribute of its own.
    #[inline]
    fn compare(&mut self, operator: u8, data: &[u8]) -> Option<()> {
        let (_, value) = Attributes(data).next()?;
        if operator != 0 {
            return None; // not NFT_CMP_EQ
        }
        match self.loaded {
            Self::FAMILY => (value.first() == Some(&2)).then_some(()),
            _ => {
                self.device = Some(text(value));
                Some(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn rule(family: u8, expressions: &[(&str, Vec<u8>)]) -> Option<SourceNat> {
        let list: Vec<u8> = expressions
            .iter()
            .flat_map(|(name, data)| {
                let name = attribute(1, format!("{name}\0").as_bytes());
                attribute(1, &[name, attribute(2 | 0x8000, data)].concat())
            })
            .collect();
        let table = attribute(1, b"fw4\0");
        parse(&[vec![family, 0, 0, 0], table, attribute(4 | 0x8000, &list)].concat())
    }

    fn load(key: u8) -> (&'static str, Vec<u8>) {
        ("meta", attribute(2, &[0, 0, 0, key]))
    }

    fn compare(operator: u8, value: &[u8]) -> (&'static str, Vec<u8>) {
        ("cmp", [attribute(2, &[0, 0, 0, operator]), attribute(3, &attribute(1, value))].concat())
    }

    #[test]
    fn rules_that_translate_every_packet_are_found() {
        let everywhere = Some(SourceNat { device: None });
        let on_wan = Some(SourceNat { device: Some("wan".into()) });
        let masquerade = ("masq", Vec::new());
        let target = |name: &[u8]| ("target", attribute(1, name));
        // OpenWrt's, in a chain of its own; and those of an administrator by nft and by iptables-nft.
        assert_eq!(rule(1, &[load(15), compare(0, &[2]), masquerade.clone()]), everywhere);
        assert_eq!(rule(2, &[load(7), compare(0, b"wan\0\0\0\0\0"), masquerade.clone()]), on_wan);
        let counter = ("counter", Vec::new());
        assert_eq!(rule(2, &[load(7), compare(0, b"wan\0"), counter, target(b"MASQUERADE\0")]), on_wan);
        let nat = |kind: u8| ("nat", attribute(1, &[0, 0, 0, kind]));
        assert_eq!(rule(2, &[("immediate", Vec::new()), nat(0)]), everywhere);
        // Destinations; IPv6; other interfaces than one; an address (Docker); a mark.
        assert_eq!(rule(2, &[nat(1)]), None);
        assert_eq!(rule(2, &[target(b"REJECT\0")]), None);
        assert_eq!(rule(10, std::slice::from_ref(&masquerade)), None);
        assert_eq!(rule(1, &[load(15), compare(0, &[10]), masquerade.clone()]), None);
        assert_eq!(rule(2, &[load(7), compare(1, b"docker0\0"), masquerade.clone()]), None);
        assert_eq!(rule(2, &[("payload", Vec::new()), compare(0, &[172, 17]), masquerade.clone()]), None);
        assert_eq!(rule(2, &[load(3), compare(0, &[1, 0, 0, 0]), masquerade]), None);
        assert_eq!(rule(2, &[]), None);
        assert_eq!(parse(&[2]), None);
    }
}
