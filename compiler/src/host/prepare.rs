//! CLIF made to run on the host: what BPF does differently is written out, and names become those of the JIT.

use super::Error;
use crate::lowered::{KFUNC, LOCAL, Module, NAMESPACE_DATA, NAMESPACE_FUNC};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, Opcode, UserExternalName, types};
use cranelift_codegen::isa::CallConv;

/// The JIT's ids for the module's names.
pub trait Ids {
    /// of a helper or kernel function, by its number in namespace 0
    fn helper(&mut self, number: u32) -> Result<u32, Error>;
    fn function(&self, index: usize) -> Option<u32>;
    fn object(&self, index: usize) -> Option<u32>;
}

pub fn prepare(module: &Module, function: usize, conv: CallConv, ids: &mut dyn Ids) -> Result<ir::Function, Error> {
    let f = &module.functions[function];
    let mut clif = f.clif.clone();
    clif.signature.call_conv = conv;
    for s in clif.dfg.signatures.values_mut() {
        s.call_conv = conv;
    }
    rewrite(&mut clif);
    let refs: Vec<_> = clif.params.user_named_funcs().keys().collect();
    for r in refs {
        let name = clif.params.user_named_funcs()[r].clone();
        let index = name.index;
        let missing = || Error(format!("`{}` names {name:?}, which isn't there", f.name));
        let id = match name.namespace {
            NAMESPACE_FUNC if index >= LOCAL => ids.function((index - LOCAL) as usize).ok_or_else(missing)?,
            NAMESPACE_FUNC if index >= KFUNC => {
                if (index - KFUNC) as usize >= module.kfuncs.len() {
                    return Err(missing());
                }
                ids.helper(index)?
            }
            NAMESPACE_FUNC => ids.helper(index)?,
            NAMESPACE_DATA => ids.object(index as usize).ok_or_else(missing)?,
            _ => return Err(missing()),
        };
        clif.params.reset_user_func_name(r, UserExternalName::new(name.namespace, id));
    }
    Ok(clif)
}

/// Division as BPF has it, and `trap` as a return of 0.
fn rewrite(clif: &mut ir::Function) {
    let returns: Vec<ir::Type> = clif.signature.returns.iter().map(|r| r.value_type).collect();
    let mut pos = FuncCursor::new(clif);
    while pos.next_block().is_some() {
        while let Some(inst) = pos.next_inst() {
            let op = pos.func.dfg.insts[inst].opcode();
            pos.set_srcloc(pos.func.srcloc(inst));
            match op {
                Opcode::Trap => {
                    let zeros: Vec<ir::Value> = returns.iter().map(|t| pos.ins().iconst(*t, 0)).collect();
                    pos.func.replace(inst).return_(&zeros);
                }
                Opcode::Udiv | Opcode::Urem | Opcode::Sdiv | Opcode::Srem => {
                    division(&mut pos, inst, op);
                }
                _ => {}
            }
        }
    }
}

fn division(pos: &mut FuncCursor<'_>, inst: ir::Inst, op: Opcode) {
    let args = pos.func.dfg.inst_args(inst);
    let (x, y) = (args[0], args[1]);
    let ty = pos.func.dfg.value_type(x);
    if ty == types::I128 || !ty.is_int() {
        return;
    }
    let zero = pos.ins().iconst(ty, 0);
    let one = pos.ins().iconst(ty, 1);
    let by_zero = pos.ins().icmp(IntCC::Equal, y, zero);
    let safe = pos.ins().select(by_zero, one, y);
    let signed = matches!(op, Opcode::Sdiv | Opcode::Srem);
    // the least number divided by -1 traps, too
    let by_minus_one = signed.then(|| {
        let minus = pos.ins().bnot(zero);
        pos.ins().icmp(IntCC::Equal, safe, minus)
    });
    let safe = match by_minus_one {
        Some(m) => pos.ins().select(m, one, safe),
        None => safe,
    };
    let mut q = match op {
        Opcode::Udiv => pos.ins().udiv(x, safe),
        Opcode::Urem => pos.ins().urem(x, safe),
        Opcode::Sdiv => pos.ins().sdiv(x, safe),
        _ => pos.ins().srem(x, safe),
    };
    if let (Some(m), Opcode::Sdiv) = (by_minus_one, op) {
        let negated = pos.ins().ineg(x);
        q = pos.ins().select(m, negated, q);
    }
    let otherwise = if matches!(op, Opcode::Udiv | Opcode::Sdiv) { zero } else { x };
    // the new divisions stand before this instruction, which the cursor has passed
    pos.func.replace(inst).select(by_zero, otherwise, q);
}
