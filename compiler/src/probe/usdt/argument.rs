//! Arguments of static probes: where the assembler's text in a note says that each of them is (`-4@%eax 8@-16(%rbp) 4@$5`).

use crate::lower::context::register;
use crate::target::Arch;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// 1, 2, 4 or 8
    pub bytes: u32,
    pub signed: bool,
    pub from: Operand,
}

/// Registers are offsets in `struct pt_regs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    Register(u32),
    Constant(i64),
    /// memory of the process at the sum; the index is a register and what it is multiplied by
    Memory {
        base: Option<u32>,
        index: Option<(u32, u32)>,
        displacement: i64,
    },
}

/// The arguments of a note, each or why it can't be read.
pub fn parse(text: &str, arch: Arch) -> Vec<Result<Argument, String>> {
    words(text).into_iter().map(|w| argument(w, arch).ok_or_else(|| w.to_owned())).collect()
}

/// Split at spaces, but for those in brackets: `8@[sp, 16]`.
fn words(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0i32);
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ' ' if depth <= 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found.retain(|w| !w.is_empty());
    found
}

fn argument(word: &str, arch: Arch) -> Option<Argument> {
    // Without a size it is a word of the machine; a float's (`8f@`) is in a register that probes don't see.
    let (size, operand) = word.split_once('@').unwrap_or(("8", word));
    let (signed, size) = size.strip_prefix('-').map_or((false, size), |s| (true, s));
    let bytes = size.parse().ok().filter(|b| matches!(b, 1 | 2 | 4 | 8))?;
    let from = match arch {
        Arch::X86_64 => x86_64(operand),
        Arch::Aarch64 => aarch64(operand),
    }?;
    Some(Argument { bytes, signed, from })
}

fn x86_64(operand: &str) -> Option<Operand> {
    if let Some(n) = operand.strip_prefix('$') {
        return Some(Operand::Constant(integer(n)?));
    }
    if operand.starts_with('%') {
        return Some(Operand::Register(x86_64_register(operand)?));
    }
    let (displacement, inside) = operand.strip_suffix(')')?.split_once('(')?;
    // a symbol's address is no number before the program is loaded
    let displacement = if displacement.is_empty() { 0 } else { integer(displacement)? };
    let mut parts = inside.split(',').map(str::trim);
    let base = parts.next().filter(|b| !b.is_empty());
    let base = match base {
        Some(b) => Some(x86_64_register(b)?),
        None => None,
    };
    let index = match parts.next() {
        Some(i) => {
            let scale = parts.next().map_or(Some(1), |s| s.parse().ok().filter(|s| matches!(s, 1 | 2 | 4 | 8)))?;
            Some((x86_64_register(i)?, scale))
        }
        None => None,
    };
    (parts.next().is_none() && (base.is_some() || index.is_some())).then_some(Operand::Memory { base, index, displacement })
}

/// `%rax`, `%eax`, `%ax` and `%al` are parts of one register; those in bits 8 to 15 (`%ah`) are not read.
fn x86_64_register(name: &str) -> Option<u32> {
    let name = name.strip_prefix('%')?;
    let full = match name {
        "al" | "bl" | "cl" | "dl" => format!("{}x", &name[..1]),
        "sil" | "dil" | "bpl" | "spl" => name[..2].to_owned(),
        "rip" | "eip" | "ip" | "cs" | "ss" | "flags" | "orig_ax" => return None,
        _ => match name.strip_prefix(['r', 'e']) {
            Some(n) if n.starts_with(|c: char| c.is_ascii_digit()) => format!("r{}", n.trim_end_matches(['d', 'w', 'b'])),
            Some(n) => n.to_owned(),
            None => name.to_owned(),
        },
    };
    register(Arch::X86_64, &full)
}

fn aarch64(operand: &str) -> Option<Operand> {
    if let Some(inside) = operand.strip_prefix('[') {
        let parts: Vec<&str> = inside.strip_suffix(']')?.split(',').map(str::trim).collect();
        let base = Some(aarch64_register(parts[0])?);
        let memory = |index, displacement| Some(Operand::Memory { base, index, displacement });
        // Half of a register as an index is widened first, which is not looked at here.
        let index = |name: &str| if name.starts_with('x') { aarch64_register(name) } else { None };
        return match parts[1..] {
            [] => memory(None, 0),
            [by] if by.starts_with('x') => memory(Some((index(by)?, 1)), 0),
            [by] => memory(None, integer(by.trim_start_matches('#'))?),
            [by, shift] => {
                let shift = integer(shift.strip_prefix("lsl")?.trim().trim_start_matches('#'))?;
                memory(Some((index(by)?, 1 << u8::try_from(shift).ok().filter(|s| *s < 4)?)), 0)
            }
            _ => None,
        };
    }
    if matches!(operand, "xzr" | "wzr") {
        return Some(Operand::Constant(0));
    }
    aarch64_register(operand).map(Operand::Register).or_else(|| integer(operand.trim_start_matches('#')).map(Operand::Constant))
}

fn aarch64_register(name: &str) -> Option<u32> {
    match name.strip_prefix(['x', 'w']) {
        Some(n) => register(Arch::Aarch64, &format!("r{n}")),
        None => register(Arch::Aarch64, name).filter(|_| name == "sp"),
    }
}

/// `-16`, `0x10`
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let n = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    } as i64;
    Some(if negative { n.wrapping_neg() } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(word: &str, arch: Arch) -> Option<Argument> {
        let mut all = parse(word, arch);
        assert_eq!(all.len(), 1, "{word}");
        all.remove(0).ok()
    }

    #[test]
    fn operands_of_x86_64() {
        let of = |w| one(w, Arch::X86_64);
        let arg = |bytes, signed, from| Some(Argument { bytes, signed, from });
        let (ax, bp, r12) = (80, 32, 24);
        assert_eq!(of("-4@%eax"), arg(4, true, Operand::Register(ax)));
        assert_eq!(of("1@%al"), arg(1, false, Operand::Register(ax)));
        assert_eq!(of("%rax"), arg(8, false, Operand::Register(ax)));
        assert_eq!(of("2@%r12w"), arg(2, false, Operand::Register(r12)));
        assert_eq!(of("1@%bpl"), arg(1, false, Operand::Register(bp)));
        assert_eq!(of("4@$5"), arg(4, false, Operand::Constant(5)));
        assert_eq!(of("-8@$-0x10"), arg(8, true, Operand::Constant(-16)));
        let memory = |base, index, displacement| Operand::Memory { base, index, displacement };
        assert_eq!(of("8@-16(%rbp)"), arg(8, false, memory(Some(bp), None, -16)));
        assert_eq!(of("4@(%rbp,%rax,4)"), arg(4, false, memory(Some(bp), Some((ax, 4)), 0)));
        assert_eq!(of("4@8(,%rax,8)"), arg(4, false, memory(None, Some((ax, 8)), 8)));
        for bad in ["8@sym(%rip)", "8@16(%rip)", "8f@%xmm0", "8@%xmm0", "3@%eax", "1@%ah", "8@(%rbp", "8@()", "8@(%rbp,%rax,3)", "8@$", "@"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(parse("", Arch::X86_64), []);
        assert_eq!(parse("8@%rdi  -4@%esi", Arch::X86_64).len(), 2);
    }

    #[test]
    fn operands_of_aarch64() {
        let of = |w| one(w, Arch::Aarch64).map(|a| a.from);
        assert_eq!(of("-4@w2"), Some(Operand::Register(16)));
        assert_eq!(of("8@[sp, 16]"), Some(Operand::Memory { base: Some(248), index: None, displacement: 16 }));
        assert_eq!(of("8@[x0]"), Some(Operand::Memory { base: Some(0), index: None, displacement: 0 }));
        assert_eq!(of("4@-1"), Some(Operand::Constant(-1)));
        assert_eq!(of("8@[x29, -16]"), Some(Operand::Memory { base: Some(232), index: None, displacement: -16 }));
        assert_eq!(of("-4@[sp, #60]"), Some(Operand::Memory { base: Some(248), index: None, displacement: 60 }));
        assert_eq!(of("2@w30"), Some(Operand::Register(240)));
        assert_eq!(of("8@sp"), Some(Operand::Register(248)));
        assert_eq!(of("-8@#-0x10"), Some(Operand::Constant(-16)));
        let args = parse("8@x19 -4@[sp, 16] 1@w0", Arch::Aarch64);
        let sizes: Vec<_> = args.into_iter().map(|a| a.map(|a| (a.bytes, a.signed))).collect();
        assert_eq!(sizes, [Ok((8, false)), Ok((4, true)), Ok((1, false))]);
        let sum = |scale| Some(Operand::Memory { base: Some(0), index: Some((8, scale)), displacement: 0 });
        assert_eq!([of("8@[x0, x1]"), of("4@[x0, x1, lsl 2]"), of("8@[x0,x1,lsl #3]")], [sum(1), sum(4), sum(8)]);
        assert_eq!(of("4@wzr"), Some(Operand::Constant(0)));
        for bad in [
            "8@[x0, w1]",
            "8@[x0, x1, lsl 4]",
            "8@[x0, x1, lsl -1]",
            "8@[x0, sp]",
            "8@[x0, 8, lsl 1]",
            "8@[]",
            "8@d0",
            "8@[",
            "8@pc",
            "8@x31",
            "8@[x0",
            "8@[w0, w1, sxtw 3]",
            "8@v0",
            "8f@d0",
            "8@sym",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
