//! Variables of a probe: their blocks, and what each is known by from round to round.

use super::{Checker, expansion};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, Local, LocalId};
use crate::types::Ty;
use awl_grammar::span::Span;
use std::collections::HashMap;

impl Checker<'_> {
    pub(crate) fn push_scope(&mut self) {
        self.at.scopes.push(HashMap::new());
    }

    pub(crate) fn pop_scope(&mut self) {
        if let Some(s) = self.at.scopes.pop() {
            self.at.closed.extend(s);
        }
    }

    /// The variable that `name` means here.
    pub(crate) fn local(&self, name: &str) -> Option<LocalId> {
        self.at.scopes.iter().rev().find_map(|s| s.get(name)).copied()
    }

    /// The variable of that name in a block that has ended.
    pub(crate) fn ended_local(&mut self, name: &str, span: Span) -> Option<Expr> {
        let id = *self.at.closed.get(name)?;
        if !self.at.declared.contains(&id) {
            // Scripts older than bpftrace 0.22 have no blocks in this sense: the next round knows.
            self.outlasting.insert((self.at.instance, name.to_string()), span);
            self.changed = true;
            return Some(Expr::error(span));
        }
        let (name, first) = (expansion::shown(name), self.at.locals[id].span);
        let d = Diagnostic::error("undefined-variable", span, format!("`${name}` ended with its block"))
            .label("not known out here")
            .because(first, "it belongs to the block around this place")
            .help("keep what is needed out here in a variable that is made in front of that block");
        Some(self.fail(d))
    }

    /// The variable that a first assignment makes.
    pub(crate) fn assigned_local(&mut self, name: &str, ty: Ty, span: Span) -> LocalId {
        let behind = match self.outlasting.get(&(self.at.instance, name.to_string())) {
            Some(behind) if self.at.scopes.len() > 1 => *behind,
            _ => return self.new_local(name, ty, span),
        };
        let ty = self.stored_type(&ty);
        let inner = self.at.scopes.split_off(1);
        let id = self.new_local(name, ty, span);
        self.at.scopes.extend(inner);
        self.at.maybe_unset.insert(id);
        let name = expansion::shown(name);
        self.report(
            Diagnostic::warning("block-scope", behind, format!("`${name}` is read behind the block that it was assigned in"))
                .label("0, or empty, where that block wasn't entered")
                .because(span, "assigned here")
                .note("bpftrace refuses this since 0.22")
                .help(format!("declare it in front of that block: `let ${name};`")),
        );
        id
    }

    /// A new variable whose name none that is in reach has; reports one that has.
    pub(crate) fn declared_local(&mut self, name: &str, ty: Ty, span: Span, help: &str) -> LocalId {
        if let Some(id) = self.local(name) {
            let first = self.at.locals[id].span;
            let name = expansion::shown(name);
            self.report(
                Diagnostic::error("shadowing", span, format!("there is a variable `${name}` here already"))
                    .label("a second one of its name")
                    .because(first, "the first one")
                    .help(help),
            );
        }
        let id = self.new_local(name, ty, span);
        self.at.declared.insert(id);
        id
    }

    /// A new variable in the innermost scope.
    pub(crate) fn new_local(&mut self, name: &str, ty: Ty, span: Span) -> LocalId {
        let id = self.at.locals.len();
        self.at.locals.push(Local { name: name.to_string(), ty: Ty::Error, span });
        if let Some(known) = self.local_types.get(&self.local_key(id)) {
            self.at.locals[id].ty = known.clone();
        }
        if let Some(scope) = self.at.scopes.last_mut() {
            scope.insert(name.to_string(), id);
        }
        self.widen_local(id, &ty);
        id
    }

    /// What a local is known by in the next round, where it may have another number.
    pub(super) fn local_key(&self, id: LocalId) -> (usize, Span, String, usize) {
        let l = &self.at.locals[id];
        let before = self.at.locals[..id].iter().filter(|o| o.span == l.span && o.name == l.name).count();
        (self.at.instance, l.span, l.name.clone(), before)
    }
}
