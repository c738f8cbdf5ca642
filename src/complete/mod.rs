//! What may be written at a place in a text: from the rows of the language, the script itself, and this machine. The prompt
//! and the language server ask here.

pub mod place;

use awl_compiler::compile::compile;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_compiler::target::Target;
use awl_compiler::types::{FieldTy, RecordDef, Ty};
use awl_compiler::{agg, builtin, config, hir, probe};
use awl_runtime::target::{self, HostTarget};
use place::{Around, Place};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Probe,
    Place,
    Function,
    Variable,
    Map,
    Local,
    Field,
    Keyword,
    Setting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub text: String,
    pub kind: Kind,
    /// a signature or a type
    pub detail: String,
}

/// Places of a provider on this machine.
#[derive(Default)]
struct Places {
    /// their full names, in order, so that those with the same beginning stand together
    all: Vec<String>,
    /// what stands before their last colon, each once
    groups: Vec<String>,
}

impl Places {
    /// None where the machine can't be asked.
    fn of(target: &HostTarget, provider: &str) -> Places {
        let clocks = ["hz:99", "s:1", "ms:100", "us:1000"];
        Places::new(match provider {
            "interval" | "profile" => clocks.iter().map(|c| format!("{provider}:{c}")).collect(),
            _ => target::list(target, &format!("{provider}:*")).unwrap_or_default(),
        })
    }

    fn new(mut all: Vec<String>) -> Places {
        all.sort_unstable();
        let mut groups: Vec<String> = all.iter().filter_map(|p| Some(p.rsplit_once(':')?.0.to_owned())).collect();
        groups.dedup();
        Places { all, groups }
    }

    /// Those whose names go on like this behind the first `from` bytes; where there are none, what a word may mean otherwise.
    fn fitting(&self, from: usize, rest: &str) -> Vec<&str> {
        let begin = self.all.partition_point(|p| &p[from..] < rest);
        let like = &self.all[begin..];
        let like = &like[..like.partition_point(|p| p[from..].starts_with(rest))];
        if let Some(last) = like.last() {
            // What all have in common, the first and the last have.
            return like.iter().take(MOST - 1).chain(like.get(MOST - 1).map(|_| last)).map(String::as_str).collect();
        }
        self.all.iter().map(String::as_str).filter(|p| score(&p[from..], rest).is_some()).collect()
    }
}

type Lists = Arc<Mutex<HashMap<String, Arc<Places>>>>;

/// Nobody leaves a list half made.
fn lock(lists: &Lists) -> MutexGuard<'_, HashMap<String, Arc<Places>>> {
    lists.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Providers whose places take longer to find than the next key.
const SLOW: [&str; 4] = ["kprobe", "tracepoint", "fentry", "rawtracepoint"];

/// The provider that has the same places, and by whose name these are known.
fn listed_as(provider: &'static str) -> &'static str {
    match provider {
        "kretprobe" => "kprobe",
        "fexit" => "fentry",
        p => p,
    }
}

pub struct Completer {
    target: Rc<HostTarget>,
    /// maps whose types are known, where the text that uses them is not all there
    pub maps: Vec<hir::Map>,
    /// places of each provider, looked up once
    lists: Lists,
    /// makes those that are slow
    ahead: Option<JoinHandle<()>>,
    /// functions of each binary
    functions: RefCell<HashMap<String, Rc<Vec<String>>>>,
    programs: RefCell<Option<Rc<Vec<String>>>>,
}

/// More than anybody reads.
pub const MOST: usize = 2000;

const KEYWORDS: &[&str] =
    &["if", "else", "while", "for", "unroll", "let", "return", "break", "continue", "sizeof", "offsetof", "struct", "config"];

impl Completer {
    pub fn new(target: Rc<HostTarget>) -> Completer {
        Completer {
            target,
            maps: Vec::new(),
            lists: Lists::default(),
            ahead: None,
            functions: RefCell::default(),
            programs: RefCell::default(),
        }
    }

    /// Begins to make the slow lists, before anybody asks for them.
    pub fn hurry(&mut self) {
        let (beside, lists) = (self.target.beside(), Arc::clone(&self.lists));
        let make = move || {
            let target = beside.target();
            for provider in SLOW {
                let made = Arc::new(Places::of(&target, provider));
                lock(&lists).insert(provider.to_owned(), made);
            }
        };
        // Without a thread they are made when they are asked for.
        self.ahead = std::thread::Builder::new().name("places".into()).spawn(make).ok();
    }

    /// Would an answer for this text be there before the next key? Not while the list that it takes is being made.
    pub fn is_quick(&self, text: &str, pos: usize) -> bool {
        let Place::Probe { word, .. } = place::around(text, pos).place else { return true };
        let provider = word.split_once(':').and_then(|(name, _)| probe::find(name)).map(|p| listed_as(p.name));
        let made = |p: &str| !SLOW.contains(&p) || lock(&self.lists).contains_key(p);
        self.ahead.as_ref().is_none_or(JoinHandle::is_finished) || provider.is_none_or(made)
    }

    /// Where the word at byte `pos` begins, and what it may become, likeliest first. `known`: a script whose names count too.
    pub fn complete(&self, text: &str, pos: usize, known: &str) -> (usize, Vec<Candidate>) {
        let at = place::around(text, pos);
        let (start, word, all) = match &at.place {
            Place::Nothing => return (pos, Vec::new()),
            Place::Probe { start, word } if word.is_empty() && !at.header.is_empty() && !at.header.ends_with(',') => {
                return (*start, behind_points());
            }
            Place::Probe { start, word } => return (*start, self.probes(word)),
            Place::Field { start, word, of } => (*start, word, self.fields(text, &at, of, known)),
            Place::Local { start, word } => (*start, word, names(text, '$', Kind::Local)),
            Place::Map { start, word } => {
                let mut maps = names(text, '@', Kind::Map);
                maps.extend(names(known, '@', Kind::Map));
                (*start, word, maps)
            }
            Place::Setting { start, word } => {
                let keys = config::KEYS.iter().filter(|k| !k.doc.starts_with("without effect"));
                (*start, word, keys.map(|k| Candidate { text: k.name.into(), kind: Kind::Setting, detail: k.doc.into() }).collect())
            }
            Place::Name { start, word } => (*start, word, language()),
        };
        // The word at the cursor is in the text, and is no suggestion.
        let all = all.into_iter().filter(|c| c.text != *word);
        (start, best(all, word))
    }

    fn probes(&self, word: &str) -> Vec<Candidate> {
        let Some((name, rest)) = word.split_once(':') else {
            let row = |p: &probe::Provider| {
                let text = if p.syntax.contains(':') { format!("{}:", p.name) } else { format!("{} {{ ", p.name) };
                Candidate { text, kind: Kind::Probe, detail: p.syntax.into() }
            };
            return best(probe::all().filter(|p| !p.doc.ends_with("(not yet)")).map(row), word);
        };
        let Some(provider) = probe::find(name) else { return Vec::new() };
        let place = |text: String| Candidate { text, kind: Kind::Place, detail: String::new() };
        if provider.syntax.contains(":BINARY") {
            return self.binaries(name, provider.name, rest).into_iter().map(place).collect();
        }
        let source = listed_as(provider.name);
        let places = self.places(source);
        // Shown as the user has begun it: `t:sched:` rather than `tracepoint:sched:`.
        let short = |full: &str| format!("{name}{}", &full[source.len()..]);
        if !rest.contains(':') && places.all.len() > 200 {
            // In order, so that those of a group stand together.
            let groups = places.groups.iter().map(|g| place(format!("{}:", short(g))));
            let groups: Vec<Candidate> = groups.filter(|c| c.text.starts_with(word)).collect();
            if groups.len() > 1 || (groups.len() == 1 && !rest.is_empty()) {
                return groups;
            }
        }
        // Judged before anything is copied: there are tens of thousands.
        best(places.fitting(source.len(), &word[name.len()..]).into_iter().map(|p| place(short(p))), word)
    }

    /// All places of a provider on this machine.
    fn places(&self, provider: &str) -> Arc<Places> {
        let known = lock(&self.lists).get(provider).cloned();
        known.unwrap_or_else(|| {
            let found = Arc::new(Places::of(&self.target, provider));
            lock(&self.lists).insert(provider.to_owned(), Arc::clone(&found));
            found
        })
    }

    /// Programs, or the functions of the one that is named.
    fn binaries(&self, written: &str, provider: &str, rest: &str) -> Vec<String> {
        if let Some((binary, function)) = rest.split_once(':') {
            let key = format!("{provider}:{binary}:");
            let known = self.functions.borrow().get(&key).cloned();
            let places = known.unwrap_or_else(|| {
                let found = target::list(&*self.target, &format!("{key}*")).unwrap_or_default();
                let names = found.iter().filter_map(|p| p.splitn(3, ':').nth(2)).map(str::to_owned).collect();
                let names: Rc<Vec<String>> = Rc::new(names);
                self.functions.borrow_mut().insert(key, Rc::clone(&names));
                names
            });
            let full = places.iter().map(|f| Candidate { text: f.clone(), kind: Kind::Place, detail: String::new() });
            return best(full, function).into_iter().map(|c| format!("{written}:{binary}:{}", c.text)).collect();
        }
        if rest.contains('/') {
            return files(rest, ":").into_iter().map(|f| format!("{written}:{f}")).collect();
        }
        let programs = self.programs();
        let all = programs.iter().map(|p| Candidate { text: format!("{written}:{p}:"), kind: Kind::Place, detail: String::new() });
        best(all, &format!("{written}:{rest}")).into_iter().map(|c| c.text).collect()
    }

    /// Names that a uprobe may be given: programs of `PATH`, and some libraries.
    fn programs(&self) -> Rc<Vec<String>> {
        if let Some(known) = self.programs.borrow().as_ref() {
            return Rc::clone(known);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut names: BTreeSet<String> = ["libc", "libssl", "libpthread", "libstdc++"].into_iter().map(str::to_owned).collect();
        for dir in path.split(':').filter(|d| d.starts_with('/')) {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            names.extend(entries.map(|e| e.file_name().to_string_lossy().into_owned()));
        }
        let names: Rc<Vec<String>> = Rc::new(names.into_iter().collect());
        *self.programs.borrow_mut() = Some(Rc::clone(&names));
        names
    }

    fn fields(&self, text: &str, at: &Around, of: &str, known: &str) -> Vec<Candidate> {
        let field = |(name, declaration): (String, String)| Candidate { text: name, kind: Kind::Field, detail: declaration };
        if of == "args" {
            let Some(place) = self.first_place(&at.header) else { return Vec::new() };
            return target::describe(&*self.target, &place).unwrap_or_default().into_iter().map(field).collect();
        }
        // The checker knows the type: it is asked about a script that ends here.
        let mut script = format!("{known}\n{}", text.get(..at.before).unwrap_or_default());
        script += &match at.depth {
            0 => format!("{{ $awl_it = ({of}); print($awl_it); }}"),
            n => format!(" $awl_it = ({of}); print($awl_it); {}", "}".repeat(n)),
        };
        let mut ty = self.type_of(&script);
        if let Some(Ty::Ptr(to, _)) = &ty {
            ty = Some((**to).clone());
        }
        match ty {
            Some(Ty::Record(record)) => self.members(&record).into_iter().map(field).collect(),
            Some(Ty::NamedTuple(parts)) => parts.iter().map(|(n, t)| field((n.clone(), t.to_string()))).collect(),
            _ => Vec::new(),
        }
    }

    /// The full name of the first place that an item's header means.
    pub fn first_place(&self, header: &str) -> Option<String> {
        let point = header.split(',').next()?.trim();
        let (name, rest) = point.split_once(':')?;
        let full = format!("{}:{rest}", probe::find(name)?.name);
        if !full.contains('*') {
            return Some(full);
        }
        target::list(&*self.target, &full).ok()?.into_iter().next()
    }

    /// Type of the variable `$awl_it` of a script.
    pub fn type_of(&self, script: &str) -> Option<Ty> {
        let mut sources = SourceMap::default();
        let file = sources.add("<text>", script);
        let options = Options { allow_unsafe: true, dry_run: true, maps: self.maps.clone(), ..Options::default() };
        let compiled = compile(&sources, file, &*self.target, &options, false);
        let program = compiled.program?;
        program.probes.iter().flat_map(|p| &p.locals).rfind(|l| l.name.trim_start_matches('$') == "awl_it").map(|l| l.ty.clone())
    }

    fn members(&self, record: &RecordDef) -> Vec<(String, String)> {
        if let (Some(id), Ok(btf)) = (record.btf_id, self.target.btf()) {
            return btf.members_of(id);
        }
        record.fields.iter().map(|f| (f.name.clone(), format!("{} {}", type_words(&f.ty), f.name))).collect()
    }
}

/// What may follow the attach points of a probe.
fn behind_points() -> Vec<Candidate> {
    let candidate = |text: &str, detail: &str| Candidate { text: text.into(), kind: Kind::Keyword, detail: detail.into() };
    vec![candidate("{ ", "what is done each time"), candidate("/pid == ", "when it is done, as in `/pid == 1234/`")]
}

/// Files whose paths begin like this; folders end in a slash, others in `end`.
pub fn files(word: &str, end: &str) -> Vec<String> {
    let (dir, part) = word.rfind('/').map_or(("", word), |i| word.split_at(i + 1));
    let entries = std::fs::read_dir(if dir.is_empty() { "." } else { dir }).into_iter().flatten().flatten();
    let named = entries.filter(|e| e.file_name().to_string_lossy().starts_with(part));
    let mut found: Vec<String> =
        named.map(|e| format!("{dir}{}{}", e.file_name().to_string_lossy(), if e.path().is_dir() { "/" } else { end })).collect();
    found.sort();
    found.truncate(MOST);
    found
}

fn type_words(ty: &FieldTy) -> String {
    match ty {
        FieldTy::Known(t) => t.to_string(),
        FieldTy::Named(n) => n.clone(),
        FieldTy::Btf(_) | FieldTy::Foreign(..) => String::new(),
        FieldTy::Ptr(to, _) => format!("{} *", type_words(to)),
        FieldTy::Array(of, n) => format!("{}[{n}]", type_words(of)),
    }
}

/// Functions, variables, aggregations, keywords.
fn language() -> Vec<Candidate> {
    let candidate = |name: &str, kind, detail: &str| Candidate { text: name.into(), kind, detail: detail.into() };
    let bare = |b: &builtin::Builtin| {
        let s = builtin::signature::parse(b.signature);
        !s.rest && s.result != "void" && s.params.iter().all(|p| p.optional)
    };
    let function = |b: &builtin::Builtin| match bare(b) {
        true => candidate(b.name, Kind::Variable, b.signature),
        false => candidate(&format!("{}(", b.name), Kind::Function, b.signature),
    };
    let aggregations = agg::rows::ROWS.iter().map(|a| {
        let end = if a.signature.contains("()") { "()" } else { "(" };
        candidate(&format!("{}{end}", a.name), Kind::Function, a.signature)
    });
    let mut all: Vec<Candidate> = builtin::all().map(function).chain(aggregations).collect();
    all.extend(awl_stdlib::macros().map(|m| candidate(&format!("{}(", m.name), Kind::Function, m.head)));
    all.extend(KEYWORDS.iter().map(|k| candidate(k, Kind::Keyword, "")));
    all
}

/// Names of a text that begin with a sign.
fn names(text: &str, sign: char, kind: Kind) -> Vec<Candidate> {
    let found: BTreeSet<&str> = text
        .match_indices(sign)
        .map(|(i, _)| {
            let rest = &text[i + 1..];
            &text[i..i + 1 + rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
        })
        .filter(|n| n.len() > 1)
        .collect();
    found.into_iter().map(|n| Candidate { text: n.into(), kind, detail: String::new() }).collect()
}

/// Those that fit a word, best first: what begins with it, then what has it inside, then what has its letters in order.
fn best(all: impl Iterator<Item = Candidate>, word: &str) -> Vec<Candidate> {
    let mut fitting: Vec<(u8, Candidate)> = all.filter_map(|c| Some((score(&c.text, word)?, c))).collect();
    // Fuzzy matches help only where nothing better is there.
    if let Some(least) = fitting.iter().map(|f| f.0).min() {
        fitting.retain(|f| f.0 == least);
    }
    fitting.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.text.cmp(&b.1.text)));
    fitting.dedup_by(|a, b| a.1.text == b.1.text);
    fitting.truncate(MOST);
    fitting.into_iter().map(|f| f.1).collect()
}

/// How well a word fits a text, 0 best; `None`: not at all. What stands up to the last colon must be the same.
fn score(text: &str, word: &str) -> Option<u8> {
    if text.starts_with(word) {
        return Some(0);
    }
    let head = word.rfind(':').map_or(0, |i| i + 1);
    let (text, word) = match text.get(..head) {
        Some(h) if h == &word[..head] => (&text[head..], &word[head..]),
        _ => return None,
    };
    if text.contains(word) {
        return Some(1);
    }
    let mut letters = text.bytes().map(|b| b.to_ascii_lowercase());
    word.bytes().all(|w| letters.any(|l| l == w.to_ascii_lowercase())).then_some(2)
}

#[cfg(test)]
pub mod tests;
