//! Macros and functions: every use becomes a copy of the body. Variables that a body makes are renamed in each copy, so
//! that they can't meet those of the caller. The checker sees only what is left.

mod copy;
#[cfg(test)]
mod tests;

use crate::diagnostic::{Diagnostic, counted, nearest};
use awl_grammar::ast::{self, Arg, ExprKind, Item, MacroParam};
use awl_grammar::span::Span;
use copy::{Copier, Given, Names};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What stands in front of the number of a copy in a variable's name.
pub const COPY: char = '#';

/// Most expressions in a script, and how deep they may be nested: macros that double what they are given grow beyond any
/// memory, and all passes go down the tree on a thread's stack of 2 MiB.
const MOST_NODES: usize = 1 << 20;
const DEEPEST: usize = 300;

#[derive(Clone, Copy)]
enum Def<'a> {
    Macro(&'a ast::Macro),
    Function(&'a ast::Function),
}

impl<'a> Def<'a> {
    fn name(self) -> &'a ast::Ident {
        match self {
            Def::Macro(m) => &m.name,
            Def::Function(f) => &f.name,
        }
    }

    fn span(self) -> Span {
        match self {
            Def::Macro(m) => m.span,
            Def::Function(f) => f.span,
        }
    }

    /// How it is written where it is defined: `m($a, @b, c)`.
    fn head(self) -> String {
        let params: Vec<String> = match self {
            Def::Macro(m) => m.params.iter().map(param_text).collect(),
            Def::Function(f) => f.params.iter().map(|(p, _)| format!("${}", p.name)).collect(),
        };
        format!("{}({})", self.name().name, params.join(", "))
    }

    /// How well the arguments fit: `None` if not at all, more where a parameter says more.
    fn fit(self, args: &[Given]) -> Option<usize> {
        match self {
            Def::Function(f) => (f.params.len() == args.len() && args.iter().all(|a| matches!(a.arg, Arg::Expr(_)))).then_some(0),
            Def::Macro(m) if m.params.len() == args.len() => {
                m.params.iter().zip(args).try_fold(0, |sum, (p, a)| Some(sum + param_fit(p, &a.arg)?))
            }
            Def::Macro(_) => None,
        }
    }
}

fn param_text(p: &MacroParam) -> String {
    match p {
        MacroParam::Var(n) => format!("${}", n.name),
        MacroParam::Map(n) => format!("@{}", n.name),
        MacroParam::Expr(n) => n.name.clone(),
    }
}

fn param_fit(p: &MacroParam, a: &Arg) -> Option<usize> {
    let kind = match a {
        Arg::Expr(e) => Some(&e.kind),
        Arg::Type(_) => None,
    };
    match p {
        MacroParam::Var(_) => matches!(kind, Some(ExprKind::Var(_))).then_some(1),
        MacroParam::Map(_) => matches!(kind, Some(ExprKind::Map(_))).then_some(1),
        MacroParam::Expr(_) => Some(0),
    }
}

/// The script with every use of its macros and functions expanded. Functions that no probe comes to stay, with bodies in which
/// the uses are: what is wrong with them can still be said. A macro means nothing without its arguments.
pub fn expand<'a>(script: &'a ast::Script, is_known: &dyn Fn(&str) -> bool, diagnostics: &mut Vec<Diagnostic>) -> Cow<'a, ast::Script> {
    let mut defs: HashMap<&str, Vec<Def>> = HashMap::new();
    for item in &script.items {
        let def = match item {
            Item::Macro(m) => Def::Macro(m),
            Item::Function(f) => Def::Function(f),
            Item::Probe(_) | Item::MapDecl(_) => continue,
        };
        define(&mut defs, def, diagnostics);
    }
    if defs.is_empty() {
        return Cow::Borrowed(script);
    }
    let mut e =
        Expander { defs, is_known, diagnostics, stack: Vec::new(), used: HashSet::new(), copies: 0, nodes: 0, depth: 0, deepest: 0 };
    let mut out = ast::Script { items: Vec::new(), ..script.clone() };
    for item in &script.items {
        match item {
            Item::Probe(p) => {
                let mut c = Copier { of: &mut e, names: Names::default() };
                let predicate = p.predicate.as_ref().map(|x| c.expr(x));
                let body = c.block(&p.body);
                out.items.push(Item::Probe(ast::Probe { predicate, body, ..p.clone() }));
            }
            Item::MapDecl(_) => out.items.push(item.clone()),
            Item::Macro(_) | Item::Function(_) => {}
        }
    }
    let mut idle = Vec::new();
    for item in &script.items {
        if let Item::Function(f) = item
            && !e.used.contains(&f.span)
        {
            idle.push(e.idle(f));
        }
    }
    idle.retain(|f| !e.used.contains(&f.span));
    out.items.extend(idle.into_iter().map(Item::Function));
    Cow::Owned(out)
}

fn define<'a>(defs: &mut HashMap<&'a str, Vec<Def<'a>>>, def: Def<'a>, diagnostics: &mut Vec<Diagnostic>) {
    let (kind, params): (&str, Vec<(&ast::Ident, String)>) = match def {
        Def::Macro(m) => {
            let ident = |p: &'a MacroParam| match p {
                MacroParam::Var(n) | MacroParam::Map(n) | MacroParam::Expr(n) => n,
            };
            ("macro", m.params.iter().map(|p| (ident(p), param_text(p))).collect())
        }
        Def::Function(f) => ("function", f.params.iter().map(|(n, _)| (n, format!("${}", n.name))).collect()),
    };
    let mut seen = HashSet::new();
    for (ident, text) in &params {
        if !seen.insert(text) {
            diagnostics.push(
                Diagnostic::error("parameter-twice", ident.span, format!("two parameters of `{}` are named `{text}`", def.name().name))
                    .label("the second one"),
            );
        }
    }
    let others = defs.entry(&def.name().name).or_default();
    let same = others.iter().find(|o| match (def, **o) {
        (Def::Macro(m), Def::Macro(n)) => {
            m.params.len() == n.params.len()
                && m.params.iter().zip(&n.params).all(|(a, b)| std::mem::discriminant(a) == std::mem::discriminant(b))
        }
        // A function has one definition, and no macro beside it.
        _ => true,
    });
    if let Some(first) = same {
        diagnostics.push(
            Diagnostic::error("defined-twice", def.name().span, format!("{kind} `{}` is defined a second time", def.head()))
                .label("the same name and kinds of parameters")
                .because(first.name().span, "first defined here")
                .help("give it another name or other parameters"),
        );
        return;
    }
    others.push(def);
}

struct Expander<'a, 'b> {
    defs: HashMap<&'a str, Vec<Def<'a>>>,
    /// is there a builtin of that name?
    is_known: &'b dyn Fn(&str) -> bool,
    diagnostics: &'b mut Vec<Diagnostic>,
    /// definitions being expanded, outermost first
    stack: Vec<Def<'a>>,
    /// definitions that were called
    used: HashSet<Span>,
    copies: usize,
    /// expressions that were made
    nodes: usize,
    /// how deep the one that is being made lies, and the deepest yet
    depth: usize,
    deepest: usize,
}

impl<'a> Expander<'a, '_> {
    /// The body for a call whose arguments are expanded; `None`: it calls something else, `Some(None)`: it was refused.
    fn call(&mut self, name: &str, name_span: Span, args: &[Given], span: Span) -> Option<Option<ast::Expr>> {
        let defs = self.defs.get(name)?.clone();
        // Where several fit, the one that says most of its parameters.
        let best = defs.iter().filter_map(|d| Some((d.fit(args)?, *d))).reduce(|a, b| if b.0 > a.0 { b } else { a });
        let Some((_, def)) = best else {
            if (self.is_known)(name) {
                return None;
            }
            self.no_fit(name, &defs, args, span);
            return Some(None);
        };
        if let Some(at) = self.stack.iter().position(|d| d.span() == def.span()) {
            let mut chain: Vec<String> = self.stack[at..].iter().map(|d| format!("`{}`", d.name().name)).collect();
            chain.push(format!("`{name}`"));
            self.diagnostics.push(
                Diagnostic::error("recursion", name_span, format!("`{name}` calls itself: {}", chain.join(" calls ")))
                    .label("calls itself here")
                    .because(def.name().span, "defined here")
                    .note("its code is put in the place of each call, which would never end")
                    .help("use a loop: `for $i : 0..n { ... }`"),
            );
            return Some(None);
        }
        self.copies += 1;
        self.used.insert(def.span());
        self.stack.push(def);
        let copy = self.copies;
        let kind = match def {
            Def::Macro(m) => {
                let names = Names::of_macro(m, args, copy);
                let body = Copier { of: self, names }.block(&m.body);
                ast::Expansion { name: m.name.clone(), span: m.span, function: None, body }
            }
            Def::Function(f) => {
                let mut c = Copier { of: self, names: Names::of_function(copy) };
                let body = c.block(&f.body);
                let params: Vec<_> = f.params.iter().map(|(n, t)| (c.own(n), t.as_ref().map(|t| c.ty(t)))).collect();
                let args = args.iter().filter_map(|a| match &a.arg {
                    Arg::Expr(e) => Some(e.clone()),
                    Arg::Type(_) => None,
                });
                let args = params.into_iter().zip(args).map(|((n, t), e)| (n, t, e)).collect();
                let function = ast::Inlined { args, ret: f.ret.clone() };
                ast::Expansion { name: f.name.clone(), span: f.span, function: Some(function), body }
            }
        };
        self.stack.pop();
        Some(Some(ast::Expr { kind: ExprKind::Expansion(Box::new(kind)), span }))
    }

    /// A function that nothing calls, with the uses in its body expanded.
    fn idle(&mut self, f: &'a ast::Function) -> ast::Function {
        self.stack.push(Def::Function(f));
        let mut c = Copier { of: self, names: Names::default() };
        let params = f.params.iter().map(|(n, t)| (n.clone(), t.as_ref().map(|t| c.ty(t)))).collect();
        let body = c.block(&f.body);
        self.stack.pop();
        ast::Function { params, body, ..f.clone() }
    }

    /// Counts expressions that are about to be made; false where there are too many.
    fn room_for(&mut self, nodes: usize, height: usize, span: Span) -> bool {
        let (nodes, deepest) = (self.nodes + nodes, self.depth + height);
        if nodes <= MOST_NODES && deepest <= DEEPEST {
            self.nodes = nodes;
            self.deepest = self.deepest.max(deepest);
            return true;
        }
        if !self.diagnostics.iter().any(|d| d.code == "expansion-size") {
            self.diagnostics.push(
                Diagnostic::error("expansion-size", span, "the macros and functions of this script make too much code")
                    .label("too much code from here on")
                    .help("evaluate an argument once: `let $x = arg;`"),
            );
        }
        false
    }

    fn no_fit(&mut self, name: &str, defs: &[Def], args: &[Given], span: Span) {
        let mut d = match defs {
            [one] => {
                let (what, params) = match one {
                    Def::Macro(m) => ("macro", m.params.len()),
                    Def::Function(f) => ("function", f.params.len()),
                };
                if params != args.len() {
                    let (params, found) = (counted(params as u64, "argument"), args.len());
                    Diagnostic::error("arg-count", span, format!("{what} `{name}` takes {params}, found {found}"))
                        .label(format!("expected `{}`", one.head()))
                } else {
                    let bad = match one {
                        Def::Macro(m) => m.params.iter().zip(args.iter().map(|g| &g.arg)).find(|(p, a)| param_fit(p, a).is_none()),
                        Def::Function(_) => None,
                    };
                    match bad {
                        Some((p, Arg::Expr(e))) => {
                            let wants = if matches!(p, MacroParam::Var(_)) { "a variable" } else { "a map as a whole" };
                            Diagnostic::error("arg-type", e.span, format!("`{}` of `{name}` is {wants}", param_text(p)))
                                .label(format!("expected {wants}"))
                        }
                        Some((_, Arg::Type(t))) => {
                            Diagnostic::error("arg-type", t.span, format!("`{name}` takes no type here")).label("expected a value")
                        }
                        None => Diagnostic::error("arg-type", span, format!("`{name}` takes values")).label("a type is no value"),
                    }
                }
            }
            many => {
                let heads: Vec<String> = many.iter().map(|d| format!("`{}`", d.head())).collect();
                Diagnostic::error("arg-type", span, format!("no macro `{name}` takes these arguments"))
                    .label("none fits")
                    .note(format!("there are {}", heads.join(", ")))
            }
        };
        if let [one] = defs {
            d = d.because(one.name().span, "defined here");
        }
        self.diagnostics.push(d);
    }

    /// A map that a macro uses without having been given it.
    fn foreign_map(&mut self, name: &str, span: Span) {
        let Some(Def::Macro(m)) = self.stack.last().copied() else { return };
        let maps = m.params.iter().filter_map(|p| if let MacroParam::Map(n) = p { Some(n.name.as_str()) } else { None });
        let near = nearest(name, maps);
        let d = Diagnostic::error("foreign-map", span, format!("macro `{}` was not given a map `@{name}`", m.name.name));
        let same = d.primary.as_ref().map(|l| l.span);
        if self.diagnostics.iter().any(|o| o.code == "foreign-map" && o.primary.as_ref().map(|l| l.span) == same) {
            return;
        }
        let mut params: Vec<String> = m.params.iter().map(param_text).collect();
        params.push(format!("@{name}"));
        self.diagnostics.push(match near {
            Some(n) => d.label(format!("did you mean `@{n}`?")),
            None => d.label("a macro sees only the maps that it is given").help(format!(
                "make it a parameter: `macro {}({})`",
                m.name.name,
                params.join(", ")
            )),
        });
    }
}
