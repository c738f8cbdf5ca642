//! Random programs that the checker accepts and that end soon.

mod expr;

use crate::evaluate::is_unsigned;
use crate::rng::Rng;
use crate::tree::{Agg, Expr, Held, Kind, Map, Program, Stmt, Ty};

pub struct Generator {
    rng: Rng,
    p: Program,
    /// locals that may be read here
    visible: Vec<usize>,
    /// those that may not be assigned: what loops count with
    fixed: Vec<usize>,
    /// those whose type is declared, and stays whatever they get
    typed: Vec<usize>,
    /// loops around this place
    loops: usize,
    /// statements that may still be made
    budget: usize,
    /// only what changes nothing and reads no map, as in a loop over a map, the order of whose elements must not show
    pure: bool,
    /// strings that may still be gone through: the verifier follows every length
    walks: usize,
    /// no `++`, no `delete`
    calm: bool,
}

/// The program of a seed; its maps' names begin with `prefix`.
pub fn program(seed: u64, prefix: &str) -> Program {
    let rng = Rng::new(seed);
    let p = Program { locals: Vec::new(), maps: Vec::new(), body: Vec::new(), terse: seed.is_multiple_of(2) };
    let mut g = Generator {
        rng,
        p,
        visible: Vec::new(),
        fixed: Vec::new(),
        typed: Vec::new(),
        loops: 0,
        budget: 0,
        pure: false,
        walks: 2,
        calm: false,
    };
    g.budget = 4 + g.rng.below(14);
    g.maps(prefix);
    // a map has its types from any use, so that the first assignment may come last
    let late = g.chance(30);
    let mut body = Vec::new();
    if !late {
        g.first_uses(&mut body);
    }
    for _ in 0..3 + g.rng.below(4) {
        let s = g.declare();
        body.push(s);
    }
    body.extend(g.stmts(0));
    if late {
        g.first_uses(&mut body);
    }
    let shown: Vec<Expr> = g.visible.clone().into_iter().map(|l| g.local(l)).filter(|e| !matches!(e.ty, Ty::Tuple(_))).collect();
    body.push(Stmt::Printf(shown));
    g.p.body = body;
    g.p
}

const OPS: &[&str] = &["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const WORDS: &[&str] = &["", "a", "ab", "abc", "kworker", "abcdefgh", "abcdefghi", "a longer text than most"];

fn boxed(e: Expr) -> Box<Expr> {
    Box::new(e)
}

fn node(kind: Kind, ty: Ty) -> Expr {
    Expr { kind, ty, constant: None }
}

/// The smallest integer type that holds two.
fn join(a: &Ty, b: &Ty) -> Ty {
    match (a, b) {
        _ if a == b => a.clone(),
        (Ty::Bool, t) | (t, Ty::Bool) => t.clone(),
        (Ty::Int { bytes: m, signed: s }, Ty::Int { bytes: n, signed: t }) => {
            let (bytes, signed) = if s == t {
                (*m.max(n), *s)
            } else if *s && m > n {
                (*m, true)
            } else if *t && n > m {
                (*n, true)
            } else {
                ((*m.max(n) * 2).min(8), true)
            };
            Ty::Int { bytes, signed }
        }
        _ => panic!("{a:?} and {b:?}"),
    }
}

impl Generator {
    fn chance(&mut self, percent: usize) -> bool {
        self.rng.chance(percent)
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.rng.below(of.len())].clone()
    }

    fn int_type(&mut self) -> Ty {
        let (bytes, signed) = (self.pick(&[1, 2, 4, 8, 8]), self.chance(50));
        Ty::Int { bytes, signed }
    }

    fn part_type(&mut self) -> Ty {
        if self.chance(70) { self.int_type() } else { Ty::Str }
    }

    fn maps(&mut self, prefix: &str) {
        for i in 0..2 + self.rng.below(4) {
            let keys = match self.rng.below(6) {
                0 | 1 => vec![],
                2 => vec![self.int_type()],
                3 => vec![Ty::Str],
                4 => (0..2 + self.rng.below(2)).map(|_| self.part_type()).collect(),
                _ => vec![Ty::Tuple((0..2).map(|_| self.part_type()).collect())],
            };
            let whole = if self.chance(70) { Ty::I64 } else { Ty::U64 };
            let held = match self.rng.below(10) {
                0..=4 => Held::Plain(whole),
                5 => Held::Plain(Ty::Str),
                6 => Held::Plain(Ty::Tuple(vec![self.part_type(), self.part_type()])),
                _ => {
                    let all = [Agg::Count, Agg::Sum, Agg::Min, Agg::Max, Agg::Avg, Agg::Stats, Agg::Hist, Agg::Lhist];
                    Held::Agg(self.pick(&all), self.chance(60))
                }
            };
            self.p.maps.push(Map { name: format!("{prefix}{i}"), keys, held });
        }
    }

    fn first_uses(&mut self, out: &mut Vec<Stmt>) {
        // a map that is assigned from what is made of maps may have no type
        let visible = std::mem::take(&mut self.visible);
        self.pure = true;
        for map in 0..self.p.maps.len() {
            let s = self.set_map(map);
            out.push(s);
        }
        self.pure = false;
        self.visible = visible;
    }

    fn new_local(&mut self, ty: Ty) -> usize {
        self.p.locals.push(ty);
        self.p.locals.len() - 1
    }

    fn local(&self, i: usize) -> Expr {
        node(Kind::Local(i), self.p.locals[i].clone())
    }

    fn declare(&mut self) -> Stmt {
        let ty = match self.rng.below(8) {
            0 => Ty::Str,
            1 => Ty::Tuple(vec![self.part_type(), self.part_type()]),
            2 => Ty::Bool,
            3 | 4 => Ty::I64,
            _ => self.int_type(),
        };
        let value = self.of(&ty, 2);
        let value = self.said(value);
        let typed = ty.is_int() && self.chance(50);
        let local = self.new_local(ty);
        self.visible.push(local);
        if typed {
            self.typed.push(local);
        }
        Stmt::Let { local, typed, value }
    }

    fn stmts(&mut self, depth: usize) -> Vec<Stmt> {
        let n = 1 + self.rng.below(if depth == 0 { 10 } else { 4 });
        let (visible, fixed) = (self.visible.len(), self.fixed.len());
        let mut out = Vec::new();
        for _ in 0..n {
            if self.budget == 0 {
                break;
            }
            self.budget -= 1;
            let s = self.stmt(depth);
            let ends = matches!(s, Stmt::Break | Stmt::Continue | Stmt::Return);
            out.push(s);
            if ends {
                break;
            }
        }
        if depth > 0 {
            self.visible.truncate(visible);
        }
        self.fixed.truncate(fixed);
        out
    }

    fn assignable(&mut self, want: impl Fn(&Ty) -> bool) -> Option<usize> {
        let all: Vec<usize> = self.visible.iter().copied().filter(|l| !self.fixed.contains(l) && want(&self.p.locals[*l])).collect();
        if all.is_empty() { None } else { Some(self.pick(&all)) }
    }

    fn stmt(&mut self, depth: usize) -> Stmt {
        let deep = depth >= 3;
        match self.rng.below(24) {
            0 | 1 => self.declare(),
            2..=4 => match self.assignable(|_| true) {
                Some(l) => {
                    let ty = self.p.locals[l].clone();
                    Stmt::Set(l, self.of(&ty, 3))
                }
                None => self.declare(),
            },
            5 | 6 => match self.assignable(|t| *t == Ty::I64) {
                Some(l) => {
                    let (op, value) = self.operand_of();
                    Stmt::OpLocal(l, op, value)
                }
                None => self.declare(),
            },
            7..=10 => {
                let map = self.rng.below(self.p.maps.len());
                self.set_map(map)
            }
            11 | 12 => self.op_map().unwrap_or(Stmt::Print(node(Kind::Comm, Ty::Str))),
            13 => match self.step_or_delete() {
                Some(e) => Stmt::Expr(e),
                None => self.declare(),
            },
            14 | 15 if !deep => {
                let cond = self.int(2);
                let then = self.stmts(depth + 1);
                let other = match self.rng.below(3) {
                    0 => Vec::new(),
                    1 => self.stmts(depth + 1),
                    _ => {
                        let cond = self.int(1);
                        vec![Stmt::If(cond, self.stmts(depth + 1), self.stmts(depth + 1))]
                    }
                };
                Stmt::If(cond, then, other)
            }
            16 if !deep && self.loops < 2 => {
                let counter = self.new_local(Ty::I64);
                let turns = 1 + self.rng.below(4) as u32;
                // the counter begins before the condition is read
                let also = if self.chance(25) { Some(self.int(1)) } else { None };
                self.visible.push(counter);
                self.fixed.push(counter);
                let body = self.looped(depth);
                self.visible.retain(|l| *l != counter);
                Stmt::While { counter, turns, also, body }
            }
            17 | 18 if !deep && self.loops < 2 => {
                let local = self.new_local(Ty::I64);
                let (from, to) = if self.chance(60) {
                    let from = self.rng.below(4) as u64;
                    let to = from + self.rng.below(4) as u64;
                    (self.literal(from), self.literal(to))
                } else {
                    let mask = self.literal(7);
                    let to = self.int(1);
                    // a literal takes the other side's sign
                    let unsigned = is_unsigned("&", &to, &mask);
                    (self.literal(0), node(Kind::Binary("&", boxed(to), boxed(mask)), if unsigned { Ty::U64 } else { Ty::I64 }))
                };
                self.visible.push(local);
                self.fixed.push(local);
                let body = self.looped(depth);
                self.visible.retain(|l| *l != local);
                Stmt::For { local, from, to, body }
            }
            19 if !deep && self.loops == 0 => Stmt::Unroll(1 + self.rng.below(3) as u32, self.stmts(depth + 1)),
            20 => self.for_map().unwrap_or(Stmt::Print(node(Kind::Comm, Ty::Str))),
            21 if self.loops > 0 && self.chance(50) => self.pick(&[Stmt::Break, Stmt::Continue]),
            21 if depth > 0 && self.chance(15) => Stmt::Return,
            22 => {
                // the order of arguments that change something is left open
                self.calm = true;
                let args: Vec<Expr> =
                    (0..1 + self.rng.below(3)).map(|_| if self.chance(75) { self.int(2) } else { self.string(1) }).collect();
                self.calm = false;
                Stmt::Printf(args)
            }
            _ => {
                let ty = self.part_type();
                let e = self.of(&ty, 2);
                // of a map, `print` is about its elements
                if matches!(e.kind, Kind::Map(..)) { Stmt::Printf(vec![e]) } else { Stmt::Print(e) }
            }
        }
    }

    fn looped(&mut self, depth: usize) -> Vec<Stmt> {
        self.loops += 1;
        let body = self.stmts(depth + 1);
        self.loops -= 1;
        body
    }

    fn keys(&mut self, map: usize) -> Vec<Expr> {
        let types = self.p.maps[map].keys.clone();
        types.iter().map(|t| self.key(t)).collect()
    }

    /// What gets nothing but literals from 0 on has no sign of its own, and takes that of what it meets. Types here are known at
    /// once: such a literal is made a negative one, and to what may be one, once it is computed, something is added that isn't.
    fn said(&mut self, value: Expr) -> Expr {
        match (&value.kind, value.constant) {
            _ if value.ty != Ty::I64 => value,
            (_, Some(v)) if v >= 0 => self.unary('~', value),
            (Kind::Cast(_), None) => {
                let zero = self.binary("==", node(Kind::Comm, Ty::Str), node(Kind::Str(String::new()), Ty::Str));
                self.binary("-", value, zero)
            }
            _ => value,
        }
    }

    /// Mostly of few values, so that elements are met again.
    fn key(&mut self, ty: &Ty) -> Expr {
        match ty {
            Ty::Tuple(ts) => node(Kind::Tuple(ts.iter().map(|t| self.key(t)).collect()), ty.clone()),
            Ty::Str => self.string(1),
            _ if self.chance(30) => self.of(ty, 2),
            _ => {
                let value = self.rng.below(6) as u64;
                let e = self.literal(value);
                if e.ty == *ty { e } else { node(Kind::Cast(boxed(e)), ty.clone()) }
            }
        }
    }

    fn set_map(&mut self, map: usize) -> Stmt {
        let held = self.p.maps[map].held.clone();
        let keys = self.keys(map);
        match held {
            Held::Plain(ty) => {
                let value = self.of(&ty, 2);
                Stmt::SetMap(map, keys, self.said(value))
            }
            Held::Agg(Agg::Count, _) => Stmt::Aggregate(map, keys, None),
            Held::Agg(_, signed) => {
                let value = self.of(&Ty::Int { bytes: 8, signed }, 2);
                Stmt::Aggregate(map, keys, Some(value))
            }
        }
    }

    /// An operation and its right side, which is no constant 0 where it divides.
    fn operand_of(&mut self) -> (&'static str, Expr) {
        let op = self.pick(OPS);
        let mut e = self.int(2);
        if e.constant == Some(0) {
            e = self.literal(3);
        }
        (op, e)
    }

    fn op_map(&mut self) -> Option<Stmt> {
        let all: Vec<usize> = (0..self.p.maps.len()).filter(|m| matches!(self.p.maps[*m].held, Held::Plain(Ty::I64))).collect();
        if all.is_empty() {
            return None;
        }
        let map = self.pick(&all);
        let (op, value) = self.operand_of();
        Some(Stmt::OpMap(map, self.keys(map), op, value))
    }

    fn step_or_delete(&mut self) -> Option<Expr> {
        let up = self.chance(60);
        let place = match self.rng.below(3) {
            0 => {
                // Others would be made wider by it, everywhere in the script.
                let typed = self.typed.clone();
                let all = self.visible.iter().copied().filter(|l| !self.fixed.contains(l));
                let stays = |l: &usize| match &self.p.locals[*l] {
                    t if *t == Ty::I64 => true,
                    t if *t == Ty::U64 => up || typed.contains(l),
                    t => matches!(t, Ty::Int { .. }) && typed.contains(l),
                };
                let all: Vec<usize> = all.filter(stays).collect();
                if all.is_empty() {
                    return None;
                }
                let l = self.pick(&all);
                self.local(l)
            }
            1 => {
                let all: Vec<usize> = (0..self.p.maps.len()).filter(|m| matches!(self.p.maps[*m].held, Held::Plain(Ty::I64))).collect();
                if all.is_empty() {
                    return None;
                }
                let map = self.pick(&all);
                node(Kind::Map(map, self.keys(map)), Ty::I64)
            }
            _ => {
                let map = self.keyed()?;
                return Some(node(Kind::Delete(map, self.keys(map)), Ty::Bool));
            }
        };
        let ty = place.ty.clone();
        Some(node(Kind::Step { place: boxed(place), up, prefix: self.chance(50) }, ty))
    }

    fn keyed(&mut self) -> Option<usize> {
        let all: Vec<usize> = (0..self.p.maps.len()).filter(|m| !self.p.maps[*m].keys.is_empty()).collect();
        if all.is_empty() { None } else { Some(self.pick(&all)) }
    }

    /// What comes of a loop over a map must not depend on the order of its elements.
    fn for_map(&mut self) -> Option<Stmt> {
        let map = self.keyed()?;
        let key = match self.p.maps[map].keys.as_slice() {
            [one] => one.clone(),
            many => Ty::Tuple(many.to_vec()),
        };
        let value = match &self.p.maps[map].held {
            Held::Plain(t) => t.clone(),
            Held::Agg(Agg::Count, _) => Ty::I64,
            Held::Agg(Agg::Sum | Agg::Min | Agg::Max, signed) => Ty::Int { bytes: 8, signed: *signed },
            Held::Agg(..) => return None,
        };
        let sum = self.assignable(|t| *t == Ty::I64)?;
        let target = (0..self.p.maps.len()).find(|m| *m != map && matches!(self.p.maps[*m].held, Held::Plain(Ty::I64)));
        let local = self.new_local(Ty::Tuple(vec![key, value]));
        let visible = self.visible.clone();
        self.visible.retain(|l| *l != sum);
        self.visible.push(local);
        self.fixed.push(local);
        self.pure = true;
        let mut body = Vec::new();
        if self.chance(40) {
            let cond = self.int(2);
            body.push(Stmt::If(cond, vec![Stmt::Continue], Vec::new()));
        }
        let op = self.pick(&["+", "-", "^", "|", "&"]);
        body.push(Stmt::OpLocal(sum, op, self.of(&Ty::I64, 2)));
        if let Some(target) = target {
            let op = self.pick(&["+", "-"]);
            let keys = self.p.maps[target].keys.clone().iter().map(|t| self.key(t)).collect();
            body.push(Stmt::OpMap(target, keys, op, self.of(&Ty::I64, 2)));
        }
        self.pure = false;
        self.visible = visible;
        self.fixed.pop();
        Some(Stmt::ForMap { local, map, body })
    }
}
