//! Constant expressions of C: lengths of arrays, values of enums, conditions of directives.

use awl_grammar::ast::{BinOp, Expr, ExprKind, Type, TypeOrExpr, UnOp};

/// What names in a constant expression stand for.
pub trait Names {
    /// a name's value
    fn name(&self, name: &str) -> Option<i64>;
    /// a call: `KERNEL_VERSION(5, 8, 0)`
    fn call(&self, name: &str, args: &[i64]) -> Option<i64>;
    /// bytes of a type
    fn size_of(&self, ty: &Type) -> Option<i64>;
}

/// The value, as C computes it in 64 bits; `None` where it is not a constant (or divides by zero).
pub fn value(e: &Expr, names: &dyn Names) -> Option<i64> {
    let of = |e: &Expr| value(e, names);
    match &e.kind {
        ExprKind::Int { value, .. } => Some(*value as i64),
        ExprKind::Bool(b) => Some(i64::from(*b)),
        ExprKind::Name(n) => names.name(n),
        ExprKind::Unary(op, e) => {
            let v = of(e)?;
            match op {
                UnOp::Neg => Some(v.wrapping_neg()),
                UnOp::Not => Some(i64::from(v == 0)),
                UnOp::BitNot => Some(!v),
                UnOp::Deref | UnOp::AddrOf => None,
            }
        }
        // only what decides is computed: `defined(X) && X > 3`
        ExprKind::Binary(BinOp::And, a, b) => Some(i64::from(of(a)? != 0 && of(b)? != 0)),
        ExprKind::Binary(BinOp::Or, a, b) => Some(i64::from(of(a)? != 0 || of(b)? != 0)),
        ExprKind::Binary(op, a, b) => binary(*op, of(a)?, of(b)?),
        ExprKind::Ternary { cond, then, other } => match (of(cond)?, then) {
            (0, _) => of(other),
            (c, None) => Some(c),
            (_, Some(then)) => of(then),
        },
        ExprKind::Tuple(es) if es.len() == 1 => of(&es[0]),
        ExprKind::Cast(_, e) => of(e),
        ExprKind::Sizeof(TypeOrExpr::Type(t)) => names.size_of(t),
        ExprKind::Call { name, args } => {
            let args: Option<Vec<i64>> = args
                .iter()
                .map(|a| match a {
                    awl_grammar::ast::Arg::Expr(e) => of(e),
                    awl_grammar::ast::Arg::Type(_) => None,
                })
                .collect();
            names.call(&name.name, &args?)
        }
        _ => None,
    }
}

fn binary(op: BinOp, a: i64, b: i64) -> Option<i64> {
    let truth = |t: bool| Some(i64::from(t));
    match op {
        BinOp::Add => Some(a.wrapping_add(b)),
        BinOp::Sub => Some(a.wrapping_sub(b)),
        BinOp::Mul => Some(a.wrapping_mul(b)),
        BinOp::Div => (b != 0).then(|| a.wrapping_div(b)),
        BinOp::Mod => (b != 0).then(|| a.wrapping_rem(b)),
        BinOp::BitAnd => Some(a & b),
        BinOp::BitOr => Some(a | b),
        BinOp::BitXor => Some(a ^ b),
        BinOp::Shl => u32::try_from(b).ok().filter(|b| *b < 64).map(|b| a << b),
        BinOp::Shr => u32::try_from(b).ok().filter(|b| *b < 64).map(|b| a >> b),
        BinOp::Eq => truth(a == b),
        BinOp::Ne => truth(a != b),
        BinOp::Lt => truth(a < b),
        BinOp::Le => truth(a <= b),
        BinOp::Gt => truth(a > b),
        BinOp::Ge => truth(a >= b),
        BinOp::And => truth(a != 0 && b != 0),
        BinOp::Or => truth(a != 0 || b != 0),
        BinOp::Match => None,
    }
}
