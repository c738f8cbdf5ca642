//! What a script means, by the language's description and nothing else: the third opinion.

use crate::tree::{Agg, Expr, Held, Kind, Program, Stmt, Ty};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Val {
    /// extended by the sign of its type
    Int(i64),
    Str(String),
    Tuple(Vec<Val>),
}

impl Val {
    fn int(&self) -> i64 {
        match self {
            Val::Int(v) => *v,
            v => panic!("{v:?} is no integer"),
        }
    }

    fn str(&self) -> &str {
        match self {
            Val::Str(s) => s,
            v => panic!("{v:?} is no string"),
        }
    }

    pub fn zero(ty: &Ty) -> Val {
        match ty {
            Ty::Bool | Ty::Int { .. } => Val::Int(0),
            Ty::Str => Val::Str(String::new()),
            Ty::Tuple(ts) => Val::Tuple(ts.iter().map(Val::zero).collect()),
        }
    }
}

/// What is seen after a run: the content of each map, and the arguments of each record.
#[derive(Default)]
pub struct Outcome {
    pub maps: Vec<BTreeMap<Vec<Val>, Val>>,
    pub records: Vec<Vec<Val>>,
}

enum Flow {
    On,
    Break,
    Continue,
    Return,
}

pub struct Machine<'a> {
    p: &'a Program,
    comm: &'a str,
    locals: Vec<Val>,
    out: Outcome,
}

pub fn run(p: &Program, comm: &str) -> Outcome {
    let locals = p.locals.iter().map(Val::zero).collect();
    let mut m = Machine { p, comm, locals, out: Outcome { maps: vec![BTreeMap::new(); p.maps.len()], records: Vec::new() } };
    m.block(&p.body);
    m.out
}

/// An integer as one of type `ty`: cut to its bytes, extended by its sign.
pub fn wrap(v: i64, ty: &Ty) -> i64 {
    match ty {
        Ty::Bool => i64::from(v != 0),
        Ty::Int { bytes: 1, signed: true } => i64::from(v as i8),
        Ty::Int { bytes: 2, signed: true } => i64::from(v as i16),
        Ty::Int { bytes: 4, signed: true } => i64::from(v as i32),
        Ty::Int { bytes: 1, .. } => i64::from(v as u8),
        Ty::Int { bytes: 2, .. } => i64::from(v as u16),
        Ty::Int { bytes: 4, .. } => i64::from(v as u32),
        _ => v,
    }
}

/// Are two operands taken as unsigned? Both have to be; a literal takes the other side's sign; shifts go by the left side.
pub fn is_unsigned(op: &str, a: &Expr, b: &Expr) -> bool {
    let literal = |e: &Expr| e.constant.is_some_and(|v| v >= 0);
    let unsigned = |e: &Expr| !e.ty.is_signed();
    match op {
        "<<" | ">>" => unsigned(a),
        _ => (unsigned(a) || literal(a)) && (unsigned(b) || literal(b)) && (unsigned(a) || unsigned(b)),
    }
}

pub fn arithmetic(op: &str, x: i64, y: i64, unsigned: bool) -> i64 {
    let (ux, uy) = (x as u64, y as u64);
    match op {
        "+" => x.wrapping_add(y),
        "-" => x.wrapping_sub(y),
        "*" => x.wrapping_mul(y),
        "/" if y == 0 => 0,
        "%" if y == 0 => x,
        "/" if unsigned => (ux / uy) as i64,
        "/" => x.wrapping_div(y),
        "%" if unsigned => (ux % uy) as i64,
        "%" => x.wrapping_rem(y),
        "&" => x & y,
        "|" => x | y,
        "^" => x ^ y,
        "<<" => x.wrapping_shl((y & 63) as u32),
        ">>" if unsigned => (ux >> (y & 63)) as i64,
        ">>" => x >> (y & 63),
        "==" => i64::from(x == y),
        "!=" => i64::from(x != y),
        "<" => i64::from(if unsigned { ux < uy } else { x < y }),
        "<=" => i64::from(if unsigned { ux <= uy } else { x <= y }),
        ">" => i64::from(if unsigned { ux > uy } else { x > y }),
        ">=" => i64::from(if unsigned { ux >= uy } else { x >= y }),
        _ => panic!("{op}"),
    }
}

/// The first `n` bytes of two NUL-terminated strings.
fn differ(a: &str, b: &str, n: usize) -> bool {
    let cut = |s: &str| s.bytes().take(n).collect::<Vec<_>>();
    cut(a) != cut(b)
}

impl Machine<'_> {
    fn block(&mut self, stmts: &[Stmt]) -> Flow {
        for s in stmts {
            match self.stmt(s) {
                Flow::On => {}
                f => return f,
            }
        }
        Flow::On
    }

    /// One turn of a loop: does it go on?
    fn turn(&mut self, body: &[Stmt]) -> Result<(), Flow> {
        match self.block(body) {
            Flow::On | Flow::Continue => Ok(()),
            Flow::Break => Err(Flow::On),
            f => Err(f),
        }
    }

    fn stmt(&mut self, s: &Stmt) -> Flow {
        match s {
            Stmt::Let { local, value, .. } | Stmt::Set(local, value) => self.locals[*local] = self.expr(value),
            Stmt::OpLocal(local, op, value) => {
                let place = Expr { kind: Kind::Local(*local), ty: self.p.locals[*local].clone(), constant: None };
                let both = Kind::Binary(op, Box::new(place), Box::new(value.clone()));
                self.locals[*local] = self.expr(&Expr { kind: both, ty: self.p.locals[*local].clone(), constant: None });
            }
            Stmt::SetMap(map, keys, value) => {
                let value = self.expr(value);
                let keys = self.keys(keys);
                self.out.maps[*map].insert(keys, value);
            }
            Stmt::OpMap(map, keys, op, value) => {
                let Held::Plain(ty) = self.p.maps[*map].held.clone() else { panic!("an aggregation has no `{op}=`") };
                // sums are added to what is there then; for any other operation the left side is read first
                let sums = matches!(*op, "+" | "-");
                let early = sums.then(|| self.expr(value).int());
                let keys = self.keys(keys);
                let a = self.out.maps[*map].get(&keys).map_or(0, Val::int);
                let b = early.unwrap_or_else(|| self.expr(value).int());
                let place = Expr { kind: Kind::Map(*map, Vec::new()), ty, constant: None };
                let v = arithmetic(op, a, b, is_unsigned(op, &place, value));
                self.out.maps[*map].insert(keys, Val::Int(v));
            }
            Stmt::Aggregate(map, keys, value) => {
                let value = value.as_ref().map_or(1, |v| self.expr(v).int());
                let keys = self.keys(keys);
                let old = self.out.maps[*map].get(&keys).map(Val::int);
                let new = match (&self.p.maps[*map].held, old) {
                    (Held::Agg(Agg::Count | Agg::Sum, _), Some(o)) => o.wrapping_add(value),
                    (Held::Agg(Agg::Min, true), Some(o)) => o.min(value),
                    (Held::Agg(Agg::Max, true), Some(o)) => o.max(value),
                    (Held::Agg(Agg::Min, false), Some(o)) => (o as u64).min(value as u64) as i64,
                    (Held::Agg(Agg::Max, false), Some(o)) => (o as u64).max(value as u64) as i64,
                    _ => value,
                };
                self.out.maps[*map].insert(keys, Val::Int(new));
            }
            Stmt::Expr(e) => {
                self.expr(e);
            }
            Stmt::If(cond, then, other) => {
                let arm = if self.expr(cond).int() != 0 { then } else { other };
                return self.block(arm);
            }
            Stmt::While { counter, turns, also, body } => {
                self.locals[*counter] = Val::Int(0);
                while self.locals[*counter].int() < i64::from(*turns) && also.as_ref().is_none_or(|e| self.expr(e).int() != 0) {
                    self.stmt(&Stmt::Count(*counter));
                    if let Err(f) = self.turn(body) {
                        return f;
                    }
                }
            }
            Stmt::Count(counter) => self.locals[*counter] = Val::Int(self.locals[*counter].int() + 1),
            Stmt::For { local, from, to, body } => {
                let (from, to) = (self.expr(from).int(), self.expr(to).int());
                for i in from..to {
                    self.locals[*local] = Val::Int(i);
                    if let Err(f) = self.turn(body) {
                        return f;
                    }
                }
            }
            Stmt::ForMap { local, map, body } => {
                for (keys, value) in self.out.maps[*map].clone() {
                    let key = if keys.len() == 1 { keys[0].clone() } else { Val::Tuple(keys) };
                    self.locals[*local] = Val::Tuple(vec![key, value]);
                    if let Err(f) = self.turn(body) {
                        return f;
                    }
                }
            }
            Stmt::Unroll(n, body) => {
                for _ in 0..*n {
                    match self.block(body) {
                        Flow::On => {}
                        f => return f,
                    }
                }
            }
            Stmt::Break => return Flow::Break,
            Stmt::Continue => return Flow::Continue,
            Stmt::Return => return Flow::Return,
            Stmt::Printf(args) => {
                let args = self.keys(args);
                self.out.records.push(args);
            }
            Stmt::Print(e) => {
                let v = self.expr(e);
                self.out.records.push(vec![v]);
            }
        }
        Flow::On
    }

    fn keys(&mut self, keys: &[Expr]) -> Vec<Val> {
        keys.iter().map(|k| self.expr(k)).collect()
    }

    fn expr(&mut self, e: &Expr) -> Val {
        let truth = |b: bool| Val::Int(i64::from(b));
        match &e.kind {
            Kind::Int { value, .. } => Val::Int(*value as i64),
            Kind::Bool(b) => truth(*b),
            Kind::Str(s) => Val::Str(s.clone()),
            Kind::Comm => Val::Str(self.comm.to_string()),
            Kind::Local(i) => self.locals[*i].clone(),
            Kind::Map(m, keys) => {
                let keys = self.keys(keys);
                self.out.maps[*m].get(&keys).cloned().unwrap_or_else(|| Val::zero(&e.ty))
            }
            Kind::Unary(op, a) => {
                let v = self.expr(a).int();
                Val::Int(match op {
                    '-' => v.wrapping_neg(),
                    '~' => !v,
                    _ => i64::from(v == 0),
                })
            }
            Kind::Binary("&&", a, b) => truth(self.expr(a).int() != 0 && self.expr(b).int() != 0),
            Kind::Binary("||", a, b) => truth(self.expr(a).int() != 0 || self.expr(b).int() != 0),
            Kind::Binary(op, a, b) => {
                let (x, y) = (self.expr(a), self.expr(b));
                match (&x, &y) {
                    (Val::Int(x), Val::Int(y)) => Val::Int(arithmetic(op, *x, *y, is_unsigned(op, a, b))),
                    _ => truth((x == y) == (*op == "==")),
                }
            }
            Kind::Cast(a) => Val::Int(wrap(self.expr(a).int(), &e.ty)),
            Kind::Ternary(c, a, b) | Kind::If(c, a, b) => {
                if self.expr(c).int() != 0 {
                    self.expr(a)
                } else {
                    self.expr(b)
                }
            }
            Kind::Elvis(a, b) => {
                let v = self.expr(a);
                if v.int() != 0 { v } else { self.expr(b) }
            }
            Kind::Step { place, up, prefix } => {
                let by = if *up { 1 } else { -1 };
                let (old, new) = match &place.kind {
                    Kind::Local(i) => {
                        let old = self.locals[*i].int();
                        let new = wrap(old.wrapping_add(by), &place.ty);
                        self.locals[*i] = Val::Int(new);
                        (old, new)
                    }
                    Kind::Map(m, keys) => {
                        let keys = self.keys(keys);
                        let old = self.out.maps[*m].get(&keys).map_or(0, Val::int);
                        let new = old.wrapping_add(by);
                        self.out.maps[*m].insert(keys, Val::Int(new));
                        (old, new)
                    }
                    k => panic!("{k:?} is no place"),
                };
                Val::Int(if *prefix { new } else { old })
            }
            Kind::Tuple(items) => Val::Tuple(self.keys(items)),
            Kind::Field(base, i) => match self.expr(base) {
                Val::Tuple(items) => items[*i].clone(),
                v => panic!("{v:?} is no tuple"),
            },
            Kind::HasKey(m, keys) => {
                let keys = self.keys(keys);
                truth(self.out.maps[*m].contains_key(&keys))
            }
            Kind::Delete(m, keys) => {
                let keys = self.keys(keys);
                truth(self.out.maps[*m].remove(&keys).is_some())
            }
            Kind::Len(m) => Val::Int(self.out.maps[*m].len() as i64),
            Kind::Strncmp(a, b, n) => {
                let (a, b) = (self.expr(a), self.expr(b));
                truth(differ(a.str(), b.str(), *n as usize))
            }
            Kind::Strlen(a) => Val::Int(self.expr(a).str().len() as i64),
        }
    }
}
