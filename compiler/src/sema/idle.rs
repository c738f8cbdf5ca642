//! Functions that no probe comes to: their bodies are checked as far as they say something without a probe.

use super::uses::Uses;
use super::{Checker, Position};
use crate::diagnostic::Diagnostic;
use crate::types::Ty;
use awl_grammar::ast;
use std::collections::HashMap;

/// Complaints about the probe rather than about the body: another one may have what this one lacks.
const OF_THE_PROBE: &[&str] = &["no-packet", "no-skb", "verdict", "not-here", "no-args"];

impl Checker<'_> {
    /// What is wrong with them. The program is made by now: what they would do to the types of its maps is of no account.
    pub(super) fn idle_functions(&mut self) -> Vec<Diagnostic> {
        let script = self.script;
        let functions = script.items.iter().filter_map(|i| if let ast::Item::Function(f) = i { Some(f) } else { None });
        let functions: Vec<_> = functions.filter(|f| !Uses::of_function(f).any_of_the_probe()).collect();
        if functions.is_empty() {
            return Vec::new();
        }
        for _ in 0..32 {
            self.changed = false;
            self.diagnostics.clear();
            for (i, f) in functions.iter().enumerate() {
                self.idle_function(usize::MAX - i, f);
            }
            if !self.changed {
                break;
            }
        }
        let mut found = std::mem::take(&mut self.diagnostics);
        found.retain(|d| !OF_THE_PROBE.contains(&d.code));
        found
    }

    /// `instance`: a number that no probe has
    fn idle_function(&mut self, instance: usize, f: &ast::Function) {
        self.at = Position { instance, span: f.span, scopes: vec![HashMap::new()], ..Default::default() };
        for (name, ty) in &f.params {
            // What has no type takes that of its arguments, and there are none.
            let ty = ty.as_ref().map_or(Ty::Error, |t| {
                let ty = self.resolve_type(t);
                self.pointing_as(ty, None)
            });
            let ty = self.stored_type(&ty);
            self.new_local(&name.name, ty, name.span);
        }
        self.function_body(&f.name, f.ret.as_ref(), &f.body, &mut Vec::new());
    }
}
