//! Statements and blocks.

use super::{Checker, join};
use crate::artifact::EventKind;
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ExprKind, Stmt, StmtKind};
use crate::lower::walk;
use crate::types::Ty;
use awl_grammar::ast::{self, BinOp};
use awl_grammar::span::Span;

/// Help where a loop's variable has the name of another.
const LOOP_NAME: &str = "give the loop's variable another name";

impl Checker<'_> {
    /// The statements of a block, in a scope of their own; not its tail.
    pub(crate) fn block(&mut self, block: &ast::Block) -> Vec<Stmt> {
        let mut out = Vec::with_capacity(block.stmts.len());
        for s in &block.stmts {
            self.stmt(s, &mut out);
        }
        out
    }

    /// A block whose value isn't wanted.
    pub(crate) fn scoped_block(&mut self, block: &ast::Block) -> Vec<Stmt> {
        self.push_scope();
        let mut out = self.block(block);
        if let Some(tail) = &block.tail {
            out.push(self.expr_stmt(tail));
        }
        self.take_printed(&mut out);
        self.pop_scope();
        out
    }

    fn stmt(&mut self, s: &ast::Stmt, out: &mut Vec<Stmt>) {
        let span = s.span;
        let kind = match &s.kind {
            ast::StmtKind::Expr(e) => return out.push(self.expr_stmt(e)),
            ast::StmtKind::Let { var, ty, init } => return self.let_stmt(var, ty.as_ref(), init.as_ref(), span, out),
            ast::StmtKind::Discard(e) => StmtKind::Expr(self.expr(e)),
            ast::StmtKind::Assign { place, op, value } => return self.assign(place, *op, value, span, out),
            ast::StmtKind::While { cond, body } => {
                let cond = self.expr(cond);
                let cond = self.condition(cond);
                let body = self.loop_body(body);
                if cond.as_int().is_some_and(|c| c != 0) && !self.leaves_loop(&body) {
                    self.report(
                        Diagnostic::error("endless-loop", cond.span, "this `while` never ends")
                            .label("always true, and nothing in the loop leaves it")
                            .help("leave it when the work is done: `if ($i > 100) { break; }`"),
                    );
                }
                StmtKind::While { cond, body }
            }
            ast::StmtKind::Unroll { count, body } => return self.unroll(count, body, span, out),
            ast::StmtKind::For { var, over, body } => return self.for_stmt(var, over, body, span, out),
            ast::StmtKind::Break | ast::StmtKind::Continue if self.at.loops == 0 => {
                let word = if matches!(s.kind, ast::StmtKind::Break) { "break" } else { "continue" };
                self.report(
                    Diagnostic::error("outside-loop", span, format!("`{word}` outside of a loop")).label("there is no loop to leave here"),
                );
                return;
            }
            ast::StmtKind::Break => StmtKind::Break,
            ast::StmtKind::Continue => StmtKind::Continue,
            ast::StmtKind::Return(value) if self.return_from_function(value.as_ref(), span, out) => return,
            ast::StmtKind::Return(value) => StmtKind::Return(value.as_ref().map(|v| {
                if let Some(e) = self.at.kind.and_then(|k| self.returned_verdict(k, v)) {
                    return e;
                }
                let e = self.expr(v);
                self.to_int64(e)
            })),
            ast::StmtKind::Import(i) => return self.import_in_body(i),
        };
        out.push(Stmt { kind, span });
    }

    /// An expression for its effect.
    pub(crate) fn expr_stmt(&mut self, e: &ast::Expr) -> Stmt {
        let kind = match &e.kind {
            ast::ExprKind::If { cond, then, other } => {
                if let ast::ExprKind::Comptime(_) = cond.kind {
                    // What it doesn't lead to need not make sense.
                    let Some(holds) = self.known_condition(cond) else { return Stmt { kind: StmtKind::Block(Vec::new()), span: e.span } };
                    let taken = if holds { Some(then) } else { other.as_ref() };
                    let body = taken.map(|b| self.scoped_block(b)).unwrap_or_default();
                    return Stmt { kind: StmtKind::Block(body), span: e.span };
                }
                let cond = self.expr(cond);
                let cond = self.condition(cond);
                let known = cond.as_int();
                let then = self.arm(known == Some(0), |c| c.scoped_block(then));
                let other = self.arm(known.is_some_and(|v| v != 0), |c| other.as_ref().map(|b| c.scoped_block(b)).unwrap_or_default());
                StmtKind::If { cond, then, other }
            }
            ast::ExprKind::Block(b) => StmtKind::Block(self.scoped_block(b)),
            ast::ExprKind::Ternary { cond, then: Some(then), other } => {
                // Both arms may be calls without a value: `cond ? print(1) : print(2)`.
                let cond = self.expr(cond);
                let cond = self.condition(cond);
                let known = cond.as_int();
                let then = self.arm(known == Some(0), |c| vec![c.expr_stmt(then)]);
                let other = self.arm(known.is_some_and(|v| v != 0), |c| vec![c.expr_stmt(other)]);
                StmtKind::If { cond, then, other }
            }
            ast::ExprKind::Step { place, inc, .. } => return self.step_stmt(place, *inc, e.span),
            _ => {
                let typed = self.expr(e);
                let acts = match &typed.kind {
                    ExprKind::StepMap { .. } | ExprKind::StepLocal { .. } => true,
                    ExprKind::Call { builtin, .. } => builtin.acts(),
                    _ => false,
                };
                if !matches!(typed.ty, Ty::Void | Ty::Error) && !acts && !matches!(e.kind, ast::ExprKind::Expansion(_)) {
                    self.report(
                        Diagnostic::warning("unused-value", e.span, "this value is not used")
                            .label(format!("a `{}` that goes nowhere", typed.ty))
                            .help("print it with `print(...)`, or say `_ = ...` to drop it"),
                    );
                }
                StmtKind::Expr(typed)
            }
        };
        Stmt { kind, span: e.span }
    }

    /// awl's own library is always there; nothing else is imported in a body.
    fn import_in_body(&mut self, i: &ast::Import) {
        self.unstable("import", i.span);
        if !crate::assemble::is_own(&i.path) {
            let d = Diagnostic::error("import-place", i.span, "inside of a body only `stdlib/...` is imported")
                .label("too late here")
                .help(format!("put it at the top of the script: `import \"{}\";`", i.path));
            self.report(d);
        }
    }

    /// A part of an `if` that is checked as all else, but where nothing fails on purpose if its condition can't hold.
    fn arm<T>(&mut self, never: bool, check: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.at.unreached;
        self.at.unreached |= never;
        let checked = check(self);
        self.at.unreached = outer;
        checked
    }

    /// A `comptime` condition; `None` after a report.
    pub(crate) fn known_condition(&mut self, cond: &ast::Expr) -> Option<bool> {
        let e = self.expr(cond);
        let e = self.condition(e);
        e.as_int().map(|v| v != 0)
    }

    fn loop_body(&mut self, body: &ast::Block) -> Vec<Stmt> {
        /// the backend's time grows with a power of the depth, and a reader's patience ends before
        const DEEPEST: u32 = 32;
        if self.at.all_loops == DEEPEST {
            let d = Diagnostic::error("too-deep", body.span, format!("loops nest more than {DEEPEST} levels deep"));
            self.report(d.label("one too many").help("do with fewer loops in one another"));
            return Vec::new();
        }
        self.at.loops += 1;
        self.at.all_loops += 1;
        let out = self.scoped_block(body);
        self.at.all_loops -= 1;
        self.at.loops -= 1;
        out
    }

    fn let_stmt(&mut self, var: &ast::Ident, ty: Option<&ast::Type>, init: Option<&ast::Expr>, span: Span, out: &mut Vec<Stmt>) {
        let want = ty.map(|t| self.resolve_type(t));
        let value = init.map(|e| self.expr(e));
        let want = want.map(|t| self.pointing_as(t, value.as_ref().map(|v| &v.ty)));
        let declared = match (&want, &value) {
            (Some(t), _) => t.clone(),
            (None, Some(v)) => self.storable(v),
            (None, None) => Ty::Error,
        };
        let id = self.declared_local(
            &var.name,
            if want.is_some() { declared.clone() } else { Ty::Error },
            var.span,
            "leave the `let` out to assign the first; else give this one another name",
        );
        if let (None, Some(v)) = (&want, &value) {
            self.widen_by(id, v, &declared);
        }
        if want.as_ref().is_some_and(|t| t.is_int() || matches!(t, Ty::Str(_) | Ty::Tuple(_))) {
            self.at.sized.insert(id);
        }
        if init.is_none() {
            self.at.maybe_unset.insert(id);
        }
        if let Some(v) = value {
            let ty = self.at.locals[id].ty.clone();
            let v = match want {
                Some(declared) => self.coerce_declared(v, &declared, "assigned to this variable").and_then(|v| self.coerce(v, &ty, "")),
                None => self.coerce(v, &ty, "assigned to this variable"),
            };
            if let Some(v) = v {
                out.push(Stmt { kind: StmtKind::SetLocal(id, v), span });
            }
        }
    }

    /// The type that a variable or map takes from a value: literals become whole integers.
    pub(crate) fn storable(&mut self, e: &Expr) -> Ty {
        match &e.ty {
            Ty::Void => {
                self.report(Diagnostic::error("no-value", e.span, "this has no value").label("expected something that can be stored"));
                Ty::Error
            }
            Ty::Agg(a) => crate::agg::number_type(a).unwrap_or(Ty::I64),
            t => t.clone(),
        }
    }

    fn assign(&mut self, place: &ast::Expr, op: Option<BinOp>, value: &ast::Expr, span: Span, out: &mut Vec<Stmt>) {
        match &place.kind {
            ast::ExprKind::Var(name) => self.assign_local(name, place.span, op, value, span, out),
            ast::ExprKind::Map(_) | ast::ExprKind::MapIndex { .. } => self.assign_map(place, op, value, span, out),
            // `@x[1][2] = 3`, where `@x` would need a value first
            ast::ExprKind::Index { base, .. } if matches!(base.kind, ast::ExprKind::MapIndex { .. }) => {
                self.report(
                    Diagnostic::error("not-a-place", place.span, "a map has no maps in it")
                        .label("this can't be assigned")
                        .help("several keys stand in the same brackets: `@x[1, 2] = ...`"),
                );
            }
            _ => {
                let e = self.expr(place);
                if !e.is_error() {
                    if self.layer().is_some() || !self.settable().is_empty() {
                        return self.assign_field(e, op, value, span, out);
                    }
                    self.report(
                        Diagnostic::error("not-a-place", place.span, "this can't be assigned")
                            .label("expected a variable `$x` or a map `@x[...]`")
                            .help(match place.kind {
                                ast::ExprKind::TupleField { .. } => "a tuple stays as it is: make another one, `$t = (1, 2);`",
                                _ => "awl reads the traced system; it doesn't write to it",
                            }),
                    );
                }
            }
        }
    }

    fn assign_local(&mut self, name: &str, place: Span, op: Option<BinOp>, value: &ast::Expr, span: Span, out: &mut Vec<Stmt>) {
        let value = match op {
            None => self.expr(value),
            Some(op) => {
                let current = self.variable(name, place);
                let value = self.expr(value);
                self.binary(op, current, value, span)
            }
        };
        let mut ty = self.storable(&value);
        let id = match self.local(name) {
            // A compound assignment says by itself that the type stays.
            Some(id) if self.at.sized.contains(&id) && std::mem::discriminant(&self.at.locals[id].ty) == std::mem::discriminant(&ty) => {
                let declared = self.at.locals[id].ty.clone();
                let v = match op {
                    None => self.coerce_declared(value, &declared, "assigned to this variable"),
                    Some(_) => self.coerce(value, &declared, "assigned to this variable"),
                };
                out.extend(v.map(|v| Stmt { kind: StmtKind::SetLocal(id, v), span }));
                return;
            }
            Some(id) => {
                if self.at.maybe_unset.contains(&id) {
                    ty = self.stored_type(&ty);
                }
                if !self.widen_by(id, &value, &ty) {
                    let (had, first) = (self.at.locals[id].ty.clone(), self.at.locals[id].span);
                    self.report(
                        Diagnostic::error("type-change", value.span, format!("`${name}` holds `{had}`, this is `{ty}`"))
                            .label(format!("expected `{had}`"))
                            .because(first, format!("`${name}` became `{had}` here"))
                            .help("use another variable"),
                    );
                    return;
                }
                id
            }
            None => {
                let id = self.assigned_local(name, Ty::Error, place);
                if self.at.maybe_unset.contains(&id) {
                    ty = self.stored_type(&ty);
                }
                self.widen_by(id, &value, &ty);
                id
            }
        };
        let ty = self.at.locals[id].ty.clone();
        if let Some(v) = self.coerce(value, &ty, "assigned to this variable") {
            out.push(Stmt { kind: StmtKind::SetLocal(id, v), span });
        }
    }

    fn assign_map(&mut self, place: &ast::Expr, op: Option<BinOp>, value: &ast::Expr, span: Span, out: &mut Vec<Stmt>) {
        if op.is_none()
            && let ast::ExprKind::Call { name, args } = &value.kind
            && let Some(agg) = self.aggregation(name, args, value.span)
        {
            let Some(super::call::Aggregated { agg, arg, key }) = agg else {
                self.map_place(place);
                return;
            };
            let Some((map, keys)) = (match key {
                Some(key) => self.place_with_key(place, key),
                None => self.map_place(place),
            }) else {
                return;
            };
            self.widen_map_value(map, &Ty::Agg(agg), value.span);
            // The map's own kind (its sign may have widened since).
            if let Ty::Agg(agg) = self.maps[map].value.clone() {
                out.push(Stmt { kind: StmtKind::Aggregate { map, keys, agg, arg }, span });
            }
            return;
        }
        if self.assign_device(place, op, value, span, out) {
            return;
        }
        let value = self.expr(value);
        let Some((map, keys)) = self.map_place(place) else {
            if let ast::ExprKind::Map(name) | ast::ExprKind::MapIndex { map: ast::Ident { name, .. }, .. } = &place.kind {
                let map = self.map_id(name, place.span);
                self.maps[map].written = true;
                // Its keys may be told by its values.
                let ty = self.storable(&value);
                if op.is_none() {
                    self.widen_map_value(map, &ty, value.span);
                }
            }
            return;
        };
        match op {
            Some(BinOp::Add | BinOp::Sub) if value.ty.is_int() && !matches!(self.maps[map].value, Ty::Ptr(..) | Ty::Agg(_)) => {
                // A literal takes the sign of what it is added to.
                let had = &self.maps[map].value;
                let open = self.open_sign(&value);
                let signed = if open && had.is_int() { had.is_signed() } else { value.ty.is_signed() };
                let result = if signed || op == Some(BinOp::Sub) { Ty::I64 } else { Ty::U64 };
                if !self.widen_map_by(map, open && op == Some(BinOp::Add), &result, span) {
                    return;
                }
                let ty = self.maps[map].value.clone();
                let Some(mut value) = self.coerce(value, &ty, "added to this map") else { return };
                if op == Some(BinOp::Sub) {
                    let span = value.span;
                    value = Expr::new(ExprKind::Unary(ast::UnOp::Neg, Box::new(value)), ty, span);
                }
                out.push(Stmt { kind: StmtKind::AddMap { map, keys, value }, span });
            }
            Some(op) => {
                if self.maps[map].value == Ty::Error && value.ty.is_int() {
                    // It begins as 0.
                    self.widen_map_value(map, &value.ty, span);
                }
                // The key is that of before, whatever the value changes.
                let keys: Vec<Expr> = match changes(&value) {
                    true => keys.into_iter().map(|k| self.kept(k, out)).collect(),
                    false => keys.into_iter().map(|k| self.once(k, out)).collect(),
                };
                let ty = self.maps[map].value.clone();
                let current = Expr::new(ExprKind::MapGet { map, keys: keys.clone() }, ty, place.span);
                let value = self.binary(op, current, value, span);
                self.set_map(map, keys, value, span, out);
            }
            None => self.set_map(map, keys, value, span, out),
        }
    }

    /// An expression that is read twice: kept in a variable of its own where a second look would do or find something else.
    pub(crate) fn once(&mut self, e: Expr, out: &mut Vec<Stmt>) -> Expr {
        if changes(&e) { self.kept(e, out) } else { e }
    }

    /// The value that an expression has now, in a variable of its own.
    fn kept(&mut self, e: Expr, out: &mut Vec<Stmt>) -> Expr {
        if e.is_error() || matches!(e.kind, ExprKind::Int(_) | ExprKind::Str(_)) {
            return e;
        }
        let (ty, span) = (self.stored_type(&e.ty), e.span);
        // A name that no script can have; parts of a tuple share their place.
        let name = if let ExprKind::TupleField { index, .. } = &e.kind { format!(".{index}") } else { ".".into() };
        let id = self.new_local(&name, ty, span);
        let ty = self.at.locals[id].ty.clone();
        out.push(Stmt { kind: StmtKind::SetLocal(id, e), span });
        Expr::new(ExprKind::Local(id), ty, span)
    }

    fn set_map(&mut self, map: usize, keys: Vec<Expr>, value: Expr, span: Span, out: &mut Vec<Stmt>) {
        let ty = self.storable(&value);
        // The verifier forgets what a pointer is when it goes through a map.
        let ty = self.stored_type(&ty);
        let open = self.open_sign(&value);
        if !self.widen_map_by(map, open, &ty, value.span) {
            return;
        }
        let ty = self.maps[map].value.clone();
        if let Some(value) = self.coerce(value, &ty, "assigned to this map") {
            out.push(Stmt { kind: StmtKind::SetMap { map, keys, value }, span });
        }
    }

    /// Makes a map's value type hold `ty` too; reports and gives false when it can't.
    pub(crate) fn widen_map_value(&mut self, map: usize, ty: &Ty, span: Span) -> bool {
        self.maps[map].written = true;
        if *ty == Ty::Error {
            return false;
        }
        let had = self.maps[map].value.clone();
        let joined = match (&had, ty) {
            (Ty::Agg(a), Ty::Agg(b)) => super::call::join_agg(a, b).map(Ty::Agg),
            // A whole integer is what a map of integers holds, so that all its uses agree.
            (_, Ty::Int { signed, .. }) => join::join(&had, &Ty::Int { bytes: 8, signed: *signed }),
            (_, Ty::Bool) if had != Ty::Error && had != Ty::Bool => join::join(&had, &Ty::I64),
            _ => join::join(&had, ty),
        };
        let Some(joined) = joined else {
            let (name, first) = (self.maps[map].name.clone(), self.maps[map].value_span);
            self.report(
                Diagnostic::error("type-change", span, format!("map `@{name}` holds `{had}`, this is `{ty}`"))
                    .label(format!("expected `{had}`"))
                    .because(first, format!("`@{name}` became `{had}` here"))
                    .help("use another map"),
            );
            return false;
        };
        if joined != had {
            if had == Ty::Error {
                self.maps[map].value_span = span;
            }
            self.maps[map].value = joined;
            self.changed = true;
        }
        true
    }

    /// Can one of these statements end the loop around them?
    fn leaves_loop(&self, stmts: &[Stmt]) -> bool {
        stmts.iter().any(|s| match &s.kind {
            StmtKind::Break | StmtKind::Return(_) => true,
            StmtKind::If { then, other, .. } => self.leaves_loop(then) || self.leaves_loop(other),
            StmtKind::Block(inner) => self.leaves_loop(inner),
            _ => {
                // An expression may exit; an inner loop, or one of its expressions, may return.
                let (mut returns, mut exits) = (false, false);
                walk::in_stmt(s, &mut |s| returns |= matches!(s.kind, StmtKind::Return(_)), &mut |e| {
                    exits |= match e.kind {
                        ExprKind::Emit { event, .. } => self.program.events[event].kind == EventKind::Exit,
                        _ => false,
                    };
                });
                returns || exits
            }
        })
    }

    fn step_stmt(&mut self, place: &ast::Expr, inc: bool, span: Span) -> Stmt {
        let e = self.step(place, inc, true, span);
        let kind = match e.kind {
            ExprKind::StepMap { map, keys, by, .. } => {
                StmtKind::AddMap { map, keys, value: Expr::int(by, self.maps[map].value.clone(), span) }
            }
            _ => StmtKind::Expr(e),
        };
        Stmt { kind, span }
    }

    fn unroll(&mut self, count: &ast::Expr, body: &ast::Block, span: Span, out: &mut Vec<Stmt>) {
        let n = self.expr(count);
        if n.is_error() {
            return;
        }
        let Some(n) = n.as_int().filter(|n| (1..=100).contains(n)) else {
            self.report(
                Diagnostic::error("unroll-count", count.span, "`unroll` takes a constant from 1 to 100")
                    .label("expected a constant from 1 to 100")
                    .help("for a count that is known only at run time, use `for $i : 0..n { }`"),
            );
            return;
        };
        let first = self.scoped_block(body);
        // The choice of an earlier round stands: the types of the copies were kept by their number.
        let place = (self.at.instance, body.span);
        if self.turned.contains(&place) || (n * size(&first) > MOST_COPIED && !leaves_around(&first)) {
            self.turned.insert(place);
            self.push_scope();
            let var = self.new_local("(turn)", Ty::I64, span);
            self.pop_scope();
            let (from, to) = (Expr::int(0, Ty::I64, count.span), Expr::int(n, Ty::I64, count.span));
            return out.push(Stmt { kind: StmtKind::ForRange { var, from, to, body: first }, span });
        }
        out.push(Stmt { kind: StmtKind::Block(first), span });
        for _ in 1..n {
            let stmts = self.scoped_block(body);
            out.push(Stmt { kind: StmtKind::Block(stmts), span });
        }
    }

    fn for_stmt(&mut self, var: &ast::Ident, over: &ast::ForOver, body: &ast::Block, span: Span, out: &mut Vec<Stmt>) {
        match over {
            ast::ForOver::Range(from, to) => {
                let (from, to) = (self.expr(from), self.expr(to));
                let (from, to) = (self.to_int64(from), self.to_int64(to));
                self.push_scope();
                let id = self.declared_local(&var.name, Ty::I64, var.span, LOOP_NAME);
                let body = self.loop_body(body);
                self.pop_scope();
                out.push(Stmt { kind: StmtKind::ForRange { var: id, from, to, body }, span });
            }
            ast::ForOver::Map(m) => {
                let map = self.map_id(&m.name, m.span);
                self.maps[map].read.get_or_insert(m.span);
                if !self.is_walked(map, m.span) {
                    return;
                }
                let keys = self.maps[map].keys.clone();
                if let Some(k) = &keys
                    && k.is_empty()
                {
                    self.report(
                        Diagnostic::error("no-keys", m.span, format!("`@{}` has no keys to go through", m.name))
                            .label("this map holds a single value")
                            .help(format!("its value is `@{}`", m.name)),
                    );
                    return;
                }
                let key = match keys.unwrap_or_default().as_slice() {
                    [] => Ty::Error,
                    [one] => one.clone(),
                    many => Ty::Tuple(many.to_vec().into()),
                };
                let value = match &self.maps[map].value {
                    Ty::Agg(a) => crate::agg::number_type(a).unwrap_or(Ty::Agg(a.clone())),
                    t => t.clone(),
                };
                self.push_scope();
                let pair = if key == Ty::Error || value == Ty::Error { Ty::Error } else { Ty::Tuple([key, value].into()) };
                let id = self.declared_local(&var.name, pair, var.span, LOOP_NAME);
                let body = self.loop_body(body);
                self.pop_scope();
                out.push(Stmt { kind: StmtKind::ForMap { var: id, map, body }, span });
            }
        }
    }
}

/// Statements and expressions that `unroll` copies at most: where it would be more, its body is a loop of as many turns. A program
/// of 65,000 instructions is the largest that the kernel takes (its jumps have 16 bits), and a loop says the same.
const MOST_COPIED: i64 = 4_000;

fn size(stmts: &[Stmt]) -> i64 {
    let n = std::cell::Cell::new(0);
    let one = || n.set(n.get() + 1);
    stmts.iter().for_each(|s| walk::in_stmt(s, &mut |_| one(), &mut |_| one()));
    n.get()
}

/// Do they end or begin again a loop that stands around them?
fn leaves_around(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|s| match &s.kind {
        StmtKind::Break | StmtKind::Continue => true,
        StmtKind::If { then, other, .. } => leaves_around(then) || leaves_around(other),
        StmtKind::Block(inner) => leaves_around(inner),
        StmtKind::While { .. } | StmtKind::ForRange { .. } | StmtKind::ForMap { .. } => false,
        _ => {
            // A block that is a value has statements too.
            let mut found = false;
            walk::in_stmt(s, &mut |s| found |= matches!(s.kind, StmtKind::Break | StmtKind::Continue), &mut |_| {});
            found
        }
    })
}

/// A second look at it may do or find something else.
fn changes(e: &Expr) -> bool {
    let mut found = false;
    crate::lower::walk::exprs(e, &mut |e| {
        found |= matches!(
            e.kind,
            ExprKind::Call { .. }
                | ExprKind::StepMap { .. }
                | ExprKind::StepLocal { .. }
                | ExprKind::Block(..)
                | ExprKind::Inline { .. }
                | ExprKind::Emit { .. }
        );
    });
    found
}
