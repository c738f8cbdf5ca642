//! What `.eh_frame` of a file says, as rows: from which address on a frame is left in which way.

use crate::target::elf::{self, Unwinding};
use awl_compiler::unwind::{Bp, Cfa, Rule};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EndianSlice, LittleEndian, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection,
};
use std::path::Path;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Registers by DWARF's numbers (System V ABI for x86-64, figure 3.36).
const BP: Register = Register(6);
const SP: Register = Register(7);
const RETURN: Register = Register(16);

/// Bytes between two functions that are padding: nothing runs there.
const PADDING: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// address in the file from which on the rule counts
    pub start: u64,
    pub rule: Rule,
}

/// A file's rows, sorted, and its segments with code: (address, file offset, size).
#[derive(Debug, Default)]
pub struct Rows {
    pub rows: Vec<Row>,
    pub segments: Vec<(u64, u64, u64)>,
}

impl Rows {
    /// # Errors
    /// Where it is no ELF file, or a broken one. A file without `.eh_frame` has no rows.
    pub fn of(path: &Path) -> Result<Rows, elf::Error> {
        let file = elf::unwinding(path)?;
        let rows = rows(&file);
        Ok(Rows { rows, segments: file.segments })
    }

    /// The address in the file of what is at a file offset.
    pub fn address(&self, offset: u64) -> Option<u64> {
        let (address, start, _) =
            self.segments.iter().find(|(_, start, size)| offset >= start & !0xfff && offset < start.saturating_add(*size))?;
        Some(address.wrapping_add(offset).wrapping_sub(*start))
    }
}

fn rows(file: &Unwinding) -> Vec<Row> {
    let section = EhFrame::new(&file.eh_frame, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(file.address).set_text(file.text);
    let (mut functions, mut cx) = (Vec::new(), UnwindContext::new());
    let mut entries = section.entries(&bases);
    // What is broken ends the list: what came before still counts.
    while let Ok(Some(entry)) = entries.next() {
        let gimli::CieOrFde::Fde(partial) = entry else { continue };
        let Ok(fde) = partial.parse(EhFrame::cie_from_offset) else { continue };
        let (start, end) = (fde.initial_address(), fde.end_address());
        if start == 0 || end <= start {
            // The linker threw the function away.
            continue;
        }
        let mut rows = Vec::new();
        if fde.is_signal_trampoline() {
            rows.push(Row { start, rule: Rule { cfa: Cfa::Signal, bp: Bp::Same } });
        } else {
            match fde.rows(&section, &bases, &mut cx) {
                Ok(mut table) => {
                    while let Ok(Some(row)) = table.next_row() {
                        rows.push(Row { start: row.start_address(), rule: rule(&section, row) });
                    }
                }
                Err(_) => rows.push(Row { start, rule: Rule::UNKNOWN }),
            }
        }
        functions.push((start, end, rows));
    }
    functions.sort_by_key(|(start, ..)| *start);
    let mut out: Vec<Row> = Vec::new();
    let mut add = |row: Row| {
        if out.last().is_none_or(|last| last.rule != row.rule) {
            out.push(row);
        }
    };
    let mut last = None;
    for (start, end, rows) in functions {
        if let Some(before) = last.filter(|l: &u64| l.saturating_add(PADDING) <= start) {
            add(Row { start: before, rule: Rule::UNKNOWN });
        }
        // Functions that lie in one another: the first counts. What a broken table says of others' code doesn't.
        let own = |r: &Row| (start..end).contains(&r.start) && last.is_none_or(|l| r.start >= l);
        let mut rows: Vec<Row> = rows.into_iter().filter(own).collect();
        rows.sort_by_key(|r| r.start);
        rows.into_iter().for_each(&mut add);
        last = last.max(Some(end));
    }
    if let Some(end) = last {
        add(Row { start: end, rule: Rule::UNKNOWN });
    }
    out
}

fn rule(section: &EhFrame<Bytes>, row: &gimli::UnwindTableRow<usize>) -> Rule {
    let cfa = match row.register(RETURN) {
        None | Some(RegisterRule::Undefined) => Cfa::End,
        Some(RegisterRule::Offset(-8)) => match row.cfa() {
            CfaRule::RegisterAndOffset { register: SP, offset } => small(*offset).map_or(Cfa::Unknown, Cfa::Sp),
            CfaRule::RegisterAndOffset { register: BP, offset } => small(*offset).map_or(Cfa::Unknown, Cfa::Bp),
            CfaRule::RegisterAndOffset { .. } => Cfa::Unknown,
            CfaRule::Expression(e) => expression(section, e).map_or(Cfa::Unknown, |e| computed(&e)),
        },
        Some(_) => Cfa::Unknown,
    };
    let bp = match row.register(BP) {
        None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => Bp::Same,
        Some(RegisterRule::Offset(n)) => small(n).map_or(Bp::Lost, Bp::AtCfa),
        // Functions that move their frame to a round address.
        Some(RegisterRule::Expression(e)) => expression(section, &e).and_then(|e| above(&e, BREG_BP)).map_or(Bp::Lost, Bp::AtBp),
        Some(_) => Bp::Lost,
    };
    Rule { cfa, bp }
}

fn small(n: i64) -> Option<i32> {
    i32::try_from(n).ok()
}

fn expression(section: &EhFrame<Bytes>, e: &UnwindExpression<usize>) -> Option<Vec<u8>> {
    Some(e.get(section).ok()?.0.slice().to_vec())
}

/// `DW_OP_breg6`, `DW_OP_breg7`, `DW_OP_deref`
const BREG_BP: u8 = 0x76;
const BREG_SP: u8 = 0x77;
const DEREF: u8 = 0x06;

/// The two kinds of expressions that linkers and compilers write.
fn computed(e: &[u8]) -> Cfa {
    // breg7 8, breg16 0, lit15, and, litN, ge, lit3, shl, plus
    if let [0x77, 8, 0x80, 0, 0x3f, 0x1a, n @ 0x30..=0x3f, 0x2a, 0x33, 0x24, 0x22] = e {
        return Cfa::Plt(n - 0x30);
    }
    match e.split_last() {
        Some((&DEREF, e)) => above(e, BREG_BP).map(Cfa::AtBp).or_else(|| above(e, BREG_SP).map(Cfa::AtSp)).unwrap_or(Cfa::Unknown),
        _ => Cfa::Unknown,
    }
}

/// The number in "so many bytes above the register", and nothing behind it.
fn above(e: &[u8], register: u8) -> Option<i32> {
    let (&op, rest) = e.split_first()?;
    if op != register || rest.is_empty() || rest.len() > 4 {
        return None;
    }
    let (mut n, mut shift) = (0i32, 0);
    for (i, b) in rest.iter().enumerate() {
        n |= i32::from(b & 0x7f) << shift;
        shift += 7;
        let last = i + 1 == rest.len();
        if last != (b & 0x80 == 0) {
            return None;
        }
    }
    let unused = 32 - shift;
    Some(n << unused >> unused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        assert_eq!(computed(&[0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22]), Cfa::Plt(11));
        assert_eq!(computed(&[0x76, 0x78, 0x06]), Cfa::AtBp(-8));
        assert_eq!(computed(&[0x77, 0xa0, 0x01, 0x06]), Cfa::AtSp(160));
        assert_eq!(above(&[0x76, 0], BREG_BP), Some(0));
        for bad in [&[0x76][..], &[0x76, 0x80], &[0x76, 0, 0], &[0x70, 0], &[], &[0x76, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert_eq!(above(bad, BREG_BP), None);
            assert_eq!(computed(bad), Cfa::Unknown);
        }
    }

    /// The tests themselves: every function of a Rust program begins with its frame right above the stack pointer.
    #[test]
    fn rows_of_a_program() {
        let own = Rows::of(&std::env::current_exe().unwrap()).unwrap();
        assert!(own.rows.len() > 10_000 && own.rows.is_sorted_by_key(|r| r.start), "{}", own.rows.len());
        assert!(own.rows.windows(2).all(|w| w[0].rule != w[1].rule));
        let known = own.rows.iter().filter(|r| r.rule.word() & 7 != 0).count();
        assert!(known * 10 > own.rows.len() * 8, "{known} of {}", own.rows.len());
        assert!(own.rows.iter().any(|r| r.rule.cfa == Cfa::End), "_start has a caller");
    }

    #[test]
    fn broken_tables_end() {
        let text = (0..200u8).map(|i| i.wrapping_mul(37)).collect::<Vec<_>>();
        for n in 0..text.len() {
            rows(&Unwinding { eh_frame: text[..n].to_vec(), address: 0x1000, text: 0, segments: Vec::new() });
        }
        // Of a real one each time some bytes are others.
        let mut own = elf::unwinding(&std::env::current_exe().unwrap()).unwrap();
        own.eh_frame.truncate(20_000);
        let whole = rows(&own).len();
        assert!(whole > 200, "{whole}");
        let mut seed = 1u64;
        for _ in 0..300 {
            let kept = own.eh_frame.clone();
            for _ in 0..8 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (seed >> 33) as usize % own.eh_frame.len();
                own.eh_frame[at] = (seed >> 24) as u8;
            }
            let made = rows(&own);
            assert!(made.is_sorted_by_key(|r| r.start));
            own.eh_frame = kept;
        }
    }
}
