//! The operators: how they are written, how tightly they bind. The parser, the printer and the dump read these rows.

use crate::ast::{BinOp, UnOp};

/// One binary operator; `prec` is higher for what binds tighter. All of them associate to the left.
pub struct Infix {
    pub symbol: &'static str,
    pub op: BinOp,
    pub prec: u8,
}

/// `c ? a : b` and `a ?: b` bind loosest and associate to the right.
pub const TERNARY: u8 = 1;
/// Prefix operators and casts bind tighter than every binary operator, postfix operators tighter still.
pub const PREFIX: u8 = 20;
pub const POSTFIX: u8 = 21;
/// Names, literals, brackets.
pub const ATOM: u8 = 22;

#[rustfmt::skip]
pub const INFIX: [Infix; 19] = [
    Infix { symbol: "||", op: BinOp::Or, prec: 2 },
    Infix { symbol: "&&", op: BinOp::And, prec: 3 },
    Infix { symbol: "|", op: BinOp::BitOr, prec: 4 },
    Infix { symbol: "^", op: BinOp::BitXor, prec: 5 },
    Infix { symbol: "&", op: BinOp::BitAnd, prec: 6 },
    Infix { symbol: "==", op: BinOp::Eq, prec: 7 },
    Infix { symbol: "!=", op: BinOp::Ne, prec: 7 },
    Infix { symbol: "=~", op: BinOp::Match, prec: 7 },
    Infix { symbol: "<", op: BinOp::Lt, prec: 8 },
    Infix { symbol: "<=", op: BinOp::Le, prec: 8 },
    Infix { symbol: ">", op: BinOp::Gt, prec: 8 },
    Infix { symbol: ">=", op: BinOp::Ge, prec: 8 },
    Infix { symbol: "<<", op: BinOp::Shl, prec: 9 },
    Infix { symbol: ">>", op: BinOp::Shr, prec: 9 },
    Infix { symbol: "+", op: BinOp::Add, prec: 10 },
    Infix { symbol: "-", op: BinOp::Sub, prec: 10 },
    Infix { symbol: "*", op: BinOp::Mul, prec: 11 },
    Infix { symbol: "/", op: BinOp::Div, prec: 11 },
    Infix { symbol: "%", op: BinOp::Mod, prec: 11 },
];

pub fn infix(symbol: &str) -> Option<&'static Infix> {
    INFIX.iter().find(|row| row.symbol == symbol)
}

impl BinOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        row(self).symbol
    }

    /// How tightly it binds; see [`INFIX`].
    pub fn prec(self) -> u8 {
        row(self).prec
    }
}

fn row(op: BinOp) -> &'static Infix {
    // the test below proves that every operator has its row; the first one stands in to stay free of panics
    INFIX.iter().find(|row| row.op == op).unwrap_or(&INFIX[0])
}

impl UnOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnOp::Neg => "-",
            UnOp::Not => "!",
            UnOp::BitNot => "~",
            UnOp::Deref => "*",
            UnOp::AddrOf => "&",
        }
    }
}

pub fn prefix(symbol: &str) -> Option<UnOp> {
    [UnOp::Neg, UnOp::Not, UnOp::BitNot, UnOp::Deref, UnOp::AddrOf].into_iter().find(|op| op.symbol() == symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_has_one_row() {
        use BinOp::*;
        let all = [Add, Sub, Mul, Div, Mod, BitAnd, BitOr, BitXor, Shl, Shr, And, Or, Eq, Ne, Lt, Le, Gt, Ge, Match];
        assert_eq!(all.len(), INFIX.len());
        for op in all {
            assert_eq!(INFIX.iter().filter(|row| row.op == op).count(), 1, "{op:?}");
            assert_eq!(infix(op.symbol()).map(|row| row.op), Some(op));
        }
    }
}
