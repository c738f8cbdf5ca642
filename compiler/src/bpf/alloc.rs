//! Register allocation, and the stack frame that comes out of it.

use super::select::Selected;
use super::vcode::{VCode, preg};
use super::{Error, MAX_STACK};
use crate::lowered::Module;
use regalloc2::checker::Checker;
use regalloc2::{Algorithm, Ctx, MachineEnv, Output, PRegSet, RegallocOptions};

/// r0 to r5 come first: r6 to r9 are saved by whoever uses them, so they are for what lives across a call. r10 is the
/// frame pointer.
fn machine() -> MachineEnv {
    let none = PRegSet::empty;
    MachineEnv {
        preferred_regs_by_class: [(0..=5).map(preg).collect(), none(), none()],
        non_preferred_regs_by_class: [(6..=9).map(preg).collect(), none(), none()],
        // cycles of moves take a free register, or a spill
        scratch_by_class: [None, None, None],
        fixed_stack_slots: Vec::new(),
    }
}

pub fn allocate<'c>(name: &str, vcode: &VCode, check: bool, ctx: &'c mut Ctx) -> Result<&'c Output, Error> {
    let internal = |message: String| Error::Internal { function: name.to_owned(), message };
    let env = machine();
    let options = RegallocOptions { verbose_log: false, validate_ssa: check, algorithm: Algorithm::Ion };
    let out = regalloc2::run_with_ctx(vcode, &env, &options, ctx).map_err(|e| internal(format!("register allocation: {e}\n{vcode}")))?;
    if check {
        verify(vcode, out).map_err(|e| internal(format!("register allocation: {e}\n{vcode}")))?;
    }
    Ok(out)
}

/// Does every use find the value that it asks for?
pub fn verify(vcode: &VCode, out: &Output) -> Result<(), String> {
    let env = machine();
    let mut checker = Checker::new(vcode, &env);
    checker.prepare(out);
    checker.run().map_err(|e| format!("{e:?}"))
}

/// A function's stack.
pub struct Frame {
    pub bytes: u32,
    parts: Vec<(String, u32)>,
    /// called functions and callbacks, by index into `Module::functions`
    pub callees: Vec<usize>,
}

impl Frame {
    pub fn new(selected: &Selected, spills: usize) -> Frame {
        let spilled = u32::try_from(spills).unwrap_or(u32::MAX).saturating_mul(8);
        let mut parts = selected.slot_names.clone();
        if spilled > 0 {
            parts.push(("spilled values".to_owned(), spilled));
        }
        let mut callees = selected.callees.clone();
        callees.sort_unstable();
        callees.dedup();
        Frame { bytes: selected.slots.saturating_add(spilled), parts, callees }
    }

    pub fn too_large(&self, function: &str) -> Error {
        let mut culprits = self.parts.clone();
        culprits.sort_by_key(|c| std::cmp::Reverse(c.1));
        Error::FrameTooLarge { function: function.to_owned(), bytes: self.bytes, culprits }
    }

    /// As the kernel counts (`check_max_stack_depth`): the interpreter's rounding, which is the larger.
    fn rounded(&self) -> u32 {
        self.bytes.max(1).next_multiple_of(32)
    }
}

/// The frames along each chain of calls share the limit, and a chain has at most 8 functions (Linux
/// `MAX_CALL_FRAMES`). A function comes before what it calls, which makes one pass from the end enough.
pub fn check_frames(module: &Module, frames: &[Frame]) -> Result<(), Error> {
    // bytes and length of the deepest chain from each function, and its next link
    let mut deepest: Vec<(u32, u32, Option<usize>)> = vec![(0, 0, None); frames.len()];
    for (i, frame) in frames.iter().enumerate().rev() {
        let mut best = (0, 0, None);
        for c in &frame.callees {
            if *c <= i {
                return Err(Error::Internal {
                    function: module.functions[i].name.clone(),
                    message: format!("calls `{}`, which comes before it", module.functions[*c].name),
                });
            }
            let (bytes, length, _) = deepest[*c];
            if bytes > best.0 {
                best.2 = Some(*c);
            }
            best = (best.0.max(bytes), best.1.max(length), best.2);
        }
        deepest[i] = (frame.rounded() + best.0, best.1 + 1, best.2);
        if deepest[i].1 > 8 {
            return Err(Error::TooLarge { function: module.functions[i].name.clone(), what: "calls nested more than 8 deep".to_owned() });
        }
        // alone it may fill the limit to the last byte
        if frame.callees.is_empty() || deepest[i].0 <= MAX_STACK {
            continue;
        }
        let mut culprits = frame.parts.clone();
        let mut at = best.2;
        while let Some(c) = at {
            culprits.push((format!("the function {}", module.functions[c].name), frames[c].rounded()));
            at = deepest[c].2;
        }
        culprits.sort_by_key(|c| std::cmp::Reverse(c.1));
        return Err(Error::FrameTooLarge { function: module.functions[i].name.clone(), bytes: deepest[i].0, culprits });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::insn::AluOp;
    use crate::bpf::vcode::{BlockCode, Inst, NO_LOC, Src, vreg};
    use regalloc2::Allocation;

    /// More values than registers.
    fn code() -> VCode {
        let mut insts = vec![Inst::Args { dsts: vec![vreg(0)] }];
        for i in 1..12 {
            insts.push(Inst::Alu { op: AluOp::Mul, wide: true, dst: vreg(i), lhs: vreg(0), rhs: Src::Imm(i as i32) });
        }
        let mut last = vreg(0);
        for i in 1..12 {
            let dst = vreg(11 + i);
            insts.push(Inst::Alu { op: AluOp::Xor, wide: true, dst, lhs: last, rhs: Src::Reg(vreg(i)) });
            last = dst;
        }
        insts.push(Inst::Return { value: last });
        let block = BlockCode { insts: insts.into_iter().map(|i| (i, NO_LOC)).collect(), ..BlockCode::default() };
        VCode::new(vec![block], 23)
    }

    /// A wrong register at any place is found by the checker, and so is a move that is missing.
    #[test]
    fn the_checker_finds_wrong_registers() {
        let vcode = code();
        let mut ctx = Ctx::default();
        let out = allocate("test", &vcode, true, &mut ctx).unwrap().clone();
        assert!(out.num_spillslots > 0, "it should spill");
        let mut planted = 0;
        for i in 0..out.allocs.len() {
            let mut bad = out.clone();
            if bad.allocs[i].as_reg().is_none() {
                continue;
            }
            // r10: any other may hold a copy of the value
            bad.allocs[i] = Allocation::reg(preg(10));
            assert!(verify(&vcode, &bad).is_err(), "operand {i}");
            planted += 1;
        }
        assert!(planted > 30);
        for i in 0..out.edits.len() {
            let mut bad = out.clone();
            let regalloc2::Edit::Move { from, to } = bad.edits[i].1.clone();
            if from != to {
                bad.edits.remove(i);
                assert!(verify(&vcode, &bad).is_err(), "move {i}");
            }
        }
    }
}
