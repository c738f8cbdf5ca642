//! All passes, in order.

use crate::artifact::{Artifact, Program};
use crate::assemble::assemble;
use crate::bpf;
use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, nearest};
use crate::hir;
use crate::lower::{self, Lowered};
use crate::probe::session;
use crate::sema::{self, Options};
use crate::source::SourceMap;
use crate::target::{Feature, KEY_BEFORE_LONG_KEYS, Target};
use awl_grammar::ast::{ExprKind, Script};
use awl_grammar::span::{FileId, Span};

/// What the passes made, as far as they came. A stage is missing where an earlier one reported an error.
#[derive(Default)]
pub struct Compiled {
    pub script: Script,
    pub program: Option<hir::Program>,
    pub lowered: Option<Lowered>,
    pub output: Option<bpf::Output>,
    pub artifact: Option<Artifact>,
    pub diagnostics: Vec<Diagnostic>,
    /// the options' settings with those of the script's own `config` block
    pub config: Config,
}

impl Compiled {
    pub fn failed(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Compiles one text for one machine. `vcode`: keep the backend's own form as text.
pub fn compile(sources: &SourceMap, file: FileId, target: &dyn Target, options: &Options, vcode: bool) -> Compiled {
    let mut out = Compiled::default();
    let text = sources.get(file).map_or("", |s| s.text.as_str());
    let (script, errors) = awl_grammar::parse(text, file);
    out.script = script;
    out.diagnostics = errors.into_iter().map(syntax).collect();
    assemble(&mut out.script, file, sources, &mut out.diagnostics);
    if let Some((family, text)) = options.follow.as_ref().and_then(|f| Some((f.family?, sources.get(f.family?)?))) {
        let (own, errors) = awl_grammar::parse(&text.text, family);
        out.diagnostics.extend(errors.into_iter().map(syntax));
        out.script.items.splice(0..0, own.items);
    }
    if out.failed() {
        return out;
    }
    let mut options = options.clone();
    settings(&out.script, &mut options.config, &mut out.diagnostics);
    let (program, mut diagnostics) = check(&out.script, target, &mut options);
    if let Some(d) = diagnostics.iter_mut().find(|d| d.code == "no-probes") {
        why_nothing_runs(d, &out.script, text);
    }
    out.config = options.config.clone();
    let options = &options;
    out.diagnostics.extend(diagnostics);
    let Some(program) = program.filter(|_| !out.failed()) else { return out };
    let backend = bpf::Options { vcode, license: options.config.license, ..Default::default() };
    let behind = Behind { target, options, sources, backend };
    let (program, lowered, made) = match behind.joined(&program) {
        Some((joined, lowered, made)) => (joined, lowered, Ok(made)),
        None => {
            let mut lowered = behind.lower(&program);
            out.diagnostics.append(&mut lowered.refused);
            if out.failed() {
                return out;
            }
            let (lowered, made) = behind.made(&program, lowered);
            (program, lowered, made)
        }
    };
    match made {
        Ok(o) => {
            out.artifact = Some(package(&program, &lowered, &o));
            out.output = Some(o);
        }
        Err(e) => out.diagnostics.push(refused(&program, e)),
    }
    out.program = Some(program);
    out.lowered = Some(lowered);
    out
}

/// Says more of a script without probes.
fn why_nothing_runs(d: &mut Diagnostic, script: &Script, text: &str) {
    let whole = |s: &Span| text.get(s.start as usize..s.end as usize).is_some_and(|t| t.contains('{'));
    if let Some(span) = script.shebang.filter(whole) {
        // `#!/usr/bin/awl begin { ... }`
        let message = "the script has no probe: a first line with `#!` says what runs it, to its end";
        *d = Diagnostic::error(d.code, span, message).label("no part of the script").help("begin the script in the second line");
    } else if script.items.is_empty() && script.preamble.is_empty() && script.config.is_empty() && script.imports.is_empty() {
        d.message = "the script is empty: it has no probe".into();
    } else {
        d.message = "the script has no probe: what it defines is used by nothing".into();
    }
}

/// What `str()` and `buf()` hold where a kernel takes no long keys and the script doesn't say.
const SHORTER: [u32; 3] = [256, 128, 64];

/// Checks the types. Where keys are too long for this kernel, nobody said how much a string holds, and with less they fit, it
/// holds less.
fn check(script: &Script, target: &dyn Target, options: &mut Options) -> (Option<hir::Program>, Vec<Diagnostic>) {
    let first = sema::check(script, target, options);
    let fits = |p: &Option<hir::Program>| p.as_ref().is_none_or(|p| lower::longest_key(p) <= KEY_BEFORE_LONG_KEYS);
    if fits(&first.0) || target.has(Feature::LongKeys) || is_said(script, &options.config, "max_strlen") {
        return first;
    }
    for bytes in SHORTER {
        let shorter = Options { config: Config { short_strlen: Some(bytes), ..options.config.clone() }, ..options.clone() };
        let next = sema::check(script, target, &shorter);
        if next.0.is_some() && fits(&next.0) {
            *options = shorter;
            return next;
        }
    }
    first
}

/// Whether the script or the environment sets a key of the configuration.
fn is_said(script: &Script, config: &Config, key: &str) -> bool {
    config.from_environment.contains(&key) || script.config.iter().any(|i| config::find(&i.key.name).is_some_and(|k| k.name == key))
}

/// What the passes behind the checker work with.
struct Behind<'a> {
    target: &'a dyn Target,
    options: &'a Options,
    sources: &'a SourceMap,
    backend: bpf::Options,
}

impl Behind<'_> {
    fn lower(&self, program: &hir::Program) -> Lowered {
        lower::lower(program, self.target, self.options, self.sources)
    }

    /// The script with its pairs of probes as one program each, where it has such pairs and that makes programs: two bodies in
    /// one may be too much for it.
    fn joined(&self, program: &hir::Program) -> Option<(hir::Program, Lowered, bpf::Output)> {
        if self.options.follow.is_some() {
            return None;
        }
        let joined = session::joined(program, self.target)?;
        let lowered = self.lower(&joined);
        let made = bpf::compile(&lowered.module, &self.backend).ok().filter(|_| lowered.refused.is_empty())?;
        Some((joined, lowered, made))
    }

    /// Programs of what was lowered; where a frame is too large for the stack, of the same with its locals elsewhere.
    fn made(&self, program: &hir::Program, lowered: Lowered) -> (Lowered, Result<bpf::Output, bpf::Error>) {
        let made = bpf::compile(&lowered.module, &self.backend);
        if matches!(made, Err(bpf::Error::FrameTooLarge { .. })) {
            let roomy = Options { scratch_locals: true, ..self.options.clone() };
            let second = lower::lower(program, self.target, &roomy, self.sources);
            // Where that isn't enough either, the first attempt's figures say more.
            if let Ok(o) = bpf::compile(&second.module, &self.backend) {
                return (second, Ok(o));
            }
        }
        (lowered, made)
    }
}

/// The script's `config` block; what the environment set stays.
fn settings(script: &Script, config: &mut Config, diagnostics: &mut Vec<Diagnostic>) {
    for item in &script.config {
        let Some(key) = config::find(&item.key.name) else {
            let d = Diagnostic::error("unknown-config", item.key.span, format!("unknown setting `{}`", item.key.name));
            if config::ENVIRONMENT_ONLY.iter().any(|k| item.key.name.eq_ignore_ascii_case(k)) {
                diagnostics.push(d.label("this is only looked for in the environment").help("take it out"));
                continue;
            }
            diagnostics.push(match nearest(&item.key.name, config::KEYS.iter().map(|k| k.name)) {
                Some(n) => d.label(format!("did you mean `{n}`?")),
                None => d.label("no such setting"),
            });
            continue;
        };
        let text = match &item.value.kind {
            ExprKind::Int { value, .. } => value.to_string(),
            ExprKind::Bool(b) => b.to_string(),
            ExprKind::Str(s) => String::from_utf8_lossy(s).into_owned(),
            ExprKind::Name(n) => n.clone(),
            _ => String::new(),
        };
        if let Err(expected) = (key.set)(&mut Config::default(), &text) {
            diagnostics.push(
                Diagnostic::error("config-value", item.value.span, format!("`{}` can't be this", key.name))
                    .label(format!("expected {expected}")),
            );
            continue;
        }
        let old = |what: String| Diagnostic::warning("old-config", item.key.span, what);
        if key.retired {
            diagnostics.push(old(format!("`{}` has no effect any more", key.name)).label("take it out"));
        } else if key.aliases.iter().any(|a| item.key.name.eq_ignore_ascii_case(a)) {
            diagnostics.push(old(format!("`{}` is now called `{}`", item.key.name, key.name)).label(format!("write `{}`", key.name)));
        }
        let by_environment = config.from_environment.contains(&key.name);
        if !by_environment {
            // Checked above.
            let _ = (key.set)(config, &text);
        }
    }
}

fn package(program: &hir::Program, lowered: &Lowered, output: &bpf::Output) -> Artifact {
    // Those without a place were only checked.
    let placed = program.probes.iter().filter(|p| !p.attach.is_empty());
    let programs = placed.map(|p| {
        let made = output.functions.iter().find(|f| f.name == p.name);
        Program {
            name: p.name.clone(),
            kind: p.kind,
            span: p.span,
            attach: p.attach.clone(),
            insns: made.map_or(0, |f| f.insns.len() as u32),
            frame: made.map_or(0, |f| f.frame),
        }
    });
    Artifact { object: output.object.clone(), programs: programs.collect(), plan: lowered.plan.clone() }
}

pub fn syntax(e: awl_grammar::SyntaxError) -> Diagnostic {
    let mut d = Diagnostic::error(e.code, e.span, e.message).label(e.label);
    if let Some((span, text)) = e.related {
        d = d.because(span, text);
    }
    if let Some(h) = e.help {
        d = d.help(h);
    }
    d
}

/// The backend's own refusals: too large a frame, too long a program.
fn refused(program: &hir::Program, e: bpf::Error) -> Diagnostic {
    // `begin_1_loop3` belongs to `begin_1`, not to `begin_10`.
    let of = |name: &str, probe: &str| name.strip_prefix(probe).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    let span = |name: &str| program.bodies().find(|p| of(name, &p.name)).map(|p| p.span).unwrap_or_default();
    match e {
        bpf::Error::FrameTooLarge { function, bytes, culprits } => {
            let mut d = Diagnostic::error(
                "frame-too-large",
                span(&function),
                format!("this probe needs {bytes} bytes of stack, the kernel gives 512"),
            )
            .label("too many values at once")
            .help("use fewer variables, or split the probe in two");
            for (name, n) in culprits.iter().take(5) {
                d = d.note(format!("{n} bytes: {name}"));
            }
            d
        }
        bpf::Error::TooLarge { function, .. } => {
            Diagnostic::error("program-too-large", span(&function), "this probe makes too long a program")
                .label("too much code")
                .help("split the probe in two")
        }
        other => Diagnostic::internal("backend", format!("the backend refused the program: {other:?}")),
    }
}
