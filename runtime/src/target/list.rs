//! What can be probed here: the lists behind `-l`.

use awl_compiler::glob::Glob;
use awl_compiler::probe::mangled::{Language, Wanted, readable};
use awl_compiler::probe::{self, fentry, lsm, software, uprobe};
use awl_compiler::target::btf::Kind;
use awl_compiler::target::{Target, Unavailable, tracefs};
use awl_compiler::types::{FieldTy, Ty};

/// Providers whose places can be counted without being told a binary.
const COUNTABLE: &[&str] = &[
    "begin",
    "end",
    "tracepoint",
    "syscall",
    "rawtracepoint",
    "kprobe",
    "software",
    "profile",
    "interval",
    "xdp",
    "tc",
    "socket",
    "lsm",
    "cgroup_skb",
    "cgroup_connect4",
    "cgroup_connect6",
    "cgroup_bind4",
    "cgroup_bind6",
    "cgroup_sendmsg4",
    "cgroup_sendmsg6",
    "sockops",
    "fmod_ret",
];

/// Is a place of the provider a cgroup, and nothing more?
fn of_cgroup(provider: &str) -> bool {
    provider == "sockops" || provider.starts_with("cgroup_") && provider != "cgroup_skb"
}

/// Full names of the places that a pattern means, in the order of providers, then by name: `tracepoint:sched:*`, `t:*:*exec*`,
/// `uprobe:libc:malloc*`, `struct task*`. A word without a colon is looked for in all names.
pub fn list(target: &dyn Target, pattern: &str) -> Result<Vec<String>, Unavailable> {
    let pattern = pattern.trim();
    if let Some((word @ ("struct" | "union" | "enum"), name)) = pattern.split_once(' ') {
        return types(target, word, name.trim());
    }
    let Some((provider, rest)) = pattern.split_once(':') else {
        // a provider's name alone means all of it
        if let Some(p) = probe::find(pattern) {
            return places(target, p.name, "*");
        }
        let glob = if pattern.contains('*') { pattern.to_owned() } else { format!("*{pattern}*") };
        let glob = Glob::new(&glob);
        return all(target, |name| glob.matches(name));
    };
    if provider.contains('*') {
        let glob = Glob::new(pattern);
        return all(target, |name| glob.matches(name));
    }
    match probe::find(provider) {
        Some(p) => places(target, p.name, rest),
        None => Ok(Vec::new()),
    }
}

/// Of all providers; what a machine lacks is an error only where nothing else was found.
fn all(target: &dyn Target, fits: impl Fn(&str) -> bool) -> Result<Vec<String>, Unavailable> {
    let (mut found, mut why) = (Vec::new(), None);
    for p in COUNTABLE {
        match places(target, p, "*") {
            Ok(names) => found.extend(names.into_iter().filter(|n| fits(n))),
            Err(e) => why = why.or(Some(e)),
        }
    }
    match why {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
    }
}

/// Places of one provider; `rest` is what stands behind its name.
fn places(target: &dyn Target, provider: &str, rest: &str) -> Result<Vec<String>, Unavailable> {
    let glob = Glob::new(rest);
    let full = |name: &str| format!("{provider}:{name}");
    Ok(match provider {
        "begin" | "end" => vec![provider.to_owned()],
        "tracepoint" => target.tracepoints()?.iter().filter(|t| glob.matches(t)).map(|t| full(t)).collect(),
        "syscall" => {
            let both = probe::syscall::names(target)?.into_iter().flat_map(|n| [n.to_owned(), format!("{n}:return")]);
            both.filter(|n| glob.matches(n)).map(|n| full(&n)).collect()
        }
        "rawtracepoint" => {
            let mut names: Vec<&str> = target.btf()?.trace_events().filter(|e| glob.matches(e)).collect();
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(full).collect()
        }
        "software" => software::EVENTS.iter().filter(|e| glob.matches(e.0) || rest == e.1).map(|e| full(&format!("{}:", e.0))).collect(),
        "hardware" => {
            let own = software::COUNTERS.iter().filter(|e| glob.matches(e.0) || rest == e.1).map(|e| full(&format!("{}:", e.0)));
            let pmus = target.pmus().into_iter().filter_map(|n| target.pmu(&n).ok().flatten());
            let raw = pmus.flat_map(|p| p.events.iter().map(|(e, _)| format!("{}/{e}/:", p.name)).collect::<Vec<_>>());
            own.chain(raw.filter(|e| glob.matches(e)).map(|e| full(&e))).collect()
        }
        "interval" | "profile" => {
            let forms = ["hz:", "s:", "ms:", "us:"];
            forms.iter().filter(|f| glob.matches(f)).map(|f| full(f)).collect()
        }
        "kprobe" | "kretprobe" => {
            let (module, function) = rest.split_once(':').map_or((None, rest), |(m, f)| (Some(Glob::new(m)), f));
            let glob = Glob::new(function);
            let home = |m: Option<&str>| module.as_ref().is_none_or(|g| g.matches(m.unwrap_or("vmlinux")));
            let found = target.kernel_functions()?.iter().filter(|f| glob.matches(&f.name) && home(f.module.as_deref()));
            let mut names: Vec<String> = found
                .map(|f| match &f.module {
                    Some(m) if module.is_some() => full(&format!("{m}:{}", f.name)),
                    _ => full(&f.name),
                })
                .collect();
            names.dedup();
            names
        }
        "fentry" | "fexit" if rest.starts_with("bpf:") => {
            let found = target.bpf_functions()?.into_iter().map(|f| (format!("bpf:{}", f.name), format!("bpf:{}:{}", f.program, f.name)));
            found.filter(|(short, long)| glob.matches(short) || glob.matches(long)).map(|(_, long)| full(&long)).collect()
        }
        "fentry" | "fexit" => {
            let btf = target.btf()?;
            let typed: std::collections::HashSet<&str> = btf.names(Kind::Func).map(|(n, _)| n).collect();
            let glob = Glob::new(rest.strip_prefix("vmlinux:").unwrap_or(rest));
            let own = target.kernel_functions()?.iter().filter(|f| f.module.is_none());
            let fits = |name: &str| glob.matches(name) && typed.contains(name) && !fentry::AROUND_PROGRAMS.contains(&name);
            own.filter(|f| fits(&f.name)).map(|f| full(&f.name)).collect()
        }
        "iter" => probe::iter::names(target.btf()?).into_iter().filter(|n| glob.matches(n)).map(full).collect(),
        "uprobe" | "uretprobe" => {
            let (path, function) = rest.split_once(':').unwrap_or((rest, "*"));
            // All functions of all files are no list that anybody reads.
            let everything = |s: &str| s.bytes().all(|b| b == b'*');
            if path.is_empty() || (everything(path) && everything(function)) {
                return Ok(Vec::new());
            }
            // As they are written: `cpp:"grow(int)"`, also where `*grow*` is looked for.
            let (language, wanted) = match function.split_once(':') {
                Some((l, f)) if Language::find(l).is_some() => (Language::find(l), f.trim_matches('"')),
                _ => (None, function),
            };
            let glob = Glob::new(wanted);
            let meant = Wanted::new(wanted, language, true);
            let name = |symbol: &str| match readable(symbol).filter(|r| meant.is(r)) {
                Some(r) => Some(r.part()),
                None => (language.is_none() && glob.matches(symbol)).then(|| symbol.to_owned()),
            };
            let mut found = Vec::new();
            for b in target.binaries(path)? {
                let mut names: Vec<String> = b.functions.iter().filter_map(|f| name(&f.name)).collect();
                names.sort_unstable();
                names.dedup();
                found.extend(names.into_iter().map(|f| full(&format!("{}:{f}", b.path))));
            }
            found.dedup();
            found
        }
        "usdt" => {
            let (path, probe) = rest.split_once(':').unwrap_or((rest, "*"));
            let glob = Glob::new(probe);
            let mut found = Vec::new();
            for b in target.binaries(path)? {
                let names = b.statics.iter().map(|p| (&p.name, format!("{}:{}", p.provider, p.name)));
                found.extend(names.filter(|(n, f)| glob.matches(n) || glob.matches(f)).map(|(_, f)| full(&format!("{}:{f}", b.path))));
            }
            found.dedup();
            found
        }
        "xdp" | "tc" | "socket" => {
            let ends: &[&str] = if provider == "tc" { &[":ingress", ":egress"] } else { &[""] };
            let names = target.interfaces()?.into_iter().flat_map(|i| ends.iter().map(move |e| format!("{}{e}", i.name)));
            names.filter(|n| glob.matches(n)).map(|n| full(&n)).collect()
        }
        "cgroup_skb" => {
            let ends = |path: String| [format!("{path}:ingress"), format!("{path}:egress")];
            target.cgroups()?.into_iter().flat_map(ends).filter(|n| glob.matches(n)).map(|n| full(&n)).collect()
        }
        calls if of_cgroup(calls) => target.cgroups()?.into_iter().filter(|n| glob.matches(n)).map(|n| full(&n)).collect(),
        "fmod_ret" => {
            let btf = target.btf()?;
            let mut names = target.injectable();
            names.retain(|n| btf.find(Kind::Func, n).is_some());
            names.extend(btf.names(Kind::Func).map(|(n, _)| n).filter(|n| n.starts_with(lsm::MODIFIABLE)).map(str::to_owned));
            names.retain(|n| glob.matches(n));
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(|n| full(&n)).collect()
        }
        "lsm" => lsm::hooks(target.btf()?, rest).into_iter().map(full).collect(),
        _ => Vec::new(),
    })
}

/// A place with what there is to read at it, as `-lv` prints it: arguments one a line, types as C defines them. Ends with a
/// line feed.
pub fn show(target: &dyn Target, place: &str) -> Result<String, Unavailable> {
    if is_type(place) {
        let btf = target.btf()?;
        let text = btf.find_c(place).map(|id| btf.definition(id)).unwrap_or_default();
        return Ok(if text.is_empty() { format!("{place};\n") } else { text });
    }
    let mut text = format!("{place}\n");
    for (_, declaration) in describe(target, place)? {
        text += &format!("    {declaration}\n");
    }
    Ok(text)
}

/// A type of the library's packets, as scripts see it: byte order is no business of theirs.
fn written(ty: &FieldTy) -> String {
    match ty {
        FieldTy::Known(Ty::Be(bytes)) => Ty::Int { bytes: *bytes, signed: false }.to_string(),
        FieldTy::Known(ty) => ty.to_string(),
        FieldTy::Array(of, n) => format!("{}[{n}]", written(of)),
        _ => String::new(),
    }
}

fn is_type(place: &str) -> bool {
    ["struct ", "union ", "enum "].iter().any(|w| place.starts_with(w))
}

fn types(target: &dyn Target, word: &str, pattern: &str) -> Result<Vec<String>, Unavailable> {
    let kind = match word {
        "union" => Kind::Union,
        "enum" => Kind::Enum,
        _ => Kind::Struct,
    };
    let glob = Glob::new(pattern);
    let mut names: Vec<&str> = target.btf()?.names(kind).map(|(n, _)| n).filter(|n| glob.matches(n)).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().map(|n| format!("{word} {n}")).collect())
}

/// What there is to read at a place, by its full name from `list`: (name, C declaration), in the order of the record. A
/// struct or union has its fields, an enum its values (`NAME`, `NAME = 1`). Nothing for places without arguments.
pub fn describe(target: &dyn Target, place: &str) -> Result<Vec<(String, String)>, Unavailable> {
    if let Some((word @ ("struct" | "union" | "enum"), _)) = place.split_once(' ') {
        let btf = target.btf()?;
        let Some(id) = btf.find_c(place) else { return Ok(Vec::new()) };
        if word == "enum" {
            let values = btf.enum_def(id).map(|e| e.variants.iter().map(|(n, v)| (n.clone(), format!("{n} = {v}"))).collect());
            return Ok(values.unwrap_or_default());
        }
        return Ok(btf.members_of(id));
    }
    if let Some(call) = place.strip_prefix("syscall:") {
        return describe(target, &format!("tracepoint:{}:{}", probe::syscall::CATEGORY, probe::syscall::event(call)));
    }
    let mut parts = place.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("tracepoint"), Some(category), Some(event)) => {
            let Some(text) = target.tracepoint_format(category, event)? else { return Ok(Vec::new()) };
            let Ok(format) = tracefs::parse(category, event, &text) else { return Ok(Vec::new()) };
            let fields = format.record.fields.iter().zip(format.declarations);
            Ok(fields.filter(|(f, _)| !tracefs::is_common(f)).map(|(f, d)| (f.name.clone(), d)).collect())
        }
        (Some("rawtracepoint"), Some(event), None) => {
            let btf = target.btf()?;
            let args = btf.trace_args(event).unwrap_or_default();
            Ok(args.into_iter().map(|p| (p.name.clone(), btf.declare(p.id, &p.name))).collect())
        }
        (Some(provider @ ("fentry" | "fexit")), Some(function), None) => {
            let btf = target.btf()?;
            let Some((params, ret)) = btf.find(Kind::Func, function).and_then(|id| btf.prototype(id)) else { return Ok(Vec::new()) };
            let mut all: Vec<_> = params.into_iter().map(|p| (p.name.clone(), btf.declare(p.id, &p.name))).collect();
            if provider == "fexit" && ret != 0 {
                all.push(("retval".into(), btf.declare(ret, "retval")));
            }
            Ok(all)
        }
        (Some(provider @ ("uprobe" | "uretprobe")), Some(path), Some(function)) => {
            Ok(uprobe::declared(target, path, function, provider == "uretprobe"))
        }
        (Some(provider @ ("lsm" | "fmod_ret")), Some(function), None) => {
            let btf = target.btf()?;
            let before = if provider == "lsm" { lsm::HOOKS } else { "" };
            let args = btf.func_params(&format!("{before}{function}")).unwrap_or_default();
            Ok(args.into_iter().map(|p| (p.name.clone(), btf.declare(p.id, &p.name))).collect())
        }
        (Some(provider @ ("xdp" | "tc" | "socket" | "cgroup_skb")), Some(_), _) => {
            let stack = (provider != "xdp").then_some("skb");
            Ok(awl_compiler::packet::names().chain(stack).map(|n| (n.to_string(), n.to_string())).collect())
        }
        (Some(provider), Some(_), None) if of_cgroup(provider) => {
            let record = if provider == "sockops" { "struct sock_ops" } else { "struct sock_addr" };
            let types = awl_compiler::ctypes::packet_types(target);
            let fields = types.record(record).map(|r| r.fields.clone()).unwrap_or_default();
            let shown = fields.iter().filter(|f| !f.name.starts_with("__"));
            Ok(shown.map(|f| (f.name.clone(), format!("{} {}", written(&f.ty), f.name))).collect())
        }
        _ => Ok(Vec::new()),
    }
}
