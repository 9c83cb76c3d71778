//! Bodies of the fuzz targets: plain functions over bytes.

use alloc::vec::Vec;

use sentinel_units::LinkType;

use crate::expression::compile_for;
use crate::instruction::Instruction;
use crate::interpreter::{Packet, run};
use crate::program::Program;
use crate::target::Target;

/// Fuzz body: its name, which is that of its folder in `tests/fuzz-corpus`, and the function.
pub type Body = (&'static str, fn(&[u8]));

/// Every body of this crate.
pub const BODIES: &[Body] = &[("expression", expression), ("program", program)];

/// Runs a program on a packet: the first byte is the number of instructions, eight bytes each; then the packet.
///
/// # Panics
/// If a validated program has another result than the same instructions without validation.
pub fn program(bytes: &[u8]) {
    let Some((count, remaining)) = bytes.split_first() else { return };
    let (lines, packet) = remaining.split_at(remaining.len().min(usize::from(*count) * 8));
    let instructions: Vec<Instruction> = lines
        .as_chunks()
        .0
        .iter()
        .map(|[c0, c1, jt, jf, k0, k1, k2, k3]| {
            let code = u16::from_be_bytes([*c0, *c1]);
            Instruction::branch(code, u32::from_be_bytes([*k0, *k1, *k2, *k3]), *jt, *jf)
        })
        .collect();
    let packet = Packet { bytes: packet, wire_len: 1_500, vlan: Some(7) };
    let unchecked = run(&instructions, &packet);
    if let Ok(program) = Program::new(instructions) {
        assert_eq!(program.run(&packet), unchecked);
    }
}

/// Compiles an expression: the first byte chooses link type and target, the second is the length of the
/// expression in bytes; a packet follows it.
///
/// # Panics
/// If the column of an error is outside the expression, or a program returns neither zero nor the snap length.
pub fn expression(bytes: &[u8]) {
    const LINKS: [LinkType; 8] = [
        LinkType::ETHERNET,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
        LinkType::NULL,
        LinkType::LOOP,
        LinkType::RAW,
        LinkType::IPV6,
        LinkType(9),
    ];
    let [choice, length, remaining @ ..] = bytes else { return };
    let (text, packet) = remaining.split_at(remaining.len().min(usize::from(*length)));
    let Ok(text) = core::str::from_utf8(text) else { return };
    let link = LINKS.get(usize::from(choice % 8)).copied().unwrap_or(LinkType::RAW);
    let target = if choice & 8 == 0 { Target::File } else { Target::Kernel };
    match compile_for(target, text, link, 96) {
        Ok(program) => {
            let vlan = (choice & 16 != 0).then_some(100);
            let packet = Packet { bytes: packet, wire_len: 1_500, vlan };
            assert!(matches!(program.run(&packet), 0 | 96));
        }
        Err(error) => assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}"),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::simple::SimpleFilter;
    use sentinel_units::Port;

    #[test]
    fn mutated_programs_never_break_the_interpreter() {
        let simple = SimpleFilter { port: Some(Port(53)), ..SimpleFilter::default() };
        let compiled = simple.compile(LinkType::ETHERNET).unwrap();
        let lines = compiled.instructions();
        let mut sample = std::vec![u8::try_from(lines.len()).unwrap()];
        for line in lines {
            sample.extend(line.code.to_be_bytes());
            sample.extend([line.jt, line.jf]);
            sample.extend(line.k.to_be_bytes());
        }
        sample.extend([[2; 12].as_slice(), &[8, 0, 0x45], &[1; 40]].concat());
        let mut random = random();
        program(&sample);
        for _ in 0..50_000 {
            let mut bytes = sample.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x30, 0x48][random(8)];
            }
            bytes.truncate(bytes.len() - random(bytes.len() / 2));
            program(&bytes);
        }
    }

    /// Pseudo-random numbers below an argument, from a fixed seed. Xorshift64 (Journal of Statistical
    /// Software, 2003).
    fn random() -> impl FnMut(usize) -> usize {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        }
    }

    const EXPRESSIONS: [&str; 12] = [
        "tcp port 80 or (udp and not src net 10.0.0.0/8) or 443",
        "vlan 100 and (tcp[13] & 2 != 0 || ip6[4:2] % 3 >= len) && not arp",
        "ether host 01:02:03:04:05:06 and mpls 5 and host 1.2.3.4",
        "src or dst portrange ssh-http and ip6 host fe80::1 or net ff02::/16",
        "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420 or -len << 3 ^ 2 > ip[ip[0]]",
        "pppoes 7 and ip6 protochain 17 or ip protochain \\tcp",
        "broadcast or ip multicast or llc ui or isis or ether proto \\atalk",
        "((((not (((len = 1)))))))",
        "inbound or ifindex 3 or greater 100 or less 20 or byte 3 & 4",
        "vlan and vlan and vlan and ip[0:4] - tcp[4:4] * udp[2:2] = icmp6[icmp6type]",
        "host 1.2.3.4 or (5.6.7.8 and not (9.10.11.12 or 10.1))",
        "not not tcp and ! ip proto 0x11 and proto 99 and net 10 mask 255.0.0.0",
    ];

    #[test]
    fn mutated_expressions_never_break_the_compiler() {
        let mut random = random();
        for run in 0..40_000_usize {
            let mut text = EXPRESSIONS[run % EXPRESSIONS.len()].as_bytes().to_vec();
            for _ in 0..=random(3) {
                let (from, at) = (random(text.len()), random(text.len()));
                match random(5) {
                    0 => text[at] = b"()[]!:/|&=<>-+*%^0x1.\\ "[random(23)],
                    1 if text.len() > 1 => drop(text.remove(at)),
                    2 => text.truncate(at.max(1)),
                    3 => text.insert(at, b"([!-9 "[random(6)]),
                    _ => {
                        let piece = text[from..text.len().min(from + 20)].to_vec();
                        text.splice(at..at, piece);
                    }
                }
            }
            text.truncate(255);
            let head = [u8::try_from(random(32)).unwrap(), u8::try_from(text.len()).unwrap()];
            expression(&[&head[..], &text, &[0x45; 60]].concat());
        }
    }

    #[test]
    fn long_and_deep_expressions_end_in_an_error_or_a_program() {
        let many = |piece: &str, count: usize| piece.repeat(count);
        let link = LinkType::ETHERNET;
        for text in [
            many("(", 100_000),
            many("!", 100_000) + "ip",
            many("-", 100_000) + "1 = 2",
            many("ip[", 100_000),
            many("not (", 5_000) + "ip",
            many("1+", 100_000) + "1 = 2",
            many("len+", 100_000) + "1 = 2",
            many("ip[0]+(", 3_000),
            many("vlan and ", 3_000) + "ip",
            many("mpls and ", 3_000) + "ip",
            many("host (", 3_000),
            many("tcp[tcp[", 3_000),
        ] {
            if let Ok(program) = compile_for(Target::Kernel, &text, link, 1) {
                assert!(program.instructions().len() <= crate::MAX_INSTRUCTIONS);
            }
        }
        // The longest program that fits, and one that does not.
        let ports = |count: usize| {
            let each: Vec<_> = (0..count).map(|port| std::format!("dst port {port}")).collect();
            compile_for(Target::File, &each.join(" or "), link, 1).map(|program| program.instructions().len())
        };
        assert!(ports(600).unwrap() > 600);
        let error = ports(3_000).unwrap_err();
        assert_eq!(error.reason, crate::ExpressionErrorReason::TooLong);
    }
}
