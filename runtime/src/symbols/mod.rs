//! Names of addresses, in the kernel and in processes. Nothing is read before the first question, and every answer is kept.

mod history;
mod modules;
mod stripped;

use crate::mappings::Change;
use blazesym::symbolize::{Input, Sym, Symbolized, Symbolizer, cache, source};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A place in a program: the function, and how far into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// demangled
    pub name: String,
    /// bytes from the function's start
    pub offset: u64,
    /// path of the executable or library, `[vdso]`, or the kernel module's name; `None` in the kernel itself
    pub module: Option<String>,
    /// `file:line`, where debug information was asked for and there is some
    pub place: Option<String>,
    /// inlined into the frame that follows: it has no address of its own
    pub inlined: bool,
}

/// What one address stands for: functions inlined there, the innermost first, then the function itself. Empty: unknown.
pub type Frames = Rc<[Frame]>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// C++ and Rust names as their source has them
    pub demangle: bool,
    /// file, line and inlined functions; reading them can take seconds
    pub debug_info: bool,
    /// where separate debug information lies, besides the usual places
    pub debug_dirs: Vec<PathBuf>,
    /// answers about processes are kept
    pub cache: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { demangle: true, debug_info: false, debug_dirs: Vec::new(), cache: true }
    }
}

/// An offset this large belongs to no function: the address lies beyond the last symbol.
const FAR: usize = 1 << 24;

#[derive(Default)]
pub struct Symbols {
    options: Options,
    symbolizer: Option<Symbolizer>,
    stripped: stripped::Stripped,
    modules: Option<modules::Modules>,
    kernel: HashMap<u64, Frames>,
    processes: HashMap<u32, Process>,
    history: history::History,
}

#[derive(Default)]
struct Process {
    /// its memory map is known to the symbolizer, so that it may exit
    remembered: bool,
    frames: HashMap<u64, Frames>,
}

impl Symbols {
    pub fn new(options: Options) -> Symbols {
        Symbols { options, ..Symbols::default() }
    }

    /// A kernel address.
    pub fn kernel(&mut self, addr: u64) -> Frames {
        self.kernel_all(&[addr]);
        self.kernel.get(&addr).cloned().unwrap_or_default()
    }

    /// Looks up many kernel addresses at once, which is quicker than one by one.
    pub fn kernel_all(&mut self, addrs: &[u64]) {
        let unknown = missing(addrs, &self.kernel);
        if unknown.is_empty() {
            return;
        }
        let mut found = vec![Vec::new(); unknown.len()];
        for &debug_syms in self.options.passes() {
            let vmlinux = if debug_syms { blazesym::MaybeDefault::Default } else { blazesym::MaybeDefault::None };
            let kernel = source::Kernel { debug_syms, vmlinux, ..source::Kernel::default() };
            let symbolizer = symbolizer(&mut self.symbolizer, &self.options);
            complete(&unknown, &mut found, |addrs| ask(symbolizer, &source::Source::Kernel(kernel), Input::AbsAddr(addrs)));
        }
        let modules = self.modules.get_or_insert_with(modules::Modules::running);
        for (addr, mut frames) in unknown.into_iter().zip(found) {
            if let Some(module) = modules.of(addr) {
                for frame in &mut frames {
                    frame.module.get_or_insert_with(|| module.to_string());
                }
            }
            self.kernel.insert(addr, frames.into());
        }
    }

    /// An address of a process; unknown once it has exited, unless it was remembered.
    pub fn user(&mut self, tgid: u32, addr: u64) -> Frames {
        self.user_all(tgid, &[addr]);
        let process = self.processes.get(&tgid);
        let frames = process.and_then(|p| p.frames.get(&addr).cloned());
        frames.unwrap_or_default()
    }

    /// Looks up many addresses of a process at once.
    pub fn user_all(&mut self, tgid: u32, addrs: &[u64]) {
        let process = self.processes.entry(tgid).or_default();
        if !self.options.cache {
            process.frames.clear();
        }
        let unknown = missing(addrs, &process.frames);
        if unknown.is_empty() {
            return;
        }
        let remembered = process.remembered;
        let alive = Path::new(&format!("/proc/{tgid}")).exists();
        let mut found = vec![Vec::new(); unknown.len()];
        let symbolizer = symbolizer(&mut self.symbolizer, &self.options);
        for &debug_syms in self.options.passes() {
            // a remembered process may have exited: then there are no map_files
            let process = source::Process { debug_syms, map_files: !remembered, ..source::Process::new(tgid.into()) };
            if alive || remembered {
                complete(&unknown, &mut found, |addrs| ask(symbolizer, &source::Source::Process(process), Input::AbsAddr(addrs)));
            }
        }
        let (stripped, dirs) = (&mut self.stripped, self.options.debug_dirs());
        if alive {
            // a stripped library has its local names in a file of its own
            complete(&unknown, &mut found, |addrs| stripped.name(symbolizer, &dirs, tgid, addrs));
        }
        complete(&unknown, &mut found, |addrs| self.history.name(symbolizer, &self.options, stripped, tgid, addrs));
        let process = self.processes.entry(tgid).or_default();
        for (addr, frames) in unknown.into_iter().zip(found) {
            process.frames.insert(addr, frames.into());
        }
    }

    /// What is mapped where in a process that may end before it is asked.
    pub fn mapped(&mut self, change: Change) {
        self.history.note(change);
    }

    /// Reads the memory map of a process now, so that its addresses have names after it has exited.
    pub fn remember(&mut self, tgid: u32) {
        let mut process = cache::Process::new(tgid.into());
        // few processes have a perf map, and the one that matters is the last one written
        process.cache_perf_map = false;
        let symbolizer = symbolizer(&mut self.symbolizer, &self.options);
        if symbolizer.cache(&process.into()).is_ok() {
            let process = self.processes.entry(tgid).or_default();
            process.remembered = true;
            process.frames.clear();
        }
    }

    /// Forgets what is known of a process: its number may come to mean another one, or it ran `exec`.
    pub fn forget(&mut self, tgid: u32) {
        self.processes.remove(&tgid);
        if let Some(symbolizer) = &mut self.symbolizer {
            let process = blazesym::symbolize::evict::Process::new(tgid.into());
            // best effort: a map that stays is replaced when the process is remembered again
            let _ = symbolizer.evict(&process.into());
        }
    }

    /// Says what a kernel address is, without asking the kernel.
    pub fn define_kernel(&mut self, addr: u64, frames: Vec<Frame>) {
        self.kernel.insert(addr, frames.into());
    }

    /// Says what an address of a process is, without looking at the process.
    pub fn define_user(&mut self, tgid: u32, addr: u64, frames: Vec<Frame>) {
        let process = self.processes.entry(tgid).or_default();
        process.frames.insert(addr, frames.into());
    }
}

impl Options {
    /// With debug information or without: what can't be read with it may still have a name.
    fn passes(&self) -> &'static [bool] {
        if self.debug_info { &[true, false] } else { &[false] }
    }

    fn debug_dirs(&self) -> Vec<PathBuf> {
        let usual = ["/usr/lib/debug", "/lib/debug"].map(PathBuf::from);
        self.debug_dirs.iter().cloned().chain(usual).collect()
    }
}

/// Asks for the addresses that have no frames yet.
fn complete(addrs: &[u64], found: &mut [Vec<Frame>], ask: impl FnOnce(&[u64]) -> Vec<Vec<Frame>>) {
    let unknown: Vec<u64> = addrs.iter().zip(&*found).filter(|(_, f)| f.is_empty()).map(|(a, _)| *a).collect();
    if unknown.is_empty() {
        return;
    }
    let mut more = ask(&unknown).into_iter();
    for frames in found.iter_mut().filter(|f| f.is_empty()) {
        *frames = more.next().unwrap_or_default();
    }
}

/// As many answers as addresses; an address without one has no frames.
fn ask(symbolizer: &Symbolizer, source: &source::Source, places: Input<&[u64]>) -> Vec<Vec<Frame>> {
    let wanted = places.as_inner_ref().len();
    let mut frames: Vec<_> = match symbolizer.symbolize(source, places) {
        Ok(found) => found.iter().map(expand).collect(),
        // A file that can't be read takes nothing from the addresses in others.
        Err(_) if wanted > 1 => {
            let one = |i: usize| ask(symbolizer, source, places.map(|all| &all[i..=i])).pop().unwrap_or_default();
            (0..wanted).map(one).collect()
        }
        Err(_) => Vec::new(),
    };
    frames.resize(wanted, Vec::new());
    frames
}

fn symbolizer<'s>(of: &'s mut Option<Symbolizer>, options: &Options) -> &'s mut Symbolizer {
    of.get_or_insert_with(|| {
        Symbolizer::builder()
            .enable_demangling(options.demangle)
            .enable_code_info(options.debug_info)
            .enable_inlined_fns(options.debug_info)
            // a look at every file's date for every stack costs more than a stale answer
            .enable_auto_reload(false)
            .set_debug_dirs(Some(options.debug_dirs()))
            .build()
    })
}

/// The addresses that have no answer yet, each once.
fn missing(addrs: &[u64], known: &HashMap<u64, Frames>) -> Vec<u64> {
    let unknown = addrs.iter().copied().filter(|a| !known.contains_key(a));
    let mut unknown: Vec<_> = unknown.collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown
}

fn expand(found: &Symbolized) -> Vec<Frame> {
    match found {
        Symbolized::Sym(sym) if sym.offset < FAR => frames_of(sym),
        _ => Vec::new(),
    }
}

fn frames_of(sym: &Sym) -> Vec<Frame> {
    let place = |info: Option<&blazesym::symbolize::CodeInfo>| {
        info.map(|info| {
            let path = info.to_path();
            match info.line {
                Some(line) => format!("{}:{line}", path.display()),
                None => path.display().to_string(),
            }
        })
    };
    let module = sym.module.as_ref().map(|m| m.to_string_lossy().into());
    let mut frames: Vec<Frame> = Vec::with_capacity(1 + sym.inlined.len());
    frames.push(Frame {
        name: sym.name.to_string(),
        offset: sym.offset as u64,
        module: module.clone(),
        place: place(sym.code_info.as_deref()),
        inlined: false,
    });
    frames.extend(sym.inlined.iter().map(|f| Frame {
        name: f.name.to_string(),
        offset: 0,
        module: module.clone(),
        place: place(f.code_info.as_ref()),
        inlined: true,
    }));
    // reported from the outermost inwards, printed as a stack is: the innermost first
    frames.reverse();
    frames
}

#[cfg(test)]
mod tests;
