//! Link types of the interfaces of a capture, which one pcap file cannot mix.

use sentinel_capture::file::FileKind;
use sentinel_capture::ring::Ring;
use sentinel_units::LinkType;

use crate::packets::options::PacketOptions;
use crate::terminal::failure::Failure;
use crate::worker::interface::CaptureInterface;
use crate::worker::ring_set::RingSet;

/// Link type of each interface.
pub(super) fn of_rings(rings: &mut RingSet) -> Vec<LinkType> {
    let rings = rings.interfaces().iter().map(CaptureInterface::ring);
    rings.map(|ring| ring.map_or(LinkType::ETHERNET, Ring::link)).collect()
}

/// `link type EN10MB`, or `link types EN10MB (br-lan), RAW (wg0)`.
pub(super) fn describe(names: &[String], links: &[LinkType]) -> String {
    let first = links.first().copied().unwrap_or(LinkType::ETHERNET);
    if links.iter().all(|link| *link == first) {
        return format!("link type {first}");
    }
    let each: Vec<String> = links.iter().zip(names).map(|(link, name)| format!("{link} ({name})")).collect();
    format!("link types {}", each.join(", "))
}

/// Checks that the frames of all interfaces go into the capture file: a pcap file has one link type.
pub(super) fn check(options: &PacketOptions, names: &[String], links: &[LinkType]) -> Result<(), Failure> {
    let Some(save) = options.save.as_ref().filter(|save| save.kind == FileKind::Pcap) else { return Ok(()) };
    if links.windows(2).all(|pair| matches!(pair, [one, other] if one == other)) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "-w {}: a pcap file has one link type, and these interfaces have {}; want pcapng (--format pcapng, or FILE.pcapng)",
        save.path.display(),
        describe(names, links)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_link_type_is_named_once_and_several_with_their_interfaces() {
        let names = ["br-lan".to_owned(), "wg0".to_owned()];
        let text = |second| describe(&names, &[LinkType::ETHERNET, second]);
        assert_eq!(text(LinkType::ETHERNET), "link type EN10MB");
        assert_eq!(text(LinkType::RAW), "link types EN10MB (br-lan), RAW (wg0)");
    }
}
