//! Items.

use super::Printer;
use crate::ast::{ConfigItem, Expr, ExprKind, Item, MacroParam, Probe, UnOp};
use crate::scan::Chunk;

impl<'a> Printer<'a> {
    pub(super) fn item(&mut self, item: &Item) {
        match item {
            Item::Probe(probe) => self.probe(probe),
            Item::Macro(m) => {
                self.line.push(&format!("macro {}(", m.name.name));
                for (n, param) in m.params.iter().enumerate() {
                    let (sigil, name) = match param {
                        MacroParam::Var(name) => ("$", name),
                        MacroParam::Map(name) => ("@", name),
                        MacroParam::Expr(name) => ("", name),
                    };
                    self.comma(n);
                    self.comments_inside(name.span.start as usize);
                    self.line.push(&format!("{sigil}{}", name.name));
                }
                self.line.push(") ");
                self.body(&m.body);
            }
            Item::Function(f) => {
                self.line.push(&format!("fn {}(", f.name.name));
                for (n, (name, ty)) in f.params.iter().enumerate() {
                    self.comma(n);
                    self.comments_inside(name.span.start as usize);
                    self.line.push(&format!("${}", name.name));
                    if let Some(ty) = ty {
                        self.line.push(": ");
                        self.ty(ty);
                    }
                }
                self.line.push(") ");
                if let Some(ret) = &f.ret {
                    self.line.push(": ");
                    self.ty(ret);
                    self.line.push(" ");
                }
                self.body(&f.body);
            }
            Item::MapDecl(m) => {
                self.line.push("let ");
                self.comments_inside(m.map.span.start as usize);
                self.line.push(&format!("@{} = {}(", m.map.name, m.kind.name));
                for (n, arg) in m.args.iter().enumerate() {
                    self.comma(n);
                    self.expr(arg, 0);
                }
                self.line.push(")");
                if let Some(name) = &m.pin {
                    self.line.push(" pin(");
                    self.expr(name, 0);
                    self.line.push(")");
                }
                self.line.push(";");
            }
        }
    }

    /// In front of the n-th thing of a list.
    pub(super) fn comma(&mut self, n: usize) {
        if n > 0 {
            self.line.push(",");
            self.line.soft();
        }
    }

    fn probe(&mut self, probe: &Probe) {
        if let Some(name) = &probe.name {
            self.line.push(&format!("{} = ", name.name));
        }
        for (n, point) in probe.points.iter().enumerate() {
            if n > 0 {
                self.line.push(",");
                let before = probe.points[n - 1].span.end as usize;
                self.done = before;
                self.trailing(before, Some(point.span.start as usize));
                self.end_line();
                self.comments_above(point.span.start as usize, false);
            } else {
                self.comments_inside(point.span.start as usize);
            }
            self.line.push(self.slice(point.span));
        }
        if let Some(predicate) = &probe.predicate {
            if probe.points.len() > 1 {
                self.comments_inside(probe.points.last().map_or(0, |p| p.span.end as usize));
                self.end_line();
            } else {
                self.line.soft();
            }
            // `/*` would begin a comment
            self.line.push(if begins_with_star(predicate) { "/ " } else { "/" });
            self.expr(predicate, 0);
            self.line.push("/");
        }
        self.line.space();
        self.body(&probe.body);
    }

    pub(super) fn config(&mut self, settings: &[&ConfigItem], chunk: &Chunk) {
        let brace = self.text[chunk.start..chunk.end].find('{').map_or(chunk.start, |n| chunk.start + n + 1);
        self.line.push("config = {");
        self.done = brace;
        self.trailing(brace, settings.first().map(|s| s.span.start as usize));
        self.end_line();
        self.indent += 1;
        for (n, setting) in settings.iter().enumerate() {
            let start = setting.span.start as usize;
            self.comments_above(start, false);
            self.line.push(&format!("{} = ", setting.key.name));
            self.expr(&setting.value, 0);
            self.line.push(";");
            let end = setting.span.end as usize;
            self.done = end;
            self.comments_at_end(end);
            self.trailing(end, settings.get(n + 1).map(|s| s.span.start as usize));
            self.end_line();
        }
        let close = self.text[..chunk.end].rfind('}').unwrap_or(chunk.end);
        self.comments_above(close, false);
        self.end_line();
        self.indent -= 1;
        self.line.push("}");
    }
}

fn begins_with_star(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Unary(op, _) => *op == UnOp::Deref,
        ExprKind::Binary(_, left, _) => begins_with_star(left),
        ExprKind::Ternary { cond, .. } => begins_with_star(cond),
        _ => false,
    }
}
