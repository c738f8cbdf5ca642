//! What programs that are left in the kernel print.

use crate::artifact::EventKind;
use crate::diagnostic::Diagnostic;
use crate::hir::{Context, Expr, ExprKind, Program};
use crate::lower::walk;
use awl_grammar::span::Span;

/// A warning where programs that run on without awl would tell it something.
pub fn warning(program: &Program) -> Option<Diagnostic> {
    let mut first: Option<Span> = None;
    for p in program.bodies() {
        let once = matches!(p.context, Context::None);
        // Orders of `begin` are followed before anything is attached.
        let heard =
            |kind: &EventKind| matches!(kind, EventKind::Exit | EventKind::HelperError) || (once && matches!(kind, EventKind::Fill(_)));
        let mut look = |e: &Expr| {
            if let ExprKind::Emit { event, .. } = &e.kind
                && program.events.get(*event).is_some_and(|e| !heard(&e.kind))
            {
                first.get_or_insert(e.span);
            }
        };
        p.body.iter().for_each(|s| walk::in_stmt(s, &mut |_| {}, &mut look));
    }
    let d = Diagnostic::warning("unheard", first?, "nobody hears of this once awl has left");
    Some(
        d.label("it goes to awl, which ends")
            .help("keep it in a map, `let @seen = hash(4096) pin(\"seen\");`: `awl map dump seen` prints it"),
    )
}
