//! From names to types. The script is checked again and again until the types of its maps and variables no longer grow
//! (they only ever widen); only the last round's complaints are shown.

mod address;
mod arguments;
mod call;
mod cast;
mod complete;
mod devices;
mod expansion;
mod expr;
pub mod follow;
mod growth;
mod idle;
pub mod join;
mod lacking;
mod locals;
mod maps;
pub mod names;
mod only;
pub(crate) mod operator;
mod packet;
mod place;
mod points;
mod race;
mod stmt;
pub mod unheard;
pub mod uses;

use crate::artifact::{Attach, EventKind, MapKind, ProgramKind};
use crate::builtin::seq_file;
use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::hir::{self, Context, Expr, Local, LocalId, MapId};
use crate::probe::Process;
use crate::probe::filter::Filter;
use crate::sema::names::Types;
use crate::target::Target;
use crate::types::Ty;
use awl_grammar::ast;
use awl_grammar::span::Span;
use std::collections::{HashMap, HashSet};

pub use call::Call;
pub use devices::is_device;
pub(crate) use expr::parse_number;
pub use maps::{KINDS as MAP_KINDS, is_keyless, kind_name};
pub use points::written;

/// What the command line says to the compiler.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `$1`, `$2`, ...
    pub params: Vec<String>,
    /// `-- --name=value`: name and value
    pub named: Vec<(String, Option<String>)>,
    pub allow_unsafe: bool,
    /// verdicts are applied and packets written; else they are only counted
    pub enforce: bool,
    pub config: Config,
    /// `-p`: the process that uprobes without a path and filters mean
    pub pid: Option<u32>,
    /// the process that `-c` starts; 0 where it isn't started, as in a dry run
    pub child: Option<u32>,
    /// `--dwarf-pid`: processes whose stacks are to be unwound
    pub unwound: Vec<u32>,
    /// only check and compile: what this machine lacks is no error then
    pub dry_run: bool,
    pub loops: Loops,
    /// `--probe-filter`: other probes are checked and not attached
    pub filter: Option<Filter>,
    /// `-k`: every failure of a helper is told
    pub helper_errors: bool,
    /// each record says at which attach point it was made
    pub name_points: bool,
    /// `--follow`
    pub follow: Option<follow::Follow>,
    /// integer locals live in scratch memory: for probes with more of them than the stack holds
    pub scratch_locals: bool,
    /// typed arguments (`args.NAME` of `rawtracepoint`, `fentry`, `lsm`) are read by a helper and are plain addresses: for kernels that refuse what
    /// their types promise
    pub plain_arguments: bool,
    /// maps that a script around this one has given types
    pub maps: Vec<hir::Map>,
}

/// How loops are compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loops {
    /// in place where the verifier can be expected to walk through all turns: the quickest
    #[default]
    Walked,
    /// as callbacks, which are checked once: for programs that are too complex otherwise
    Called,
}

/// Type-checks a script for one machine. The program is `None` when there were errors.
pub fn check(script: &ast::Script, target: &dyn Target, options: &Options) -> (Option<hir::Program>, Vec<Diagnostic>) {
    let (types, mut early) = Types::new(&script.preamble, target);
    let is_known = |name: &str| crate::builtin::find(name).is_some() || crate::agg::find(name).is_some();
    let before = early.len();
    let script = &*crate::expand::expand(script, &is_known, &mut early);
    if early.len() > before {
        // What stands in the place of a refused use says nothing of the rest.
        return (None, early);
    }
    let points = script.items.iter().filter_map(|i| if let ast::Item::Probe(p) = i { Some(&p.points) } else { None });
    let types = types.of_modules(crate::probe::modules(points.clone().flatten()), crate::probe::functions(points.flatten()));
    let instances = points::expand(script, target, options, &mut early);
    // A body that can't be attached isn't read: what it assigns isn't known.
    let all_read = early.len() == before;
    let mut checker = Checker::new(script, target, options, &types);
    // A type widens a few times at most; the bound only guards against a rule that never settles.
    for _ in 0..32 {
        let so_far = checker.round(&instances);
        if checker.changed || checker.others_write() {
            continue;
        }
        // Where nothing else says what they are, values that are counted with are integers.
        if checker.supposing || without_type(&so_far, &checker.maps).is_none() {
            break;
        }
        checker.supposing = true;
    }
    checker.last = true;
    let mut program = checker.round(&instances);
    if all_read {
        checker.check_unused();
        checker.check_kinds();
        checker.check_pins();
    }
    lacking::say(&mut checker.diagnostics, &checker.lacking, &instances);
    early.append(&mut checker.diagnostics);
    instances.say_unread(&mut early);
    dedup(&mut early);
    if all_read && !early.iter().any(Diagnostic::is_error) {
        early.extend(without_type(&program, &checker.maps));
    }
    if all_read {
        early.append(&mut checker.idle_functions());
    }
    let failed = early.iter().any(Diagnostic::is_error);
    if !failed {
        early.extend(growth::warnings(&program));
        early.extend(race::warnings(&program));
        early.extend(instances.busy);
        complete::complete(&mut program, &types);
    }
    (if failed { None } else { Some(program) }, early)
}

/// Types that no round found out: those of maps and variables that get their values from one another alone.
fn without_type(program: &hir::Program, states: &[MapState]) -> Option<Diagnostic> {
    let from_itself = "its values come from itself alone";
    let unknown = |what: String, span| {
        Diagnostic::error("no-type", span, format!("the type of `{what}` can't be told"))
            .label(from_itself)
            .help(format!("say it where a value is assigned: `{what} = (int64)...;`"))
    };
    let written = |m: &hir::Map| states.iter().any(|s| s.name == m.name && s.written);
    if let Some(m) = program.maps.iter().find(|m| m.value == Ty::Error && (m.declared.is_none() || written(m))) {
        return Some(unknown(format!("@{}", m.name), m.span));
    }
    for p in &program.probes {
        let mut assigned = HashSet::new();
        let mut note = |s: &hir::Stmt| {
            if let hir::StmtKind::SetLocal(id, _) = s.kind {
                assigned.insert(id);
            }
        };
        p.body.iter().for_each(|s| crate::lower::walk::in_stmt(s, &mut note, &mut |_| {}));
        // What is never assigned, such as the result of a function without one, has no need of a type.
        if let Some(l) = p.locals.iter().enumerate().find(|(id, l)| l.ty == Ty::Error && assigned.contains(id)).map(|(_, l)| l) {
            return Some(unknown(format!("${}", l.name), l.span));
        }
        let mut found = None;
        let mut look = |e: &Expr| {
            if matches!(e.kind, hir::ExprKind::Error) || (matches!(e.kind, hir::ExprKind::MapGet { .. }) && e.is_error()) {
                found.get_or_insert(e.span);
            }
        };
        p.predicate.iter().for_each(|e| crate::lower::walk::exprs(e, &mut look));
        p.body.iter().for_each(|s| crate::lower::walk::in_stmt(s, &mut |_| {}, &mut look));
        if found.is_some()
            && let Some((_, l)) =
                p.locals.iter().enumerate().find(|(id, l)| l.ty == Ty::Error && !assigned.contains(id) && !l.name.is_empty())
        {
            let d = Diagnostic::error("no-type", l.span, format!("`${}` never gets a value", l.name)).label("declared here, and only read");
            return Some(d.help(format!("give it one: `let ${} = 0;`", l.name)));
        }
        if let Some(span) = found {
            return Some(Diagnostic::error("no-type", span, "the type of this can't be told").label(from_itself));
        }
    }
    None
}

/// The same complaint about the same place, once for each kind of attach point, is one complaint. Where an error is, no warning
/// says something else of the same words: in the first turn of an `unroll` a variable has no value, in the others that of a block that ended.
fn dedup(diagnostics: &mut Vec<Diagnostic>) {
    let place = |d: &Diagnostic| d.primary.as_ref().map(|l| l.span);
    let wrong: HashSet<_> = diagnostics.iter().filter(|d| d.is_error()).filter_map(place).collect();
    diagnostics.retain(|d| d.is_error() || place(d).is_none_or(|at| !wrong.contains(&at)));
    let mut seen = HashSet::new();
    diagnostics.retain(|d| seen.insert((d.code, d.primary.as_ref().map(|l| l.span), d.message.clone())));
}

/// What is known of a map so far.
pub(crate) struct MapState {
    pub name: String,
    /// `None`: not used with or without keys yet
    pub keys: Option<Vec<Ty>>,
    pub value: Ty,
    /// where its keys were first seen, and where its value was
    pub keys_span: Span,
    pub value_span: Span,
    pub declared: Option<(MapKind, u32)>,
    pub declared_span: Option<Span>,
    /// the name that it is kept under, and where that stands
    pub pin: Option<(String, Span)>,
    /// its integers have got the sign of a value; those that are only literals take the sign of what comes
    pub sign_said: bool,
    /// something is stored in it
    pub written: bool,
    /// read as a value by `=` of a local or by a function
    pub read: Option<Span>,
}

pub struct Checker<'a> {
    pub script: &'a ast::Script,
    pub target: &'a dyn Target,
    pub options: &'a Options,
    pub types: &'a Types<'a>,
    pub diagnostics: Vec<Diagnostic>,
    pub(crate) maps: Vec<MapState>,
    map_ids: HashMap<String, MapId>,
    /// types of locals of earlier rounds, by instance, place, name, and how often it was met before (`unroll`, macros)
    local_types: HashMap<(usize, Span, String, usize), Ty>,
    /// bodies of `unroll` that became loops, by instance and place
    pub(crate) turned: HashSet<(usize, Span)>,
    /// variables that are read behind the block that first assigned them, and where: by instance and name
    outlasting: HashMap<(usize, String), Span>,
    /// variables whose sign a value has said, by the same
    sign_said: HashSet<(usize, Span, String, usize)>,
    /// a type widened in this round
    changed: bool,
    /// fields of `args` that aren't there: the names, and whose instances
    pub(crate) lacking: Vec<(ast::Ident, usize)>,
    /// what is combined with an integer, and has no type, is one
    supposing: bool,
    /// the round whose diagnostics count
    last: bool,
    program: hir::Program,
    string_ids: HashMap<String, u32>,
    pub(crate) at: Position,
}

/// Where in the script the checker is.
#[derive(Default)]
pub(crate) struct Position {
    pub instance: usize,
    pub context: Option<Context>,
    pub provider: &'static str,
    pub kind: Option<ProgramKind>,
    /// it gives verdicts or changes packets
    pub acts: bool,
    /// the attach point
    pub span: Span,
    /// attach points of this instance
    pub points: Vec<usize>,
    pub attach: Vec<Attach>,
    /// a field of the word that is read is what is wanted (`args` in `args.n`), or all of them (`*args`)
    pub of_field: bool,
    /// only a type is wanted (`sizeof(...)`)
    pub for_type: bool,
    pub locals: Vec<Local>,
    /// innermost last
    scopes: Vec<HashMap<String, LocalId>>,
    /// variables of blocks that have ended, for who looks for them outside
    closed: HashMap<String, LocalId>,
    /// variables that may be read before they are set
    pub maybe_unset: HashSet<LocalId>,
    /// variables that got nothing but literals yet: their sign is open
    pub open_sign: HashSet<LocalId>,
    /// variables that a `let` or a loop makes
    pub declared: HashSet<LocalId>,
    /// variables of a declared type, which no assignment widens
    pub sized: HashSet<LocalId>,
    /// the condition of an `if` around the place is known not to hold
    pub unreached: bool,
    /// loops around the place in its function, and in all
    pub loops: u32,
    pub all_loops: u32,
    /// macros and functions that the place is in the body of, outermost first
    pub uses: Vec<expansion::Use>,
    pub frames: Vec<expansion::Frame>,
}

impl<'a> Checker<'a> {
    fn new(script: &'a ast::Script, target: &'a dyn Target, options: &'a Options, types: &'a Types<'a>) -> Checker<'a> {
        Checker {
            script,
            target,
            options,
            types,
            diagnostics: Vec::new(),
            maps: Vec::new(),
            map_ids: HashMap::new(),
            local_types: HashMap::new(),
            turned: HashSet::new(),
            outlasting: HashMap::new(),
            sign_said: HashSet::new(),
            changed: false,
            lacking: Vec::new(),
            supposing: false,
            last: false,
            program: hir::Program::default(),
            string_ids: HashMap::new(),
            at: Position::default(),
        }
    }

    fn round(&mut self, instances: &points::Instances) -> hir::Program {
        self.changed = false;
        self.diagnostics.clear();
        self.lacking.clear();
        self.program = hir::Program { points: instances.points.clone(), waiting: instances.waiting.clone(), ..Default::default() };
        self.string_ids.clear();
        for m in &mut self.maps {
            m.written = false;
            m.read = None;
        }
        for name in self.options.follow.iter().flat_map(|f| &f.maps) {
            self.map_id(name, Span::default());
        }
        self.declarations();
        for (i, instance) in instances.list.iter().enumerate() {
            let probe = self.probe(i, instance);
            self.program.probes.push(probe);
        }
        let mut program = std::mem::take(&mut self.program);
        program.maps = self
            .maps
            .iter()
            .map(|m| hir::Map {
                name: m.name.clone(),
                keys: m.keys.clone().unwrap_or_default(),
                value: m.value.clone(),
                span: m.value_span,
                declared: m.declared,
                pin: m.pin.as_ref().map(|(name, _)| name.clone()),
            })
            .collect();
        program
    }

    fn declarations(&mut self) {
        // They are in no probe; what the last round ended with is none of theirs.
        self.at = Position::default();
        for item in &self.script.items {
            match item {
                ast::Item::MapDecl(d) => self.map_declaration(d),
                ast::Item::Macro(_) | ast::Item::Function(_) | ast::Item::Probe(_) => {}
            }
        }
    }

    fn probe(&mut self, index: usize, instance: &points::Instance) -> hir::Probe {
        let source = instance.source;
        self.at = Position {
            instance: index,
            context: Some(instance.context.clone()),
            provider: instance.provider.name,
            kind: Some(instance.kind),
            span: instance.span,
            points: instance.points.clone(),
            attach: instance.attach.clone(),
            scopes: vec![HashMap::new()],
            ..Default::default()
        };
        let predicate = source.predicate.as_ref().map(|p| {
            let e = self.expr(p);
            self.condition(e)
        });
        let family = self.family_of(instance);
        let predicate = match self.options.pid.or(self.watched_child(instance)) {
            _ if crate::packet::is_packet(instance.kind) => predicate,
            _ if family.is_some() => family.map(|own| self.only_family(&own, predicate, instance.span)),
            _ if self.of_family(instance) => predicate,
            Some(pid) if instance.provider.process != Process::Nobody => Some(self.only_process(pid, predicate, instance.span)),
            _ => predicate,
        };
        let mut body = self.block(&source.body);
        if let Some(tail) = &source.body.tail {
            // The last statement may lack its semicolon; a probe has no value.
            body.push(self.expr_stmt(tail));
        }
        self.take_printed(&mut body);
        hir::Probe {
            name: instance.name.clone(),
            span: instance.span,
            kind: instance.kind,
            context: instance.context.clone(),
            attach: instance.attach.clone(),
            locals: std::mem::take(&mut self.at.locals),
            acts: self.at.acts,
            predicate,
            body,
            session: None,
        }
    }

    /// Maps that are read and never written are nearly always typing mistakes.
    fn check_unused(&mut self) {
        let names: Vec<String> = self.maps.iter().filter(|m| m.written).map(|m| m.name.clone()).collect();
        let mut found = Vec::new();
        for m in self.maps.iter().filter(|m| !m.written && m.value == Ty::Error) {
            let Some(span) = m.read else { continue };
            let near = crate::diagnostic::nearest(&m.name, names.iter().map(String::as_str));
            let mut d = Diagnostic::error("undefined-map", span, format!("map `@{}` is never assigned", m.name));
            d = match near {
                Some(n) => d.label(format!("did you mean `@{n}`?")),
                None => {
                    let sample = |k: &Ty| match k {
                        Ty::Str(_) => "comm",
                        _ => "tid",
                    };
                    let keys: Vec<&str> = m.keys.iter().flatten().map(sample).collect();
                    let keys = if keys.is_empty() { String::new() } else { format!("[{}]", keys.join(", ")) };
                    d.label("read here, written nowhere").help(format!("give it a value: `@{}{keys} = count();`", m.name))
                }
            };
            found.push(d);
        }
        self.diagnostics.append(&mut found);
    }

    pub fn report(&mut self, d: Diagnostic) {
        // One error is kept whatever stands in front of it.
        if self.has_said_enough() && (!d.is_error() || self.diagnostics.iter().any(Diagnostic::is_error)) {
            return;
        }
        let d = self.at_use(d);
        self.diagnostics.push(d);
    }

    /// More complaints about one script help nobody, and looking for the right names takes its time.
    fn has_said_enough(&self) -> bool {
        self.diagnostics.len() >= 500
    }

    /// The name that was meant, perhaps.
    pub(crate) fn nearest<'n>(&self, wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        if self.has_said_enough() { None } else { crate::diagnostic::nearest(wanted, names) }
    }

    /// Reports and gives the poison expression.
    pub fn fail(&mut self, d: Diagnostic) -> Expr {
        let span = d.primary.as_ref().map(|l| l.span).unwrap_or_default();
        self.report(d);
        Expr::error(span)
    }

    pub fn map_id(&mut self, name: &str, span: Span) -> MapId {
        if let Some(id) = self.map_ids.get(name) {
            return *id;
        }
        let id = self.maps.len();
        self.map_ids.insert(name.to_string(), id);
        let known = self.options.maps.iter().find(|m| m.name == name);
        self.maps.push(MapState {
            name: name.to_string(),
            keys: known.map(|m| m.keys.clone()),
            value: known.map_or(Ty::Error, |m| m.value.clone()),
            keys_span: span,
            value_span: span,
            declared: None,
            declared_span: None,
            pin: None,
            sign_said: known.is_some(),
            written: known.is_some(),
            read: None,
        });
        id
    }

    /// Notes a parameter that the script asks for; the first time says what it is.
    pub fn script_option(&mut self, option: hir::ScriptOption) {
        if !self.program.options.iter().any(|o| o.name == option.name) {
            self.program.options.push(option);
        }
    }

    /// Names of all attach points of the script.
    pub fn points(&self) -> &[String] {
        &self.program.points
    }

    /// The attach point's name, where this program has just one.
    pub fn only_point(&self) -> Option<String> {
        match self.at.points.as_slice() {
            [one] => self.program.points.get(*one).cloned(),
            _ => None,
        }
    }

    /// Number of a kind of record for the runtime.
    pub(crate) fn event(&mut self, kind: EventKind, args: Vec<Ty>, span: Span) -> usize {
        self.program.events.push(hir::Event { kind, args, span });
        self.program.events.len() - 1
    }

    /// Queues a record for the runtime.
    pub fn emit(&mut self, kind: EventKind, args: Vec<Expr>, span: Span) -> Expr {
        if self.writes_file() {
            return self.fail(seq_file::unheard(&kind, span));
        }
        let event = self.event(kind, args.iter().map(|a| a.ty.clone()).collect(), span);
        Expr::new(hir::ExprKind::Emit { event, args }, Ty::Void, span)
    }

    /// The type's number of a function of the kernel that programs may call.
    pub(crate) fn kfunc(&self, name: &str) -> Option<u32> {
        self.target.btf().ok()?.find(crate::target::btf::Kind::Func, name)
    }

    /// Number of a string of the plan.
    pub fn string(&mut self, text: &str) -> u32 {
        if let Some(id) = self.string_ids.get(text) {
            return *id;
        }
        let id = self.program.strings.len() as u32;
        self.program.strings.push(text.to_string());
        self.string_ids.insert(text.to_string(), id);
        id
    }
}
