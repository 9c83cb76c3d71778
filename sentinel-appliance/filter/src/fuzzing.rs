//! What fuzz targets call: plain functions over bytes.

use alloc::vec::Vec;

use crate::instruction::Instruction;
use crate::program::Program;
use crate::run::{Packet, run};

/// Runs a program on a packet: the first byte says how many instructions follow, eight bytes each; the rest is the
/// packet.
///
/// # Panics
/// If a program that was taken gives another result than the same instructions that were not looked at.
pub fn program(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let (lines, packet) = rest.split_at(rest.len().min(usize::from(*count) * 8));
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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::simple::Simple;
    use sentinel_units::{LinkType, Port};

    #[test]
    fn mutated_programs_never_break_the_machine() {
        let simple = Simple { port: Some(Port(53)), ..Simple::default() };
        let compiled = simple.compile(LinkType::ETHERNET).unwrap();
        let lines = compiled.instructions();
        let mut sample = std::vec![u8::try_from(lines.len()).unwrap()];
        for line in lines {
            sample.extend(line.code.to_be_bytes());
            sample.extend([line.jt, line.jf]);
            sample.extend(line.k.to_be_bytes());
        }
        sample.extend([[2; 12].as_slice(), &[8, 0, 0x45], &[1; 40]].concat());
        let mut state = 0x9e37_79b9_7f4a_7c15_u64; // the seed; xorshift64 (Marsaglia 2003)
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
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
}
