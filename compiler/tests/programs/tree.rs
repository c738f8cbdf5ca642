//! The scripts of the test as a tree of their own, and its text. It shares nothing with the compiler's trees.

use std::fmt::Write;

#[derive(Clone, Debug, PartialEq)]
pub enum Ty {
    Bool,
    Int { bytes: u8, signed: bool },
    Str,
    Tuple(Vec<Ty>),
}

impl Ty {
    pub const I64: Ty = Ty::Int { bytes: 8, signed: true };
    pub const U64: Ty = Ty::Int { bytes: 8, signed: false };

    pub fn is_int(&self) -> bool {
        matches!(self, Ty::Bool | Ty::Int { .. })
    }

    pub fn is_signed(&self) -> bool {
        matches!(self, Ty::Int { signed: true, .. })
    }

    pub fn text(&self) -> String {
        match self {
            Ty::Bool => "bool".into(),
            Ty::Int { bytes, signed } => format!("{}int{}", if *signed { "" } else { "u" }, u32::from(*bytes) * 8),
            Ty::Str => "string".into(),
            Ty::Tuple(ts) => format!("({})", ts.iter().map(Ty::text).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: Kind,
    pub ty: Ty,
    /// the value, where it is made of literals alone
    pub constant: Option<i64>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// not negative as written; `unsigned`: with an `u`
    Int {
        value: u64,
        unsigned: bool,
    },
    Bool(bool),
    Str(String),
    Comm,
    Local(usize),
    Map(usize, Vec<Expr>),
    Unary(char, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    /// to the expression's own type
    Cast(Box<Expr>),
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    Elvis(Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Step {
        place: Box<Expr>,
        up: bool,
        prefix: bool,
    },
    Tuple(Vec<Expr>),
    Field(Box<Expr>, usize),
    HasKey(usize, Vec<Expr>),
    Delete(usize, Vec<Expr>),
    Len(usize),
    Strncmp(Box<Expr>, Box<Expr>, u32),
    Strlen(Box<Expr>),
}

#[derive(Clone, Debug)]
pub enum Stmt {
    /// `let $x: T = e`, or `$x = e` where the variable is new
    Let {
        local: usize,
        typed: bool,
        value: Expr,
    },
    Set(usize, Expr),
    OpLocal(usize, &'static str, Expr),
    SetMap(usize, Vec<Expr>, Expr),
    OpMap(usize, Vec<Expr>, &'static str, Expr),
    Aggregate(usize, Vec<Expr>, Option<Expr>),
    Expr(Expr),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// counts `counter` up to `turns`; the first thing that the body does is to count
    While {
        counter: usize,
        turns: u32,
        also: Option<Expr>,
        body: Vec<Stmt>,
    },
    /// `$counter++` of a `while`
    Count(usize),
    For {
        local: usize,
        from: Expr,
        to: Expr,
        body: Vec<Stmt>,
    },
    ForMap {
        local: usize,
        map: usize,
        body: Vec<Stmt>,
    },
    Unroll(u32, Vec<Stmt>),
    Break,
    Continue,
    Return,
    Printf(Vec<Expr>),
    Print(Expr),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Agg {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    Stats,
    Hist,
    Lhist,
}

#[derive(Clone, Debug)]
pub enum Held {
    Plain(Ty),
    /// of numbers of this sign
    Agg(Agg, bool),
}

#[derive(Clone, Debug)]
pub struct Map {
    pub name: String,
    pub keys: Vec<Ty>,
    pub held: Held,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub locals: Vec<Ty>,
    pub maps: Vec<Map>,
    pub body: Vec<Stmt>,
    /// as few parentheses as C's precedence allows, or all of them
    pub terse: bool,
}

impl Program {
    /// The body of a probe with its braces.
    pub fn text(&self) -> String {
        let mut out = Text { p: self, out: String::new(), depth: 0 };
        out.block(&self.body);
        out.out
    }
}

struct Text<'a> {
    p: &'a Program,
    out: String,
    depth: usize,
}

const ATOM: u8 = 13;
const UNARY: u8 = 11;

fn precedence(e: &Expr) -> u8 {
    match &e.kind {
        Kind::Unary(..) | Kind::Cast(_) => UNARY,
        Kind::Binary(op, ..) => binary_precedence(op),
        Kind::Ternary(..) | Kind::Elvis(..) => 0,
        Kind::Step { prefix, .. } => {
            if *prefix {
                UNARY
            } else {
                ATOM - 1
            }
        }
        _ => ATOM,
    }
}

fn binary_precedence(op: &str) -> u8 {
    match op {
        "*" | "/" | "%" => 10,
        "+" | "-" => 9,
        "<<" | ">>" => 8,
        "<" | "<=" | ">" | ">=" => 7,
        "==" | "!=" => 6,
        "&" => 5,
        "^" => 4,
        "|" => 3,
        "&&" => 2,
        _ => 1,
    }
}

impl Text<'_> {
    fn block(&mut self, stmts: &[Stmt]) {
        self.out.push_str("{\n");
        self.depth += 1;
        for s in stmts {
            self.stmt(s);
        }
        self.depth -= 1;
        let _ = write!(self.out, "{}}}", "  ".repeat(self.depth));
    }

    fn stmt(&mut self, s: &Stmt) {
        self.out.push_str(&"  ".repeat(self.depth));
        let end = match s {
            Stmt::Let { local, typed: true, value } => {
                format!("let $v{local}: {} = {};", self.p.locals[*local].text(), self.expr(value))
            }
            Stmt::Let { local, value, .. } | Stmt::Set(local, value) => format!("$v{local} = {};", self.expr(value)),
            Stmt::OpLocal(local, op, value) => format!("$v{local} {op}= {};", self.expr(value)),
            Stmt::SetMap(map, keys, value) => format!("{} = {};", self.place(*map, keys), self.expr(value)),
            Stmt::OpMap(map, keys, op, value) => format!("{} {op}= {};", self.place(*map, keys), self.expr(value)),
            Stmt::Aggregate(map, keys, value) => {
                let value = value.as_ref().map(|v| self.expr(v)).unwrap_or_default();
                let call = match &self.p.maps[*map].held {
                    Held::Agg(Agg::Count, _) => "count()".to_string(),
                    Held::Agg(Agg::Hist, signed) => {
                        if *signed {
                            format!("hist({value}, 2)")
                        } else {
                            format!("hist({value})")
                        }
                    }
                    Held::Agg(Agg::Lhist, _) => format!("lhist({value}, 0, 100, 10)"),
                    Held::Agg(a, _) => format!("{}({value})", format!("{a:?}").to_lowercase()),
                    Held::Plain(_) => value,
                };
                format!("{} = {call};", self.place(*map, keys))
            }
            Stmt::Expr(e) => format!("{};", self.expr(e)),
            Stmt::If(cond, then, other) => {
                let _ = write!(self.out, "if ({}) ", self.expr(cond));
                self.block(then);
                match other.as_slice() {
                    [] => {}
                    [Stmt::If(..)] => {
                        self.out.push_str(" else ");
                        let from = self.out.len();
                        self.stmt(&other[0]);
                        // the indentation of a statement on its own line
                        let text = self.out.split_off(from);
                        self.out.push_str(text.trim());
                    }
                    other => {
                        self.out.push_str(" else ");
                        self.block(other);
                    }
                }
                String::new()
            }
            Stmt::While { counter, turns, also, body } => {
                let also = also.as_ref().map(|e| format!(" && ({})", self.expr(e))).unwrap_or_default();
                let _ = write!(self.out, "let $v{counter}: int64 = 0; while ($v{counter} < {turns}{also}) ");
                self.block(&[&[Stmt::Count(*counter)], body.as_slice()].concat());
                String::new()
            }
            Stmt::For { local, from, to, body } => {
                let (from, to) = (self.child(from, ATOM), self.child(to, ATOM));
                let _ = write!(self.out, "for $v{local} : {from}..{to} ");
                self.block(body);
                String::new()
            }
            Stmt::ForMap { local, map, body } => {
                let _ = write!(self.out, "for $v{local} : @{} ", self.p.maps[*map].name);
                self.block(body);
                String::new()
            }
            Stmt::Unroll(n, body) => {
                let _ = write!(self.out, "unroll ({n}) ");
                self.block(body);
                String::new()
            }
            Stmt::Count(counter) => format!("$v{counter}++;"),
            Stmt::Break => "break;".into(),
            Stmt::Continue => "continue;".into(),
            Stmt::Return => "return;".into(),
            Stmt::Printf(args) => {
                let verbs = args.iter().map(|a| match a.ty {
                    Ty::Str => "%s",
                    Ty::Int { signed: false, .. } => "%u",
                    _ => "%d",
                });
                let verbs = verbs.collect::<Vec<_>>().join(" ");
                format!("printf(\"{verbs}\\n\"{});", args.iter().map(|a| format!(", {}", self.expr(a))).collect::<String>())
            }
            Stmt::Print(e) => format!("print({});", self.child(e, ATOM)),
        };
        let _ = writeln!(self.out, "{end}");
    }

    fn place(&self, map: usize, keys: &[Expr]) -> String {
        let name = &self.p.maps[map].name;
        if keys.is_empty() { format!("@{name}") } else { format!("@{name}[{}]", self.list(keys)) }
    }

    fn list(&self, of: &[Expr]) -> String {
        of.iter().map(|e| self.expr(e)).collect::<Vec<_>>().join(", ")
    }

    /// An operand that binds at least as `least` does, in parentheses where it doesn't.
    fn child(&self, e: &Expr, least: u8) -> String {
        let text = self.expr(e);
        let own = precedence(e);
        let bare = if self.p.terse { own >= least } else { own >= ATOM - 1 };
        if bare { text } else { format!("({text})") }
    }

    /// `f(@m, key)`; several keys are a tuple.
    fn element(&self, map: usize, keys: &[Expr]) -> String {
        let name = &self.p.maps[map].name;
        if keys.len() == 1 { format!("@{name}, {}", self.expr(&keys[0])) } else { format!("@{name}, ({})", self.list(keys)) }
    }

    pub fn expr(&self, e: &Expr) -> String {
        match &e.kind {
            Kind::Int { value, unsigned } => format!("{value}{}", if *unsigned { "u" } else { "" }),
            Kind::Bool(b) => b.to_string(),
            Kind::Str(s) => format!("\"{s}\""),
            Kind::Comm => "comm".into(),
            Kind::Local(i) => format!("$v{i}"),
            Kind::Map(m, keys) => self.place(*m, keys),
            Kind::Unary(op, a) => {
                let a = self.child(a, UNARY);
                // `--` is a word of its own
                if a.starts_with(*op) { format!("{op}({a})") } else { format!("{op}{a}") }
            }
            Kind::Binary(op, a, b) => {
                let p = binary_precedence(op);
                format!("{} {op} {}", self.child(a, p), self.child(b, p + 1))
            }
            Kind::Cast(a) => format!("({}){}", e.ty.text(), self.child(a, UNARY)),
            Kind::Ternary(c, a, b) => format!("{} ? {} : {}", self.child(c, 1), self.child(a, 1), self.child(b, 0)),
            Kind::Elvis(a, b) => format!("{} ?: {}", self.child(a, 1), self.child(b, 0)),
            Kind::If(c, a, b) => format!("(if ({}) {{ {} }} else {{ {} }})", self.expr(c), self.expr(a), self.expr(b)),
            Kind::Step { place, up, prefix } => {
                let (place, word) = (self.expr(place), if *up { "++" } else { "--" });
                if *prefix { format!("{word}{place}") } else { format!("{place}{word}") }
            }
            Kind::Tuple(items) => format!("({})", self.list(items)),
            Kind::Field(base, i) => format!("{}.{i}", self.child(base, ATOM)),
            Kind::HasKey(m, keys) => format!("has_key({})", self.element(*m, keys)),
            Kind::Delete(m, keys) => format!("delete({})", self.element(*m, keys)),
            Kind::Len(m) => format!("len(@{})", self.p.maps[*m].name),
            Kind::Strncmp(a, b, n) => format!("strncmp({}, {}, {n})", self.expr(a), self.expr(b)),
            Kind::Strlen(a) => format!("strlen({})", self.expr(a)),
        }
    }
}
