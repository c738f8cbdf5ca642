//! Named parameters of a script: `awl script.bt -- --name=value`.

use super::{Builtin, Check, Lower};
use crate::diagnostic::Diagnostic;
use crate::hir::{Expr, ScriptOption};
use crate::sema::{Call, Checker};
use crate::types::Ty;

pub const ROWS: &[Builtin] = &[Builtin {
    name: "getopt",
    aliases: &[],
    signature: "getopt(name: const string, default?, description?: const string) -> bool",
    is_unsafe: false,
    doc: "the parameter `--name=value` of the script, of the type of its default; without a default true where `--name` is given. `-- --help` lists them",
    example: "begin { print(getopt(\"count\", 10, \"how many\")); exit(); }",
    check: Check::Custom(getopt),
    lower: Lower::Never,
}];

fn getopt(c: &mut Checker, call: &Call) -> Expr {
    let Some(args) = c.checked_args(call) else { return Expr::error(call.span) };
    let text = |e: &Expr| String::from_utf8_lossy(e.as_str().unwrap_or_default()).into_owned();
    let name = text(&args[0]);
    let default = args.get(1).cloned().unwrap_or(Expr::int(0, Ty::Bool, call.span));
    let default_text = match (&default.ty, default.as_int()) {
        (Ty::Bool, Some(b)) => if b != 0 { "true" } else { "false" }.to_string(),
        (t, Some(n)) if t.is_int() => n.to_string(),
        (Ty::Str(_), _) if default.as_str().is_some() => text(&default),
        (t, _) => {
            let d = Diagnostic::error("arg-type", default.span, format!("the default of a parameter is a constant, found `{t}`"));
            return c.fail(d.label("expected a number, a string, `true` or `false`").note(call.row.signature));
        }
    };
    let kind = match &default.ty {
        Ty::Bool => "bool",
        Ty::Str(_) => "string",
        _ => "int",
    };
    c.script_option(ScriptOption {
        name: name.clone(),
        kind,
        default: args.get(1).map(|_| default_text),
        description: args.get(2).map(text).unwrap_or_default(),
    });
    let given = c.options.named.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
    let wrong = |c: &mut Checker, value: &str, expected: &str| {
        let d = Diagnostic::error("config-value", call.span, format!("`--{name}={value}` on the command line: expected {expected}"));
        c.fail(d.label("this parameter").help(format!("for instance: `-- --{name}={}`", if kind == "int" { "10" } else { "true" })))
    };
    match (kind, given) {
        (_, None) => default,
        ("bool", Some(None)) => Expr::int(1, Ty::Bool, call.span),
        ("bool", Some(Some(v))) => match v.as_str() {
            "true" | "1" => Expr::int(1, Ty::Bool, call.span),
            "false" | "0" => Expr::int(0, Ty::Bool, call.span),
            v => wrong(c, v, "true or false"),
        },
        ("string", Some(v)) => c.string_literal(v.unwrap_or_default().as_bytes(), call.span),
        (_, Some(v)) => {
            let v = v.unwrap_or_default();
            match crate::sema::parse_number(&v) {
                Some((n, _)) => Expr::int(n, Ty::I64, call.span),
                None => wrong(c, &v, "a number"),
            }
        }
    }
}
