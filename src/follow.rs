//! `--follow`: what to look at for places that may appear, and the script compiled once more when it has changed.

use crate::build;
use awl_compiler::artifact::{Artifact, Attach, AttachTo, KprobeSite};
use awl_compiler::compile::{Compiled, compile};
use awl_compiler::diagnostic::{Diagnostic, counted};
use awl_compiler::sema::follow::{FAMILY, Waiting};
use awl_compiler::sema::{self, Options};
use awl_compiler::source::SourceMap;
use awl_compiler::{FileId, Span};
use awl_runtime::follow::{Follow, Found};
use awl_runtime::load::{Common, Loaded};
use awl_runtime::maps::View;
use awl_runtime::target::HostTarget;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file at one time: another one under its name is another file.
type Identity = (u64, u64);

/// What places that may appear depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct World {
    /// names of the kernel's modules
    modules: Vec<String>,
    /// files that are meant, with their sizes and times of change
    files: Vec<(PathBuf, Identity, u64, i64)>,
}

/// A place that is attached: where it is written, what it is, and where that is.
type Key = (Span, String, Identity, u64);

/// A machine to be asked afresh, with the processes that count.
pub type Machine<'a> = Box<dyn Fn(Vec<u32>) -> Result<HostTarget, Box<Diagnostic>> + 'a>;

pub struct Follower<'a> {
    sources: &'a SourceMap,
    file: FileId,
    machine: Machine<'a>,
    options: Options,
    /// names of binaries as the script has them
    binaries: Vec<String>,
    /// probes of the kernel are among those that may appear
    kernel: bool,
    world: World,
    known: HashSet<Key>,
    /// what is awaited still
    waiting: Vec<Waiting>,
    /// texts that were said: once is enough
    said: HashSet<String>,
    verbose: bool,
}

impl<'a> Follower<'a> {
    /// `options` are those that `first` was compiled with.
    pub fn new(
        sources: &'a SourceMap,
        file: FileId,
        machine: Machine<'a>,
        options: Options,
        first: &Compiled,
        verbose: bool,
    ) -> Follower<'a> {
        let points = sema::written(&first.script, &options);
        let process = options.pid.or(options.child);
        let binaries = points.iter().filter_map(|(provider, parts)| binary(provider, parts, process)).collect();
        let kernel = points.iter().any(|(p, _)| ["kprobe", "kretprobe", "fentry", "fexit", "tracepoint", "rawtracepoint"].contains(p));
        let mut f = Follower {
            sources,
            file,
            machine,
            options,
            binaries,
            kernel,
            world: World::default(),
            known: HashSet::new(),
            waiting: first.program.as_ref().map(|p| p.waiting.clone()).unwrap_or_default(),
            said: HashSet::new(),
            verbose,
        };
        if let Some(a) = &first.artifact {
            f.know(a);
        }
        f
    }

    /// A line on what is awaited, for who starts it.
    pub fn awaited(&self) -> Option<String> {
        let names: Vec<&str> = self.waiting.iter().map(|w| w.point.as_str()).collect();
        (!names.is_empty()).then(|| format!("waiting for {}\n", names.join(", ")))
    }

    /// What never appeared.
    pub fn missed(&self) -> Option<Diagnostic> {
        let first = self.waiting.first()?;
        let what = format!("{} never appeared", counted(self.waiting.len() as u64, "attach point"));
        let d = Diagnostic::warning("never-appeared", first.span, what).label("this was waited for until the end");
        let others = self.waiting.iter().skip(1).map(|w| format!("nor did {}", w.point));
        Some(others.fold(d, Diagnostic::note))
    }

    fn know(&mut self, artifact: &Artifact) {
        let places = artifact.programs.iter().flat_map(|p| &p.attach);
        let keys: Vec<Key> = places.flat_map(|a| keys(a, artifact)).collect();
        self.known.extend(keys);
    }

    /// The artifact with what is new alone; `None`: nothing is.
    fn new_in(&self, mut artifact: Artifact) -> Option<Artifact> {
        let mut programs = std::mem::take(&mut artifact.programs);
        for p in &mut programs {
            p.attach.retain_mut(|a| {
                let fresh: Vec<bool> = keys(a, &artifact).iter().map(|k| !self.known.contains(k)).collect();
                let mut keep = fresh.iter().copied();
                match &mut a.to {
                    AttachTo::Uprobe { sites, .. } => sites.retain(|_| keep.next().unwrap_or(false)),
                    AttachTo::Kprobe { sites, .. } => sites.retain(|_| keep.next().unwrap_or(false)),
                    _ => {}
                }
                fresh.contains(&true)
            });
        }
        programs.retain(|p| !p.attach.is_empty());
        artifact.programs = programs;
        (!artifact.programs.is_empty()).then_some(artifact)
    }

    fn compiled(&mut self, earlier: (&Artifact, &Loaded)) -> Result<(Option<(Artifact, Loaded)>, Vec<Diagnostic>), Box<Diagnostic>> {
        let machine = (self.machine)(family(earlier))?;
        if let Some(f) = &mut self.options.follow {
            let plan = &earlier.0.plan;
            f.maps = plan.maps.iter().map(|m| m.name.clone()).collect();
            let section = |name: &str| plan.sections.iter().find(|s| s.name == name);
            f.room = (section(".bss.awl").map_or(0, |s| s.size), section(".bss.percpu").map_or(0, |s| s.per_cpu));
        }
        let mut made = compile(self.sources, self.file, &machine, &self.options, false);
        let mut said = std::mem::take(&mut made.diagnostics);
        said.retain(Diagnostic::is_error);
        let Some(artifact) = made.artifact.take() else { return Ok((None, said)) };
        if let Some(p) = &made.program {
            self.waiting.clone_from(&p.waiting);
        }
        let Some(artifact) = self.new_in(artifact) else { return Ok((None, said)) };
        made.artifact = Some(artifact);
        let common = Common { stacks: None, earlier: Some(earlier) };
        let loaded = build::load(&mut made, self.sources, self.file, &machine, &self.options, false, &common)?;
        Ok((made.artifact.map(|a| (a, loaded)), said))
    }
}

impl Follow for Follower<'_> {
    fn look(&mut self, artifact: &Artifact, loaded: &Loaded) -> Found {
        let mut found = Found::default();
        let Ok(machine) = (self.machine)(family((artifact, loaded))) else { return found };
        let world = World::now(&machine, &self.binaries, self.kernel);
        if world == self.world {
            return found;
        }
        self.world = world;
        found.changed = true;
        match self.compiled((artifact, loaded)) {
            Ok((added, said)) => (found.added, found.said) = (added, said),
            Err(d) => found.said.push(*d),
        }
        // What appeared can't be used: the session goes on without it.
        found.said = found.said.drain(..).map(Diagnostic::as_warning).filter(|d| self.said.insert(d.message.clone())).collect();
        // It isn't tried again.
        if let Some((a, _)) = &found.added {
            let new: Vec<Key> = a.programs.iter().flat_map(|p| &p.attach).flat_map(|at| keys(at, a)).collect();
            self.known.extend(new);
        }
        found
    }

    fn attached(&mut self, artifact: &Artifact) {
        if self.verbose {
            let places = artifact.programs.iter().flat_map(|p| &p.attach);
            for point in places.flat_map(numbers).filter_map(|n| artifact.plan.points.get(n)) {
                eprintln!("attached: {point}");
            }
        }
    }
}

/// The watched process and those that it started, as programs know them; empty where none is watched.
fn family((artifact, loaded): (&Artifact, &Loaded)) -> Vec<u32> {
    let Some(map) = artifact.plan.maps.iter().position(|m| m.name == FAMILY) else { return Vec::new() };
    let rows = View::new(artifact, loaded).read(map).unwrap_or_default();
    rows.iter().filter_map(|r| Some(u32::from_ne_bytes(r.key.get(..4)?.try_into().ok()?))).collect()
}

/// The binary that an attach point of a process's code names.
fn binary(provider: &str, parts: &[String], process: Option<u32>) -> Option<String> {
    if !["uprobe", "uretprobe", "usdt"].contains(&provider) {
        return None;
    }
    let own = || process.map(|p| format!("/proc/{p}/exe"));
    match parts {
        [_] => own(),
        [path, ..] if path.is_empty() => own(),
        // `BINARY@FILE:LINE`
        [path, ..] => Some(path.rsplit_once('@').map_or(path.as_str(), |(binary, _)| binary).to_owned()),
        [] => None,
    }
}

impl World {
    fn now(machine: &HostTarget, binaries: &[String], kernel: bool) -> World {
        let text = if kernel { std::fs::read_to_string("/proc/modules").unwrap_or_default() } else { String::new() };
        // One that is being loaded has no functions yet that can be probed.
        let live = text.lines().filter(|l| l.split(' ').nth(4) == Some("Live"));
        let mut modules: Vec<String> = live.filter_map(|l| l.split(' ').next()).map(str::to_owned).collect();
        modules.sort_unstable();
        let files = binaries.iter().flat_map(|b| machine.files(b)).filter_map(|path| {
            let m = std::fs::metadata(&path).ok()?;
            Some((path, (m.dev(), m.ino()), m.size(), m.mtime_nsec() ^ m.mtime()))
        });
        World { modules, files: files.collect() }
    }
}

/// Numbers of the attach points that an attachment serves.
fn numbers(a: &Attach) -> Vec<usize> {
    match &a.to {
        AttachTo::Uprobe { sites, .. } => sites.iter().map(|s| s.point).collect(),
        AttachTo::Kprobe { sites, .. } => sites.iter().map(|s| s.point).collect(),
        _ => vec![a.point],
    }
}

/// What an attachment's sites are known by; of one without sites, what itself is.
fn keys(a: &Attach, artifact: &Artifact) -> Vec<Key> {
    let name = |point: usize| artifact.plan.points.get(point).cloned().unwrap_or_default();
    match &a.to {
        AttachTo::Uprobe { binary, sites, .. } => {
            let identity = std::fs::metadata(Path::new(binary)).map_or((0, 0), |m| (m.dev(), m.ino()));
            sites.iter().map(|s| (a.span, name(s.point), identity, s.offset)).collect()
        }
        AttachTo::Kprobe { sites, .. } => {
            let key = |s: &KprobeSite| (s.span, format!("{} {}", name(s.point), s.symbol), (0, 0), s.offset);
            sites.iter().map(key).collect()
        }
        _ => vec![(a.span, name(a.point), (0, 0), 0)],
    }
}
