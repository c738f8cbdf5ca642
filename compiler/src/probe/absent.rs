//! Functions and events of the kernel that aren't there: which was meant, and why it isn't.

use super::Request;
use crate::diagnostic::{Diagnostic, nearest};
use crate::glob::Glob;
use crate::target::{KernelFunction, Module, is_variant};
use awl_grammar::span::Span;

/// Of a name that the kernel has in `homes`, none of them the module that was asked for.
pub(super) fn function(r: &Request, module: Option<&str>, name: &str, homes: &[Option<String>]) -> Box<Diagnostic> {
    let span = r.parts[r.parts.len() - 1].span;
    let provider = r.provider.name;
    if let Some(home) = homes.first() {
        let home = home.as_deref().unwrap_or("vmlinux");
        let d = Diagnostic::error("unknown-function", span, format!("`{name}` is not in `{}`", module.unwrap_or_default()));
        return Box::new(d.label(format!("it is in `{home}`")).help(format!("`{provider}:{home}:{name}`")));
    }
    if let Some(d) = module.and_then(|m| of_module(r, m, "unknown-function")) {
        return d;
    }
    let searches = || format!("`awl -l '{provider}:*{}*'` searches", name.trim_matches('_'));
    let all = r.target.kernel_functions().unwrap_or_default();
    let inside = |f: &&KernelFunction| module.is_none_or(|m| f.module.as_deref().unwrap_or("vmlinux") == m);
    let d = match module {
        Some(m) => Diagnostic::error("unknown-function", span, format!("`{m}` has no function `{name}`")),
        None => Diagnostic::error("unknown-function", span, format!("this kernel has no function `{name}`")),
    };
    if let Some(variant) = all.iter().filter(inside).find(|f| is_variant(&f.name, name)) {
        let kprobe = match provider {
            "fentry" => "kprobe",
            "fexit" => "kretprobe",
            p => p,
        };
        return Box::new(
            d.label(format!("the compiler made `{}` of it", variant.name))
                .help(format!("probe `{kprobe}:{}`: its arguments may differ from those in the source", variant.name)),
        );
    }
    // Older tutorials call them so.
    if let Some(call) =
        ["sys_", "SyS_", "ksys_", "do_sys_"].iter().find_map(|p| name.strip_prefix(p)).filter(|c| r.target.syscall_number(c).is_some())
        && let Some(f) = all.iter().find(|f| ["__x64_sys_", "__arm64_sys_"].iter().any(|p| f.name.strip_prefix(p) == Some(call)))
    {
        let way = if matches!(provider, "kretprobe" | "fexit") { "exit" } else { "enter" };
        return Box::new(
            d.label(format!("did you mean `{}`?", f.name))
                .help(format!("`tracepoint:syscalls:sys_{way}_{call}` is the same on every kernel, and has its arguments by name")),
        );
    }
    if let Some(home) = r.target.module_of(name).filter(|m| r.target.module(m) == Module::Loadable) {
        return Box::new(d.label(format!("of module `{home}`, which isn't loaded")).help(load(&home)));
    }
    Box::new(match nearest(name, all.iter().filter(inside).map(|f| f.name.as_str())) {
        Some(n) => d.label(format!("did you mean `{n}`?")),
        None => d.label("inlined by the compiler, of another kernel version, or of a module that isn't loaded").help(searches()),
    })
}

/// Of a pattern.
pub(super) fn functions(r: &Request, module: Option<&str>, pattern: &str) -> Box<Diagnostic> {
    let span = r.parts[r.parts.len() - 1].span;
    if let Some(d) = module.and_then(|m| of_module(r, m, "no-match")) {
        return d;
    }
    if let Some(name) = r.target.untraceable(&Glob::new(pattern)).filter(|_| module.is_none_or(|m| m == "vmlinux")) {
        let d = Diagnostic::error("no-match", span, format!("no kernel function that can be probed matches `{pattern}`"));
        let help = format!("`awl -e '{}:{name} {{ @ = count(); }}'` says why", r.provider.name);
        return Box::new(d.label(format!("`{name}` does, and can't be probed")).help(help));
    }
    let place = module.map_or(String::new(), |m| format!(" in `{m}`"));
    Box::new(
        Diagnostic::error("no-match", span, format!("no kernel function matches `{pattern}`{place}"))
            .label("matches nothing")
            .help(format!("`awl -l '{}:*{}*'` searches", r.provider.name, pattern.replace('*', "").trim_matches('_'))),
    )
}

/// Of a module that was named and isn't loaded. `None`: it is there, or nobody knows of it.
fn of_module(r: &Request, module: &str, code: &'static str) -> Option<Box<Diagnostic>> {
    let span = r.parts[1].span;
    if module == "vmlinux" || module.contains('*') {
        return None;
    }
    let d = |what: String| Diagnostic::error(code, span, what);
    Some(Box::new(match r.target.module(module) {
        Module::Loaded => return None,
        Module::Loadable => unloaded(code, span, module),
        Module::BuiltIn => {
            let (provider, text) = (r.provider.name, r.parts[r.parts.len() - 1].text.as_str());
            d(format!("`{module}` is part of this kernel, not a module")).label("built in").help(match text.contains('*') {
                true => format!("leave it out: `{provider}:{text}`"),
                false => format!("`awl -l '{provider}:*{}*'` searches the whole kernel", text.trim_matches('_')),
            })
        }
        Module::Unknown => {
            let all = r.target.modules();
            let d = d(format!("there is no module `{module}` for this kernel"));
            match nearest(module, all.iter().map(String::as_str)) {
                Some(n) => d.label(format!("did you mean `{n}`?")),
                None => d.label("neither loaded nor below /lib/modules").help("`lsmod` lists those that are loaded"),
            }
        }
    }))
}

/// Of the tracepoints of a module that isn't loaded; `name` is a module's, or the category that it has in common with one.
pub(super) fn events(r: &Request, name: &str) -> Option<Box<Diagnostic>> {
    (r.target.module(name) == Module::Loadable).then(|| Box::new(unloaded("unknown-event", r.parts[1].span, name)))
}

fn unloaded(code: &'static str, span: Span, module: &str) -> Diagnostic {
    Diagnostic::error(code, span, format!("module `{module}` isn't loaded")).label("not loaded").help(load(module))
}

fn load(module: &str) -> String {
    format!("`sudo modprobe {module}` loads it")
}
