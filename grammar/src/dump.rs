//! The tree as text, one node a line, for `--emit ast` and for tests: two scripts with the same dump mean the same.

use std::fmt::Write;

use crate::ast::*;
use crate::span::Span;

/// The tree of a script, without places: what the canonical printer keeps.
pub fn dump(script: &Script) -> String {
    let mut d = Dump::new(None);
    d.script(script);
    d.out
}

/// The same with `line:column` behind every node, counted from 1, columns in characters.
pub fn dump_spans(script: &Script, text: &str) -> String {
    let mut d = Dump::new(Some(text));
    d.script(script);
    d.out
}

/// The tree of one expression.
pub fn dump_expr(expr: &Expr) -> String {
    let mut d = Dump::new(None);
    d.expr(expr);
    d.out
}

struct Dump<'a> {
    out: String,
    indent: usize,
    text: Option<&'a str>,
    /// where every line of `text` begins
    lines: Vec<usize>,
}

impl<'a> Dump<'a> {
    fn new(text: Option<&'a str>) -> Dump<'a> {
        let ends = text.unwrap_or("").match_indices('\n').map(|(at, _)| at + 1);
        Dump { out: String::new(), indent: 0, text, lines: std::iter::once(0).chain(ends).collect() }
    }

    fn line(&mut self, span: Span, words: impl AsRef<str>) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
        self.out.push_str(words.as_ref());
        if let Some(text) = self.text {
            let line = self.lines.partition_point(|start| *start <= span.start as usize).max(1);
            let column = text.get(self.lines[line - 1]..span.start as usize).map_or(0, |s| s.chars().count());
            // writing to a string can't fail
            let _ = write!(self.out, " @{line}:{}", column + 1);
        }
        self.out.push('\n');
    }

    /// A line that stands for no text of its own.
    fn head(&mut self, words: &str) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
        self.out.push_str(words);
        self.out.push('\n');
    }

    fn nest(&mut self, inside: impl FnOnce(&mut Self)) {
        self.indent += 1;
        inside(self);
        self.indent -= 1;
    }

    /// A headed group.
    fn under(&mut self, head: &str, inside: impl FnOnce(&mut Self)) {
        self.head(head);
        self.nest(inside);
    }

    fn script(&mut self, script: &Script) {
        self.head("script");
        self.nest(|d| {
            if let Some(span) = script.shebang {
                d.line(span, "shebang");
            }
            d.c_items(&script.preamble);
            for item in &script.config {
                d.line(item.span, format!("config {}", item.key.name));
                d.nest(|d| d.expr(&item.value));
            }
            for import in &script.imports {
                d.line(import.span, format!("import {:?}", import.path));
            }
            for item in &script.items {
                d.item(item);
            }
        });
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Probe(probe) => {
                self.line(probe.span, "probe");
                self.nest(|d| {
                    if let Some(name) = &probe.name {
                        d.line(name.span, format!("name {}", name.name));
                    }
                    for point in &probe.points {
                        let mut words = String::from("point");
                        for part in &point.parts {
                            words.push(' ');
                            let quote = part.quoted || part.text.is_empty();
                            words.push_str(&if quote { format!("{:?}", part.text) } else { part.text.clone() });
                        }
                        d.line(point.span, words);
                    }
                    if let Some(predicate) = &probe.predicate {
                        d.under("predicate", |d| d.expr(predicate));
                    }
                    d.block("body", &probe.body);
                });
            }
            Item::Macro(m) => {
                self.line(m.span, format!("macro {}", m.name.name));
                self.nest(|d| {
                    for param in &m.params {
                        match param {
                            MacroParam::Var(p) => d.line(p.span, format!("param ${}", p.name)),
                            MacroParam::Map(p) => d.line(p.span, format!("param @{}", p.name)),
                            MacroParam::Expr(p) => d.line(p.span, format!("param {}", p.name)),
                        }
                    }
                    d.block("body", &m.body);
                });
            }
            Item::Function(f) => {
                self.line(f.span, format!("fn {}", f.name.name));
                self.nest(|d| {
                    for (name, ty) in &f.params {
                        d.line(name.span, format!("param ${}", name.name));
                        if let Some(ty) = ty {
                            d.nest(|d| d.ty(ty));
                        }
                    }
                    if let Some(ret) = &f.ret {
                        d.under("returns", |d| d.ty(ret));
                    }
                    d.block("body", &f.body);
                });
            }
            Item::MapDecl(m) => {
                self.line(m.span, format!("map @{} {}", m.map.name, m.kind.name));
                self.nest(|d| m.args.iter().for_each(|e| d.expr(e)));
                if let Some(name) = &m.pin {
                    self.nest(|d| d.under("pin", |d| d.expr(name)));
                }
            }
        }
    }

    fn block(&mut self, head: &str, block: &Block) {
        self.line(block.span, head);
        self.nest(|d| {
            for stmt in &block.stmts {
                d.stmt(stmt);
            }
            if let Some(tail) = &block.tail {
                d.under("tail", |d| d.expr(tail));
            }
        });
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let span = stmt.span;
        match &stmt.kind {
            StmtKind::Expr(e) => {
                self.line(span, "do");
                self.nest(|d| d.expr(e));
            }
            StmtKind::Let { var, ty, init } => {
                self.line(span, format!("let ${}", var.name));
                self.nest(|d| {
                    ty.iter().for_each(|ty| d.ty(ty));
                    init.iter().for_each(|e| d.expr(e));
                });
            }
            StmtKind::Discard(e) => {
                self.line(span, "discard");
                self.nest(|d| d.expr(e));
            }
            StmtKind::Assign { place, op, value } => {
                self.line(span, format!("assign {}=", op.map_or("", BinOp::symbol)));
                self.nest(|d| {
                    d.expr(place);
                    d.expr(value);
                });
            }
            StmtKind::While { cond, body } => {
                self.line(span, "while");
                self.nest(|d| {
                    d.expr(cond);
                    d.block("body", body);
                });
            }
            StmtKind::For { var, over, body } => {
                self.line(span, format!("for ${}", var.name));
                self.nest(|d| {
                    match over {
                        ForOver::Map(map) => d.line(map.span, format!("over @{}", map.name)),
                        ForOver::Range(from, to) => d.under("range", |d| {
                            d.expr(from);
                            d.expr(to);
                        }),
                    }
                    d.block("body", body);
                });
            }
            StmtKind::Unroll { count, body } => {
                self.line(span, "unroll");
                self.nest(|d| {
                    d.expr(count);
                    d.block("body", body);
                });
            }
            StmtKind::Break => self.line(span, "break"),
            StmtKind::Continue => self.line(span, "continue"),
            StmtKind::Return(value) => {
                self.line(span, "return");
                self.nest(|d| value.iter().for_each(|e| d.expr(e)));
            }
            StmtKind::Import(import) => self.line(span, format!("import {:?}", import.path)),
        }
    }

    fn expr(&mut self, expr: &Expr) {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Int { value, unsigned } => {
                self.line(span, format!("int {value}{}", if *unsigned { "u" } else { "" }));
            }
            ExprKind::Bool(b) => self.line(span, format!("bool {b}")),
            ExprKind::Str(bytes) => self.line(span, format!("string \"{}\"", bytes.escape_ascii())),
            ExprKind::Addr(text) => self.line(span, format!("address {text}")),
            ExprKind::Name(name) => self.line(span, format!("name {name}")),
            ExprKind::Var(name) => self.line(span, format!("var ${name}")),
            ExprKind::Map(name) => self.line(span, format!("map @{name}")),
            ExprKind::MapIndex { map, keys } => {
                self.line(span, format!("element @{}", map.name));
                self.nest(|d| keys.iter().for_each(|e| d.expr(e)));
            }
            ExprKind::Param(n) => self.line(span, format!("param ${n}")),
            ExprKind::ParamCount => self.line(span, "param $#"),
            ExprKind::Call { name, args } => {
                self.line(span, format!("call {}", name.name));
                self.nest(|d| {
                    for arg in args {
                        match arg {
                            Arg::Expr(e) => d.expr(e),
                            Arg::Type(ty) => d.ty(ty),
                        }
                    }
                });
            }
            ExprKind::Unary(op, e) => {
                self.line(span, format!("unary {}", op.symbol()));
                self.nest(|d| d.expr(e));
            }
            ExprKind::Binary(op, a, b) => {
                self.line(span, format!("binary {}", op.symbol()));
                self.nest(|d| {
                    d.expr(a);
                    d.expr(b);
                });
            }
            ExprKind::Step { place, inc, prefix } => {
                let symbol = if *inc { "++" } else { "--" };
                self.line(span, format!("step {symbol} {}", if *prefix { "before" } else { "after" }));
                self.nest(|d| d.expr(place));
            }
            ExprKind::Ternary { cond, then, other } => {
                self.line(span, "choose");
                self.nest(|d| {
                    d.expr(cond);
                    then.iter().for_each(|e| d.expr(e));
                    d.expr(other);
                });
            }
            ExprKind::If { cond, then, other } => {
                self.line(span, "if");
                self.nest(|d| {
                    d.expr(cond);
                    d.block("then", then);
                    other.iter().for_each(|b| d.block("else", b));
                });
            }
            ExprKind::Block(block) => self.block("block", block),
            ExprKind::Field { base, name, arrow } => {
                self.line(span, format!("field {}{}", if *arrow { "->" } else { "." }, name.name));
                self.nest(|d| d.expr(base));
            }
            ExprKind::TupleField { base, index } => {
                self.line(span, format!("field .{index}"));
                self.nest(|d| d.expr(base));
            }
            ExprKind::Index { base, index } => {
                self.line(span, "index");
                self.nest(|d| {
                    d.expr(base);
                    d.expr(index);
                });
            }
            ExprKind::Slice { base, from, to } => {
                self.line(span, "slice");
                self.nest(|d| {
                    d.expr(base);
                    d.expr(from);
                    d.expr(to);
                });
            }
            ExprKind::Cast(ty, e) => {
                self.line(span, "cast");
                self.nest(|d| {
                    d.ty(ty);
                    d.expr(e);
                });
            }
            ExprKind::Tuple(items) => {
                self.line(span, "tuple");
                self.nest(|d| items.iter().for_each(|e| d.expr(e)));
            }
            ExprKind::Record(items) => {
                self.line(span, "record");
                self.nest(|d| {
                    for (name, e) in items {
                        d.line(name.span, format!("field {}", name.name));
                        d.nest(|d| d.expr(e));
                    }
                });
            }
            ExprKind::Sizeof(of) => {
                self.line(span, "sizeof");
                self.nest(|d| d.type_or_expr(of));
            }
            ExprKind::Offsetof(of, path) => {
                let path: Vec<&str> = path.iter().map(|p| p.name.as_str()).collect();
                self.line(span, format!("offsetof .{}", path.join(".")));
                self.nest(|d| d.type_or_expr(of));
            }
            ExprKind::Typeinfo(of) => {
                self.line(span, "typeinfo");
                self.nest(|d| d.type_or_expr(of));
            }
            ExprKind::Comptime(e) => {
                self.line(span, "comptime");
                self.nest(|d| d.expr(e));
            }
            ExprKind::Expansion(e) => {
                self.line(span, format!("expansion of {}", e.name.name));
                self.nest(|d| d.block("body", &e.body));
            }
        }
    }

    fn type_or_expr(&mut self, of: &TypeOrExpr) {
        match of {
            TypeOrExpr::Type(ty) => self.ty(ty),
            TypeOrExpr::Expr(e) => self.expr(e),
        }
    }

    fn ty(&mut self, ty: &Type) {
        let span = ty.span;
        match &ty.kind {
            TypeKind::Named(name) => self.line(span, format!("type {name}")),
            TypeKind::Tagged(tag, name) => self.line(span, format!("type {} {name}", tag.word())),
            TypeKind::Pointer(to) => {
                self.line(span, "type pointer");
                self.nest(|d| d.ty(to));
            }
            TypeKind::Array(of, len) => {
                self.line(span, "type array");
                self.nest(|d| {
                    d.ty(of);
                    len.iter().for_each(|e| d.expr(e));
                });
            }
            TypeKind::Sized(word, len) => {
                self.line(span, format!("type {word} sized"));
                self.nest(|d| d.expr(len));
            }
            TypeKind::Tuple(items) => {
                self.line(span, "type tuple");
                self.nest(|d| items.iter().for_each(|ty| d.ty(ty)));
            }
            TypeKind::Typeof(of) => {
                self.line(span, "type typeof");
                self.nest(|d| d.type_or_expr(of));
            }
        }
    }

    fn c_items(&mut self, items: &[CItem]) {
        for item in items {
            self.c_item(item);
        }
    }

    fn c_item(&mut self, item: &CItem) {
        let span = item.span;
        match &item.kind {
            CItemKind::Include { path, system } => {
                self.line(span, format!("#include {}{path:?}", if *system { "system " } else { "" }));
            }
            CItemKind::Define { name, params, body, .. } => {
                let params = params.as_ref().map_or(String::new(), |p| format!("({})", p.join(", ")));
                self.line(span, format!("#define {name}{params} {:?}", squeezed(body)));
            }
            CItemKind::Undef(name) => self.line(span, format!("#undef {name}")),
            CItemKind::If { branches } => {
                self.line(span, "#if");
                self.nest(|d| {
                    for branch in branches {
                        d.head(&match &branch.cond {
                            Some(CCond::Defined(name)) => format!("defined {name}"),
                            Some(CCond::NotDefined(name)) => format!("not defined {name}"),
                            Some(CCond::Expr(text)) => format!("when {:?}", squeezed(text)),
                            None => "otherwise".to_string(),
                        });
                        d.nest(|d| d.c_items(&branch.body));
                    }
                });
            }
            CItemKind::Directive { name, rest } => self.line(span, format!("#{name} {:?}", squeezed(rest))),
            CItemKind::Record(record) => self.record(record),
            CItemKind::Enum(e) => self.c_enum(e),
            CItemKind::Typedef { name, ty } => {
                self.line(span, format!("typedef {}", name.name));
                self.nest(|d| d.c_type(ty));
            }
        }
    }

    fn record(&mut self, record: &CRecord) {
        let mut words = String::from(if record.union { "union" } else { "struct" });
        if let Some(name) = &record.name {
            words += &format!(" {}", name.name);
        }
        if record.packed {
            words += " packed";
        }
        if let Some(align) = record.align {
            words += &format!(" aligned {align}");
        }
        self.line(record.span, words);
        self.nest(|d| {
            for field in &record.fields {
                let name = field.name.as_ref().map_or("(anonymous)", |n| n.name.as_str());
                let bits = field.bits.map_or(String::new(), |b| format!(" : {b}"));
                d.line(field.span, format!("member {name}{bits}"));
                d.nest(|d| d.c_type(&field.ty));
            }
        });
    }

    fn c_enum(&mut self, e: &CEnum) {
        self.line(e.span, format!("enum {}", e.name.as_ref().map_or("", |n| n.name.as_str())));
        self.nest(|d| {
            for (name, value) in &e.variants {
                d.line(name.span, format!("variant {}", name.name));
                d.nest(|d| value.iter().for_each(|e| d.expr(e)));
            }
        });
    }

    fn c_type(&mut self, ty: &CType) {
        let span = ty.span;
        match &ty.kind {
            CTypeKind::Named(name) => self.line(span, format!("type {name}")),
            CTypeKind::Tagged(tag, name) => self.line(span, format!("type {} {name}", tag.word())),
            CTypeKind::Record(record) => self.record(record),
            CTypeKind::Enum(e) => self.c_enum(e),
            CTypeKind::Pointer(to) => {
                self.line(span, "type pointer");
                self.nest(|d| d.c_type(to));
            }
            CTypeKind::Array(of, len) => {
                self.line(span, "type array");
                self.nest(|d| {
                    d.c_type(of);
                    len.iter().for_each(|e| d.expr(e));
                });
            }
            CTypeKind::Function => self.line(span, "type function"),
        }
    }
}

/// Text of the preprocessor, to which one blank is as good as many, outside of quotes.
fn squeezed(text: &str) -> String {
    let mut out = String::new();
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        quoted = if c == '"' { !quoted && text[at + 1..].contains('"') } else { quoted };
        if !c.is_whitespace() || quoted {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

impl Tag {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Tag::Struct => "struct",
            Tag::Union => "union",
            Tag::Enum => "enum",
        }
    }
}
