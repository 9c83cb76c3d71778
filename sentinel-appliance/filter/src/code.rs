//! Complete instruction codes: class, size or operation, and operand source in one number.
//!
//! Read first: `linux/bpf_common.h`, `linux/filter.h`.

/// A = word at k.
pub const LD_W_ABS: u16 = 0x20;
/// A = half word at k.
pub const LD_H_ABS: u16 = 0x28;
/// A = byte at k.
pub const LD_B_ABS: u16 = 0x30;
/// A = word at X + k.
pub const LD_W_IND: u16 = 0x40;
/// A = half word at X + k.
pub const LD_H_IND: u16 = 0x48;
/// A = byte at X + k.
pub const LD_B_IND: u16 = 0x50;
/// A = length of the packet on the wire.
pub const LD_W_LEN: u16 = 0x80;
/// A = k.
pub const LD_IMM: u16 = 0x00;
/// A = scratch slot k.
pub const LD_MEM: u16 = 0x60;
/// X = k.
pub const LDX_IMM: u16 = 0x01;
/// X = scratch slot k.
pub const LDX_MEM: u16 = 0x61;
/// X = length of the packet on the wire.
pub const LDX_W_LEN: u16 = 0x81;
/// X = four times the low nibble of the byte at k: the length of an IPv4 header.
pub const LDX_B_MSH: u16 = 0xb1;
/// Scratch slot k = A.
pub const ST: u16 = 0x02;
/// Scratch slot k = X.
pub const STX: u16 = 0x03;
/// A += k.
pub const ADD_K: u16 = 0x04;
/// A -= k.
pub const SUB_K: u16 = 0x14;
/// A *= k.
pub const MUL_K: u16 = 0x24;
/// A /= k.
pub const DIV_K: u16 = 0x34;
/// A |= k.
pub const OR_K: u16 = 0x44;
/// A &= k.
pub const AND_K: u16 = 0x54;
/// A <<= k.
pub const LSH_K: u16 = 0x64;
/// A >>= k.
pub const RSH_K: u16 = 0x74;
/// A = -A.
pub const NEG: u16 = 0x84;
/// A %= k.
pub const MOD_K: u16 = 0x94;
/// A ^= k.
pub const XOR_K: u16 = 0xa4;
/// A += X.
pub const ADD_X: u16 = 0x0c;
/// A -= X.
pub const SUB_X: u16 = 0x1c;
/// A *= X.
pub const MUL_X: u16 = 0x2c;
/// A /= X.
pub const DIV_X: u16 = 0x3c;
/// A |= X.
pub const OR_X: u16 = 0x4c;
/// A &= X.
pub const AND_X: u16 = 0x5c;
/// A <<= X.
pub const LSH_X: u16 = 0x6c;
/// A >>= X.
pub const RSH_X: u16 = 0x7c;
/// A %= X.
pub const MOD_X: u16 = 0x9c;
/// A ^= X.
pub const XOR_X: u16 = 0xac;
/// Jump over k instructions.
pub const JA: u16 = 0x05;
/// Branch on A == k.
pub const JEQ_K: u16 = 0x15;
/// Branch on A > k, unsigned.
pub const JGT_K: u16 = 0x25;
/// Branch on A >= k, unsigned.
pub const JGE_K: u16 = 0x35;
/// Branch on A & k != 0.
pub const JSET_K: u16 = 0x45;
/// Branch on A == X.
pub const JEQ_X: u16 = 0x1d;
/// Branch on A > X, unsigned.
pub const JGT_X: u16 = 0x2d;
/// Branch on A >= X, unsigned.
pub const JGE_X: u16 = 0x3d;
/// Branch on A & X != 0.
pub const JSET_X: u16 = 0x4d;
/// Keep k bytes of the packet; zero is no match.
pub const RET_K: u16 = 0x06;
/// Keep A bytes of the packet.
pub const RET_A: u16 = 0x16;
/// X = A.
pub const TAX: u16 = 0x07;
/// A = X.
pub const TXA: u16 = 0x87;

/// Bit of arithmetic and branch codes whose operand is X instead of k (`BPF_X`).
pub const FROM_X: u16 = 0x08;

/// The last offset of an absolute load that the kernel takes for a byte of the packet.
pub const LAST_OFFSET: u32 = i32::MAX.unsigned_abs();
/// Slots of scratch memory (`BPF_MEMWORDS`).
pub const SCRATCH_SLOTS: u32 = 16;
/// Absolute loads from here up read ancillary data, metadata of the packet instead of its bytes (`SKF_AD_OFF`).
pub const ANCILLARY: u32 = 0xffff_f000;
/// Packet type (`SKF_AD_PKTTYPE`), 4 if outgoing. Not in files.
pub const ANCILLARY_PACKET_TYPE: u32 = ANCILLARY + 4;
/// Index of the interface (`SKF_AD_IFINDEX`). Not in files.
pub const ANCILLARY_INTERFACE: u32 = ANCILLARY + 8;
/// Tag control information of the tag that was removed from the frame (`SKF_AD_VLAN_TAG`).
pub const ANCILLARY_VLAN_TAG: u32 = ANCILLARY + 44;
/// One if a tag was removed from the frame (`SKF_AD_VLAN_TAG_PRESENT`).
pub const ANCILLARY_VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;
