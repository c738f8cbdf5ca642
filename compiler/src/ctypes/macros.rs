//! `#define`: names that stand for text.

use awl_grammar::ast::{Arg, Expr, ExprKind};
use awl_grammar::span::Span;
use std::collections::HashMap;

/// One definition, as written.
#[derive(Clone, Debug)]
pub struct Macro {
    /// of one that is called: `#define SHIFT(x) (1 << x)`
    pub params: Option<Vec<String>>,
    pub body: String,
    /// the body, where it is one
    expr: Option<Expr>,
}

/// Names that are replaced by text, with those that the compiler itself defines.
#[derive(Clone, Debug, Default)]
pub struct Macros {
    defined: HashMap<String, Macro>,
}

/// Parts of an expression with all names in it replaced, at most. It grows with 2 to the power of the definitions.
const MAX_PARTS: u32 = 4096;

impl Macro {
    /// `span`: the body's place.
    pub fn new(params: Option<Vec<String>>, body: String, span: Span) -> Macro {
        let expr = awl_grammar::parse_expr(&body, span.file, span.start as usize).ok();
        Macro { params, body, expr }
    }
}

impl Macros {
    pub fn define(&mut self, name: &str, m: Macro) {
        self.defined.insert(name.to_owned(), m);
    }

    pub fn undefine(&mut self, name: &str) {
        self.defined.remove(name);
    }

    pub fn get(&self, name: &str) -> Option<&Macro> {
        self.defined.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.defined.keys().map(String::as_str)
    }

    /// Can the names in an expression be replaced, and those in what they stand for, until nothing is left to replace? Not
    /// where a name leads back to itself, or where what comes out is too long or too high.
    fn ends<'a>(&'a self, e: &'a Expr, path: &mut Vec<&'a str>, height: u32, parts: &mut u32) -> bool {
        if height as usize > awl_grammar::MAX_DEPTH || *parts == 0 {
            return false;
        }
        *parts -= 1;
        let (name, called) = match &e.kind {
            ExprKind::Name(n) => (Some(n), false),
            ExprKind::Call { name, .. } => (Some(&name.name), true),
            _ => (None, false),
        };
        let mut fine = true;
        each(e, |child| fine = fine && self.ends(child, path, height + 1, parts));
        let Some((name, m)) = name.and_then(|n| Some((n.as_str(), self.get(n).filter(|m| m.params.is_some() == called)?))) else {
            return fine;
        };
        let Some(inner) = m.expr.as_ref().filter(|_| fine) else { return fine };
        if path.contains(&name) {
            return false;
        }
        path.push(name);
        let fine = self.ends(inner, path, height + 1, parts);
        path.pop();
        fine
    }

    /// What a name without parameters stands for.
    pub fn expression(&self, name: &str) -> Option<&Expr> {
        let m = self.get(name).filter(|m| m.params.is_none())?;
        let e = m.expr.as_ref()?;
        self.ends(e, &mut vec![name], 0, &mut MAX_PARTS.clone()).then_some(e)
    }

    /// What a call of a name with parameters stands for: its text with the arguments in their places.
    pub fn call(&self, name: &str, args: &[Expr]) -> Option<Expr> {
        let m = self.get(name)?;
        let params = m.params.as_ref().filter(|p| p.len() == args.len())?;
        let e = m.expr.as_ref()?;
        if !self.ends(e, &mut vec![name], 0, &mut MAX_PARTS.clone()) {
            return None;
        }
        let mut body = e.clone();
        substitute(&mut body, params, args);
        Some(body)
    }

    /// Why a call of a name that is defined stands for nothing, and whether that is for its text, which may be statements.
    pub fn call_refused(&self, name: &str, args: usize) -> Option<(String, bool)> {
        let m = self.get(name)?;
        let why = match m.params.as_ref().map(Vec::len) {
            None => format!("`#define {name}` has no parameters"),
            Some(n) if n != args => format!("`#define {name}` takes {}", crate::diagnostic::counted(n as u64, "argument")),
            Some(_) if m.expr.is_none() => format!("what `#define {name}` stands for is no single expression"),
            Some(_) => format!("`#define {name}` leads back to itself, or grows too long"),
        };
        Some((why, m.params.as_ref().is_some_and(|p| p.len() == args) && m.expr.is_none()))
    }

    /// The type name that a name stands for: `#define id_t unsigned int`. Followed to its end.
    pub fn type_name(&self, name: &str) -> Option<&str> {
        let mut found: Option<&str> = None;
        for _ in 0..=self.defined.len() {
            match self.get(found.unwrap_or(name)).filter(|m| m.params.is_none()) {
                Some(m) if is_words(&m.body) => found = Some(&m.body),
                _ => return found,
            }
        }
        None
    }
}

/// Nothing but words with single blanks between them, as a type's name is kept.
fn is_words(text: &str) -> bool {
    !text.is_empty()
        && text
            .split(' ')
            .all(|w| w.starts_with(|c: char| c.is_alphabetic() || c == '_') && w.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

/// The parts of an expression, of those kinds that a definition can have.
fn each<'a>(e: &'a Expr, mut f: impl FnMut(&'a Expr)) {
    match &e.kind {
        ExprKind::Unary(_, a) | ExprKind::Cast(_, a) => f(a),
        ExprKind::Field { base: a, .. } | ExprKind::TupleField { base: a, .. } | ExprKind::Step { place: a, .. } => f(a),
        ExprKind::Binary(_, a, b) | ExprKind::Index { base: a, index: b } => {
            f(a);
            f(b);
        }
        ExprKind::Slice { base, from, to } => {
            f(base);
            f(from);
            f(to);
        }
        ExprKind::Ternary { cond, then, other } => {
            f(cond);
            if let Some(t) = then {
                f(t);
            }
            f(other);
        }
        ExprKind::Tuple(es) => es.iter().for_each(f),
        ExprKind::MapIndex { keys, .. } => keys.iter().for_each(f),
        ExprKind::Call { args, .. } => {
            for a in args {
                if let Arg::Expr(e) = a {
                    f(e);
                }
            }
        }
        _ => {}
    }
}

/// Puts arguments in the places of parameters, in those expressions that a definition can have.
fn substitute(e: &mut Expr, params: &[String], args: &[Expr]) {
    if let ExprKind::Name(n) = &e.kind {
        if let Some(i) = params.iter().position(|p| p == n) {
            *e = args[i].clone();
        }
        return;
    }
    let on = |e: &mut Expr| substitute(e, params, args);
    match &mut e.kind {
        ExprKind::Unary(_, a) | ExprKind::Cast(_, a) => on(a),
        ExprKind::Field { base: a, .. } | ExprKind::TupleField { base: a, .. } | ExprKind::Step { place: a, .. } => on(a),
        ExprKind::Binary(_, a, b) | ExprKind::Index { base: a, index: b } => {
            on(a);
            on(b);
        }
        ExprKind::Slice { base, from, to } => {
            on(base);
            on(from);
            on(to);
        }
        ExprKind::Ternary { cond, then, other } => {
            on(cond);
            if let Some(t) = then {
                on(t);
            }
            on(other);
        }
        ExprKind::Tuple(es) => es.iter_mut().for_each(on),
        ExprKind::MapIndex { keys, .. } => keys.iter_mut().for_each(on),
        ExprKind::Call { args, .. } => {
            for a in args {
                if let Arg::Expr(e) = a {
                    on(e);
                }
            }
        }
        _ => {}
    }
}
