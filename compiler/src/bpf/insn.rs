//! eBPF instructions and their encoding (Linux: `include/uapi/linux/bpf.h`, `bpf_common.h`).

/// One slot of 8 bytes, as the kernel's `struct bpf_insn`. `lddw` takes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Insn {
    pub code: u8,
    /// 0..=10
    pub dst: u8,
    /// a register, or what kind of immediate a `lddw` or `call` holds
    pub src: u8,
    pub off: i16,
    pub imm: i32,
}

pub mod class {
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
}

/// second operand is a register
pub const X: u8 = 8;
const MODE_MEM: u8 = 0x60;
/// sign-extending (Linux 6.6)
const MODE_MEMSX: u8 = 0x80;
const MODE_ATOMIC: u8 = 0xc0;
pub const LDDW: u8 = 0x18;
pub const JA: u8 = 0x05;
pub const CALL: u8 = 0x85;
pub const EXIT: u8 = 0x95;

/// `src` of a `call`: function of the same program, kernel function
pub const PSEUDO_CALL: u8 = 1;
pub const PSEUDO_KFUNC_CALL: u8 = 2;

/// the frame pointer, read-only
pub const FP: u8 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AluOp {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    /// unsigned; by zero gives 0
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    /// unsigned; by zero gives the dividend
    Mod = 0x90,
    Xor = 0xa0,
    Arsh = 0xc0,
}

impl AluOp {
    /// As the disassembly writes it: `r1 += r2`.
    pub fn symbol(self) -> &'static str {
        match self {
            AluOp::Add => "+=",
            AluOp::Sub => "-=",
            AluOp::Mul => "*=",
            AluOp::Div => "/=",
            AluOp::Or => "|=",
            AluOp::And => "&=",
            AluOp::Lsh => "<<=",
            AluOp::Rsh => ">>=",
            AluOp::Mod => "%=",
            AluOp::Xor => "^=",
            AluOp::Arsh => "s>>=",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            AluOp::Add => "add",
            AluOp::Sub => "sub",
            AluOp::Mul => "mul",
            AluOp::Div => "div",
            AluOp::Or => "or",
            AluOp::And => "and",
            AluOp::Lsh => "lsh",
            AluOp::Rsh => "rsh",
            AluOp::Mod => "mod",
            AluOp::Xor => "xor",
            AluOp::Arsh => "arsh",
        }
    }
}

pub const NEG: u8 = 0x80;
pub const MOV: u8 = 0xb0;
pub const END: u8 = 0xd0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cond {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    /// `a & b` is not 0
    Set = 0x40,
    Ne = 0x50,
    Sgt = 0x60,
    Sge = 0x70,
    Lt = 0xa0,
    Le = 0xb0,
    Slt = 0xc0,
    Sle = 0xd0,
}

impl Cond {
    /// The condition that holds when this one doesn't; `Set` has none.
    pub fn inverse(self) -> Option<Cond> {
        Some(match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::Gt => Cond::Le,
            Cond::Le => Cond::Gt,
            Cond::Ge => Cond::Lt,
            Cond::Lt => Cond::Ge,
            Cond::Sgt => Cond::Sle,
            Cond::Sle => Cond::Sgt,
            Cond::Sge => Cond::Slt,
            Cond::Slt => Cond::Sge,
            Cond::Set => return None,
        })
    }

    /// The condition for exchanged operands.
    pub fn swapped(self) -> Cond {
        match self {
            Cond::Gt => Cond::Lt,
            Cond::Lt => Cond::Gt,
            Cond::Ge => Cond::Le,
            Cond::Le => Cond::Ge,
            Cond::Sgt => Cond::Slt,
            Cond::Slt => Cond::Sgt,
            Cond::Sge => Cond::Sle,
            Cond::Sle => Cond::Sge,
            c => c,
        }
    }

    pub fn is_signed(self) -> bool {
        matches!(self, Cond::Sgt | Cond::Sge | Cond::Slt | Cond::Sle)
    }

    pub fn symbol(self) -> &'static str {
        match self {
            Cond::Eq => "==",
            Cond::Ne => "!=",
            Cond::Gt => ">",
            Cond::Ge => ">=",
            Cond::Lt => "<",
            Cond::Le => "<=",
            Cond::Sgt => "s>",
            Cond::Sge => "s>=",
            Cond::Slt => "s<",
            Cond::Sle => "s<=",
            Cond::Set => "&",
        }
    }
}

/// Width of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Size {
    B = 0x10,
    H = 0x08,
    W = 0x00,
    Dw = 0x18,
}

impl Size {
    pub fn bits(self) -> u32 {
        match self {
            Size::B => 8,
            Size::H => 16,
            Size::W => 32,
            Size::Dw => 64,
        }
    }
}

/// The immediate of an atomic instruction.
pub mod atomic {
    pub const ADD: i32 = 0x00;
    pub const OR: i32 = 0x40;
    pub const AND: i32 = 0x50;
    pub const XOR: i32 = 0xa0;
    /// or-ed in: the old value comes back in the source register (Linux 5.12)
    pub const FETCH: i32 = 0x01;
    pub const XCHG: i32 = 0xe1;
    pub const CMPXCHG: i32 = 0xf1;
}

/// A register or an immediate as second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    Reg(u8),
    Imm(i32),
}

impl Operand {
    fn parts(self) -> (u8, u8, i32) {
        match self {
            Operand::Reg(r) => (X, r, 0),
            Operand::Imm(i) => (0, 0, i),
        }
    }
}

fn alu_class(wide: bool) -> u8 {
    if wide { class::ALU64 } else { class::ALU }
}

impl Insn {
    pub fn bytes(self) -> [u8; 8] {
        let [o0, o1] = self.off.to_le_bytes();
        let [i0, i1, i2, i3] = self.imm.to_le_bytes();
        [self.code, (self.src << 4) | (self.dst & 15), o0, o1, i0, i1, i2, i3]
    }

    pub fn from_bytes(b: [u8; 8]) -> Insn {
        Insn {
            code: b[0],
            dst: b[1] & 15,
            src: b[1] >> 4,
            off: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    pub fn class(self) -> u8 {
        self.code & 7
    }

    /// Does it take two slots?
    pub fn is_lddw(self) -> bool {
        self.code == LDDW
    }

    pub fn alu(op: AluOp, wide: bool, dst: u8, src: Operand) -> Insn {
        let (x, src, imm) = src.parts();
        Insn { code: op as u8 | x | alu_class(wide), dst, src, off: 0, imm }
    }

    pub fn mov(wide: bool, dst: u8, src: Operand) -> Insn {
        let (x, src, imm) = src.parts();
        Insn { code: MOV | x | alu_class(wide), dst, src, off: 0, imm }
    }

    /// `dst` = the low `bits` (8, 16, 32) of `src`, sign-extended (Linux 6.6); below 64 bits wide it clears the upper half.
    pub fn movsx(wide: bool, bits: u32, dst: u8, src: u8) -> Insn {
        Insn { off: bits as i16, ..Insn::mov(wide, dst, Operand::Reg(src)) }
    }

    pub fn neg(wide: bool, dst: u8) -> Insn {
        Insn { code: NEG | alu_class(wide), dst, ..Insn::default() }
    }

    /// To big-endian, which on a little-endian machine is an exchange of bytes; cuts to `bits` (16, 32, 64).
    pub fn to_be(bits: u32, dst: u8) -> Insn {
        Insn { code: END | X | class::ALU, dst, imm: bits as i32, ..Insn::default() }
    }

    pub fn load(size: Size, dst: u8, base: u8, off: i16) -> Insn {
        Insn { code: MODE_MEM | size as u8 | class::LDX, dst, src: base, off, imm: 0 }
    }

    /// Sign-extends to 64 bits (Linux 6.6).
    pub fn load_signed(size: Size, dst: u8, base: u8, off: i16) -> Insn {
        Insn { code: MODE_MEMSX | size as u8 | class::LDX, ..Insn::load(size, dst, base, off) }
    }

    pub fn is_signed_load(self) -> bool {
        self.class() == class::LDX && self.code & 0xe0 == MODE_MEMSX
    }

    pub fn store(size: Size, base: u8, off: i16, src: Operand) -> Insn {
        let (code, src, imm) = match src {
            Operand::Reg(r) => (class::STX, r, 0),
            Operand::Imm(i) => (class::ST, 0, i),
        };
        Insn { code: MODE_MEM | size as u8 | code, dst: base, src, off, imm }
    }

    pub fn atomic(op: i32, size: Size, base: u8, off: i16, src: u8) -> Insn {
        Insn { code: MODE_ATOMIC | size as u8 | class::STX, dst: base, src, off, imm: op }
    }

    pub fn is_atomic(self) -> bool {
        self.class() == class::STX && self.code & 0xe0 == MODE_ATOMIC
    }

    /// Both slots of a 64-bit immediate.
    pub fn lddw(dst: u8, value: i64) -> [Insn; 2] {
        [Insn { code: LDDW, dst, imm: value as i32, ..Insn::default() }, Insn { imm: (value >> 32) as i32, ..Insn::default() }]
    }

    pub fn jump(off: i16) -> Insn {
        Insn { code: JA, off, ..Insn::default() }
    }

    pub fn branch(cond: Cond, wide: bool, dst: u8, src: Operand, off: i16) -> Insn {
        let (x, src, imm) = src.parts();
        let class = if wide { class::JMP } else { class::JMP32 };
        Insn { code: cond as u8 | x | class, dst, src, off, imm }
    }

    /// `kind`: 0 for a helper by number, `PSEUDO_CALL`, `PSEUDO_KFUNC_CALL`.
    pub fn call(kind: u8, imm: i32) -> Insn {
        Insn { code: CALL, src: kind, imm, ..Insn::default() }
    }

    pub fn exit() -> Insn {
        Insn { code: EXIT, ..Insn::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_kernel_does() {
        // from `llvm-objdump -d` of clang's output
        assert_eq!(Insn::mov(true, 0, Operand::Imm(0)).bytes(), [0xb7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Insn::exit().bytes(), [0x95, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Insn::store(Size::Dw, 10, -8, Operand::Reg(1)).bytes(), [0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0]);
        assert_eq!(Insn::load(Size::W, 2, 1, 16).bytes(), [0x61, 0x12, 0x10, 0, 0, 0, 0, 0]);
        assert_eq!(Insn::atomic(atomic::ADD, Size::Dw, 0, 0, 1).bytes(), [0xdb, 0x10, 0, 0, 0, 0, 0, 0]);
        for i in [Insn::call(1, -1), Insn::to_be(16, 3), Insn::branch(Cond::Slt, false, 1, Operand::Imm(-5), -7)] {
            assert_eq!(Insn::from_bytes(i.bytes()), i);
        }
    }
}
