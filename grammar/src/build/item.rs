//! Probes, macros, functions, map declarations, config, imports.

use super::{Builder, P, Rule};
use crate::ast::{AttachPoint, Block, ConfigItem, Expr, ExprKind, Function, Import, Macro, MacroParam, MapDecl, Probe, ProbePart};
use crate::errors::SyntaxError;
use crate::span::Span;

impl<'a> Builder<'a> {
    fn empty_block(&self, span: Span) -> Block {
        Block { stmts: Vec::new(), tail: None, span }
    }

    pub(super) fn probe(&mut self, pair: P<'a>) -> Probe {
        let whole = self.span(&pair);
        let mut probe = Probe { name: None, points: Vec::new(), predicate: None, body: self.empty_block(whole), span: whole };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::probe_name => probe.name = part.into_inner().next().map(|p| self.ident(&p)),
                Rule::attach_point => probe.points.push(self.attach_point(part)),
                Rule::predicate => probe.predicate = part.into_inner().next().map(|p| self.expr(p).0),
                Rule::block => probe.body = self.block(part).0,
                _ => {}
            }
        }
        if let [AttachPoint { parts, span }] = probe.points.as_slice()
            && parts.len() == 1
            && parts[0].text == "config"
        {
            self.errors.push(
                SyntaxError::new("syntax", *span, "settings need a `=` in front of their braces")
                    .help("write `config = { max_strlen = 128; }`"),
            );
        }
        probe
    }

    pub(super) fn attach_point(&mut self, pair: P<'a>) -> AttachPoint {
        let span = self.span(&pair);
        let parts = pair.into_inner().map(|part| self.probe_part(part)).collect();
        AttachPoint { parts, span }
    }

    fn probe_part(&mut self, pair: P<'a>) -> ProbePart {
        let span = self.span(&pair);
        let raw = pair.as_str();
        let begin = pair.as_span().start();
        let mut text = String::new();
        let mut done = 0;
        let mut quoted = false;
        for special in pair.into_inner() {
            let at = special.as_span();
            let (from, to) = (at.start() - begin, at.end() - begin);
            text.push_str(&raw[done..from]);
            done = to;
            if special.as_rule() == Rule::quoted {
                quoted = true;
                // quotes protect; a backslash in them does so for the next character alone
                let mut chars = raw[from + 1..to - 1].chars();
                while let Some(c) = chars.next() {
                    text.extend(if c == '\\' { chars.next() } else { Some(c) });
                }
            } else {
                text.push_str(&raw[from + 1..to]);
            }
        }
        text.push_str(&raw[done..]);
        ProbePart { text, quoted, span }
    }

    pub(super) fn macro_def(&mut self, pair: P<'a>) -> Macro {
        let whole = self.span(&pair);
        let mut name = None;
        let mut params = Vec::new();
        let mut body = self.empty_block(whole);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::macro_param => {
                    if let Some(p) = part.into_inner().next() {
                        params.push(match p.as_rule() {
                            Rule::var => MacroParam::Var(self.sigil_ident(&p)),
                            Rule::map => MacroParam::Map(self.sigil_ident(&p)),
                            _ => MacroParam::Expr(self.ident(&p)),
                        });
                    }
                }
                Rule::block => body = self.block(part).0,
                _ => {}
            }
        }
        Macro { name: name.unwrap_or_else(|| self.no_name(whole)), params, body, span: whole }
    }

    pub(super) fn function(&mut self, pair: P<'a>) -> Function {
        let whole = self.span(&pair);
        let mut name = None;
        let mut params = Vec::new();
        let mut ret = None;
        let mut body = self.empty_block(whole);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::fn_param => {
                    let mut inner = part.into_inner();
                    if let Some(var) = inner.next() {
                        let var = self.sigil_ident(&var);
                        params.push((var, inner.next().map(|t| self.ty(t).0)));
                    }
                }
                Rule::fn_ret => ret = part.into_inner().next().map(|t| self.ty(t).0),
                Rule::block => body = self.block(part).0,
                _ => {}
            }
        }
        Function { name: name.unwrap_or_else(|| self.no_name(whole)), params, ret, body, span: whole }
    }

    pub(super) fn map_decl(&mut self, pair: P<'a>) -> MapDecl {
        let whole = self.span(&pair);
        let mut map = None;
        let mut kind = None;
        let mut args = Vec::new();
        let mut pin = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::map => map = Some(self.sigil_ident(&part)),
                Rule::name => kind = Some(self.ident(&part)),
                Rule::expr => args.push(self.expr(part).0),
                Rule::map_pin => pin = part.into_inner().next().map(|name| self.literal(name)),
                _ => {}
            }
        }
        let (map, kind) = (map.unwrap_or_else(|| self.no_name(whole)), kind.unwrap_or_else(|| self.no_name(whole)));
        MapDecl { map, kind, args, pin, span: whole }
    }

    pub(super) fn config(&mut self, pair: P<'a>) -> Vec<ConfigItem> {
        let mut items = Vec::new();
        for item in pair.into_inner().filter(|p| p.as_rule() == Rule::config_item) {
            let mut inner = item.into_inner();
            let (Some(key), Some(value)) = (inner.next(), inner.next()) else {
                continue;
            };
            let key = self.ident(&key);
            let value_span = self.span(&value);
            let value = match value.as_rule() {
                Rule::ident => Expr {
                    kind: match value.as_str() {
                        "true" => ExprKind::Bool(true),
                        "false" => ExprKind::Bool(false),
                        word => ExprKind::Name(word.to_string()),
                    },
                    span: value_span,
                },
                // `64k`, which is a number nowhere else
                Rule::number => match crate::size(value.as_str()) {
                    Some(n) => Expr { kind: ExprKind::Int { value: n, unsigned: false }, span: value_span },
                    None => self.literal(value),
                },
                _ => self.literal(value),
            };
            let span = key.span.to(value.span);
            items.push(ConfigItem { key, value, span });
        }
        items
    }

    pub(super) fn import(&mut self, pair: P<'a>) -> Import {
        let whole = self.span(&pair);
        match pair.into_inner().find(|p| p.as_rule() == Rule::string) {
            Some(path) => {
                let mut import = self.import_path(path);
                import.span = Span { start: whole.start, ..import.span };
                import
            }
            None => Import { path: String::new(), span: whole },
        }
    }
}
