//! Expressions of a wanted type.

use super::{COMPARISONS, Generator, OPS, WORDS, boxed, join, node};
use crate::evaluate::{arithmetic, is_unsigned};
use crate::tree::{Agg, Expr, Held, Kind, Map, Ty};

impl Generator {
    pub(super) fn literal(&mut self, value: u64) -> Expr {
        let ty = if value > i64::MAX as u64 { Ty::U64 } else { Ty::I64 };
        Expr { kind: Kind::Int { value, unsigned: false }, ty, constant: Some(value as i64) }
    }

    pub(super) fn number(&mut self) -> Expr {
        let v = self.rng.number();
        match self.rng.below(8) {
            0 => Expr { kind: Kind::Int { value: v as u64, unsigned: true }, ty: Ty::U64, constant: Some(v) },
            1 if self.chance(30) => {
                let b = self.chance(50);
                Expr { kind: Kind::Bool(b), ty: Ty::Bool, constant: Some(i64::from(b)) }
            }
            _ if v >= 0 => self.literal(v as u64),
            _ => {
                let e = self.literal(v.unsigned_abs());
                self.unary('-', e)
            }
        }
    }

    pub(super) fn unary(&mut self, op: char, a: Expr) -> Expr {
        let ty = match op {
            '!' => Ty::Bool,
            _ if a.ty.is_signed() => Ty::I64,
            // the smallest integer, whose digits are none
            '-' if a.constant == Some(i64::MIN) => Ty::I64,
            _ => Ty::U64,
        };
        let constant = a.constant.map(|v| match op {
            '-' => v.wrapping_neg(),
            '~' => !v,
            _ => i64::from(v == 0),
        });
        Expr { kind: Kind::Unary(op, boxed(a)), ty, constant }
    }

    pub(super) fn binary(&mut self, op: &'static str, a: Expr, b: Expr) -> Expr {
        let divides = matches!(op, "/" | "%");
        let b = if divides && b.constant == Some(0) { self.literal(7) } else { b };
        let logic = matches!(op, "&&" | "||");
        let unsigned = is_unsigned(op, &a, &b);
        let ty = if logic || COMPARISONS.contains(&op) {
            Ty::Bool
        } else if unsigned && op != "-" {
            Ty::U64
        } else {
            Ty::I64
        };
        let constant = match (op, a.constant, b.constant) {
            // the left side alone decides
            ("&&", Some(0), _) => Some(0),
            ("||", Some(x), _) if x != 0 => Some(1),
            ("&&" | "||", Some(_), Some(y)) => Some(i64::from(y != 0)),
            (_, Some(x), Some(y)) if !logic => Some(arithmetic(op, x, y, unsigned)),
            _ => None,
        };
        Expr { kind: Kind::Binary(op, boxed(a), boxed(b)), ty, constant }
    }

    /// A value of exactly this type.
    pub(super) fn of(&mut self, ty: &Ty, depth: usize) -> Expr {
        match ty {
            Ty::Str => self.string(depth),
            Ty::Tuple(ts) => {
                let same: Vec<usize> = self.visible.iter().copied().filter(|l| self.p.locals[*l] == *ty).collect();
                if !same.is_empty() && self.chance(40) {
                    let l = self.pick(&same);
                    return self.local(l);
                }
                node(Kind::Tuple(ts.iter().map(|t| self.of(t, depth)).collect()), ty.clone())
            }
            _ => {
                let e = self.int(depth);
                if e.ty == *ty { e } else { node(Kind::Cast(boxed(e)), ty.clone()) }
            }
        }
    }

    pub(super) fn string(&mut self, depth: usize) -> Expr {
        let locals: Vec<usize> = self.visible.iter().copied().filter(|l| self.p.locals[*l] == Ty::Str).collect();
        match self.rng.below(6) {
            0 if !locals.is_empty() => {
                let l = self.pick(&locals);
                self.local(l)
            }
            1 if depth > 0 => {
                let cond = self.int(1);
                let (a, b) = (self.string(0), self.string(0));
                node(Kind::Ternary(boxed(cond), boxed(a), boxed(b)), Ty::Str)
            }
            2 if depth > 0 => self.field(|t| *t == Ty::Str).unwrap_or(node(Kind::Comm, Ty::Str)),
            3 if self.chance(40) => node(Kind::Comm, Ty::Str),
            4 if depth > 0 && !self.pure => {
                let all: Vec<usize> = (0..self.p.maps.len()).filter(|m| matches!(self.p.maps[*m].held, Held::Plain(Ty::Str))).collect();
                if all.is_empty() {
                    return node(Kind::Comm, Ty::Str);
                }
                let map = self.pick(&all);
                node(Kind::Map(map, self.keys(map)), Ty::Str)
            }
            _ => node(Kind::Str(self.pick(WORDS).to_string()), Ty::Str),
        }
    }

    /// A part of a tuple in a local, also of a tuple in a tuple.
    pub(super) fn field(&mut self, want: impl Fn(&Ty) -> bool) -> Option<Expr> {
        let mut all = Vec::new();
        let mut open: Vec<Expr> = self.visible.iter().map(|l| self.local(*l)).collect();
        while let Some(e) = open.pop() {
            if let Ty::Tuple(ts) = &e.ty {
                open.extend(ts.iter().enumerate().map(|(i, t)| node(Kind::Field(boxed(e.clone()), i), t.clone())));
            } else if want(&e.ty) && matches!(e.kind, Kind::Field(..)) {
                all.push(e);
            }
        }
        if all.is_empty() { None } else { Some(self.pick(&all)) }
    }

    /// Any integer.
    pub fn int(&mut self, depth: usize) -> Expr {
        if depth == 0 || self.chance(25) {
            return self.leaf();
        }
        let d = depth - 1;
        match self.rng.below(16) {
            0..=4 => {
                let op = self.pick(OPS);
                let (a, b) = (self.int(d), self.int(d));
                self.binary(op, a, b)
            }
            5 | 6 => {
                let op = self.pick(COMPARISONS);
                let (a, b) = (self.int(d), self.int(d));
                self.binary(op, a, b)
            }
            7 => {
                let op = self.pick(&["&&", "||"]);
                let (a, b) = (self.int(d), self.int(d));
                self.binary(op, a, b)
            }
            8 => {
                let op = self.pick(&['-', '!', '~']);
                let a = self.int(d);
                self.unary(op, a)
            }
            9 | 10 => {
                let a = self.int(d);
                // a cast number is a number of that type, not a literal any more
                if a.constant.is_some() {
                    return a;
                }
                let ty = if self.chance(10) { Ty::Bool } else { self.int_type() };
                node(Kind::Cast(boxed(a)), ty)
            }
            11 => {
                let (c, a, b) = (self.int(d), self.int(d), self.int(d));
                let ty = join(&a.ty, &b.ty);
                let parts = (boxed(c), boxed(a), boxed(b));
                let kind = if self.chance(70) { Kind::Ternary(parts.0, parts.1, parts.2) } else { Kind::If(parts.0, parts.1, parts.2) };
                node(kind, ty)
            }
            12 => {
                let step = if self.pure || self.calm || self.chance(80) { None } else { self.step_or_delete() };
                let a = step.unwrap_or_else(|| self.int(d));
                let b = self.int(d);
                let ty = join(&a.ty, &b.ty);
                node(Kind::Elvis(boxed(a), boxed(b)), ty)
            }
            13 if !self.pure && !self.calm && self.chance(40) => match self.step_or_delete() {
                Some(e) => e,
                None => self.leaf(),
            },
            14 if self.walks > 0 && self.loops == 0 && !self.pure => {
                self.walks -= 1;
                let (a, b) = (self.string(1), self.string(1));
                match self.rng.below(3) {
                    0 => node(Kind::Strncmp(boxed(a), boxed(b), 1 + self.rng.below(9) as u32), Ty::I64),
                    1 => node(Kind::Strlen(boxed(a)), Ty::I64),
                    _ => {
                        let op = self.pick(&["==", "!="]);
                        let constant = match (&a.kind, &b.kind) {
                            (Kind::Str(x), Kind::Str(y)) => Some(i64::from((x == y) == (op == "=="))),
                            _ => None,
                        };
                        Expr { kind: Kind::Binary(op, boxed(a), boxed(b)), ty: Ty::Bool, constant }
                    }
                }
            }
            _ => self.map_int(),
        }
    }

    pub(super) fn map_int(&mut self) -> Expr {
        if self.pure {
            return self.leaf();
        }
        if self.chance(30)
            && let Some(map) = self.keyed()
        {
            return if self.chance(60) { node(Kind::HasKey(map, self.keys(map)), Ty::Bool) } else { node(Kind::Len(map), Ty::I64) };
        }
        let number = |m: &Map| match &m.held {
            Held::Plain(t) if t.is_int() => Some(t.clone()),
            Held::Agg(Agg::Count, _) => Some(Ty::I64),
            Held::Agg(Agg::Sum, signed) => Some(Ty::Int { bytes: 8, signed: *signed }),
            _ => None,
        };
        let all: Vec<(usize, Ty)> = self.p.maps.iter().enumerate().filter_map(|(i, m)| Some((i, number(m)?))).collect();
        if all.is_empty() {
            return self.leaf();
        }
        let (map, ty) = self.pick(&all);
        node(Kind::Map(map, self.keys(map)), ty)
    }

    pub(super) fn leaf(&mut self) -> Expr {
        let ints: Vec<usize> = self.visible.iter().copied().filter(|l| self.p.locals[*l].is_int()).collect();
        match self.rng.below(10) {
            0..=5 if !ints.is_empty() => {
                let l = self.pick(&ints);
                self.local(l)
            }
            6 => match self.field(Ty::is_int) {
                Some(e) => e,
                None => self.number(),
            },
            _ => self.number(),
        }
    }
}
