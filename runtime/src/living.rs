//! What awl has in the kernel, whichever awl it was, and what it leaves there: programs, links and maps under a name, in the
//! folder `awl` of a bpf file system.

use crate::attach::Link;
use crate::attach::reload::Earlier;
use crate::load::{self, Loaded};
use crate::sys::bpf::{self, ProgramId};
use awl_compiler::artifact::{Artifact, Storage};
use awl_compiler::diagnostic::Diagnostic;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A program that awl made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Living {
    /// what it was left under; `None` while its awl runs
    pub name: Option<String>,
    pub id: u32,
    pub program: String,
    /// 0 unless the kernel counts (`kernel.bpf_stats_enabled`)
    pub runs: u64,
}

/// Is it a program that awl made? Its data sections have names that no other tool gives.
pub fn is_ours(id: ProgramId) -> bool {
    let maps = bpf::program_details(id).map(|d| d.maps).unwrap_or_default();
    maps.iter().any(|m| bpf::map_name(*m).is_ok_and(|n| load::SECTIONS.contains(&n.as_str())))
}

/// The bpf file system; `None`: none is mounted.
pub(crate) fn file_system() -> Option<PathBuf> {
    // The last one hides those before it.
    file_systems().pop()
}

/// Where bpf file systems are mounted.
fn file_systems() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let place = |l: &str| {
        let mut words = l.split(' ');
        let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "bpf").then(|| PathBuf::from(place))
    };
    mounts.lines().filter_map(place).collect()
}

/// Does that place lie in a bpf file system?
pub(crate) fn in_file_system(place: &Path) -> bool {
    file_systems().iter().any(|f| place.starts_with(f))
}

/// The file of a pinned iterator; `None` where no bpf file system is mounted, which a name alone lies in.
pub(crate) fn pinned_at(pin: &str) -> Option<PathBuf> {
    // An absolute path takes the place of what is in front of it.
    if pin.starts_with('/') { Some(pin.into()) } else { Some(file_system()?.join(pin)) }
}

/// The program of awl whose iterator is pinned there; `None`: something else is, or nothing.
pub(crate) fn iterator(place: &Path) -> Option<ProgramId> {
    let link = bpf::pinned(place).ok()?;
    bpf::is_iterator(link.as_fd()).then(|| bpf::link_program(link.as_fd()).ok()).flatten().filter(|id| is_ours(*id))
}

/// Pinned iterators of awl below a folder, each with its program.
fn iterators(folder: &Path) -> Vec<(PathBuf, ProgramId)> {
    let mut out = Vec::new();
    for f in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match f.file_type() {
            Ok(t) if t.is_dir() => out.extend(iterators(&f.path())),
            Ok(t) if t.is_file() => out.extend(iterator(&f.path()).map(|id| (f.path(), id))),
            _ => {}
        }
    }
    out
}

/// The folder of all that was left.
fn folder() -> Option<PathBuf> {
    Some(file_system()?.join("awl"))
}

pub(crate) fn no_folder() -> Diagnostic {
    Diagnostic::environment("no-bpffs", "no bpf file system is mounted, where programs are left")
        .help("mount one: `mount -t bpf bpf /sys/fs/bpf`")
}

fn place_of(name: &str) -> Result<PathBuf, Diagnostic> {
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !fits {
        let d = Diagnostic::usage("pin-name", format!("`{name}` is no name to leave programs under"));
        return Err(d.help("letters, digits, `_` and `-`: `--pin guard`"));
    }
    Ok(folder().ok_or_else(no_folder)?.join(name))
}

/// The links that were left under a name before.
///
/// # Errors
/// `no-bpffs`, `pin-name`.
pub(crate) fn earlier(name: &str) -> Result<Earlier, Diagnostic> {
    let files = std::fs::read_dir(place_of(name)?).into_iter().flatten().flatten();
    let links = files.filter(|f| f.file_name().to_string_lossy().starts_with("link_"));
    Ok(Earlier::new(links.filter_map(|f| bpf::pinned(&f.path()).ok())))
}

/// Leaves programs, links and maps under a name, in the place of what was left there before. All of them, or none.
///
/// # Errors
/// `no-bpffs`, `pin-name`, and `pin` where something can't be left.
pub fn pin(name: &str, artifact: &Artifact, loaded: &Loaded, links: &[Link]) -> Result<(), Diagnostic> {
    let last = place_of(name)?;
    // No name of anybody's.
    let place = last.with_file_name(format!("{name}~new"));
    let failed = |what: &str, e: &io::Error| Diagnostic::environment("pin", format!("can't leave {what} under `{name}`: {e}"));
    // Of one that was killed in between.
    let _ = remove(&place);
    std::fs::create_dir_all(&place).map_err(|e| failed("anything", &e))?;
    let all = || {
        for (p, fd) in artifact.programs.iter().zip(&loaded.programs) {
            bpf::pin(&place.join(format!("prog_{}", p.name)), fd.as_fd()).map_err(|e| failed("a program", &e))?;
        }
        for (i, fd) in links.iter().flat_map(Link::fds).enumerate() {
            bpf::pin(&place.join(format!("link_{i}")), fd).map_err(|e| match e.raw_os_error() {
                Some(libc::EINVAL) => failed("this kind of probe", &e).help("such a probe ends with awl; run it without `--pin`"),
                _ => failed("a link", &e),
            })?;
        }
        for m in &artifact.plan.maps {
            if let Storage::Kernel(k) = m.storage
                && let Some(map) = loaded.maps.get(k)
            {
                bpf::pin(&place.join(format!("map_{}", m.name)), map.as_fd()).map_err(|e| failed("a map", &e))?;
            }
        }
        if links.iter().any(|l| !l.lasts()) {
            let d = Diagnostic::environment("pin", "this kernel attaches such a probe only as long as awl runs");
            return Err(d.help("Linux 6.6 has links for `tc`; run it without `--pin` here"));
        }
        Ok(())
    };
    all().inspect_err(|_| {
        // What is there of it must not stay half.
        let _ = remove(&place);
    })?;
    let renamed = match remove(&last) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => std::fs::rename(&place, &last),
    };
    renamed.map_err(|e| failed("anything", &e))
}

/// Files, then the folder: a bpf file system has no recursive removal of its own.
fn remove(place: &Path) -> io::Result<()> {
    for f in std::fs::read_dir(place)? {
        std::fs::remove_file(f?.path())?;
    }
    std::fs::remove_dir(place)
}

/// All programs of awl in the kernel, those under a name first.
pub fn list() -> Vec<Living> {
    let living = |name: Option<String>, id: u32| {
        let details = bpf::program_details(ProgramId(id)).unwrap_or_default();
        let runs = bpf::program(ProgramId(id)).and_then(|fd| bpf::prog_info(fd.as_fd())).map_or(0, |i| i.run_count);
        Living { name, id, program: details.name, runs }
    };
    let mut out = Vec::new();
    let names = folder().and_then(|f| std::fs::read_dir(f).ok()).into_iter().flatten().flatten();
    for d in names {
        let name = d.file_name().to_string_lossy().into_owned();
        for f in std::fs::read_dir(d.path()).into_iter().flatten().flatten() {
            if f.file_name().to_string_lossy().starts_with("prog_")
                && let Ok(id) = bpf::pinned(&f.path()).and_then(|fd| bpf::program_id(fd.as_fd()))
            {
                out.push(living(Some(name.clone()), id.0));
            }
        }
    }
    let known: Vec<u32> = out.iter().map(|l| l.id).collect();
    let usual = file_system().unwrap_or_default();
    for (place, id) in file_systems().iter().flat_map(|fs| iterators(fs)).filter(|(_, id)| !known.contains(&id.0)) {
        // Names are relative to it.
        let name = place.strip_prefix(&usual).unwrap_or(&place);
        out.push(living(Some(name.display().to_string()), id.0));
    }
    out.sort();
    out.dedup();
    let known: Vec<u32> = out.iter().map(|l| l.id).collect();
    let others = bpf::program_ids().into_iter().filter(|id| !known.contains(&id.0) && is_ours(*id));
    out.extend(others.map(|id| living(None, id.0)));
    out
}

/// How long the kernel may take to let go of a program: some of it waits for other CPUs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends what was left under a name, and returns when its programs are gone.
///
/// # Errors
/// `no-bpffs`, `pin-name`, `pin`.
pub fn stop(name: &str) -> Result<(), Diagnostic> {
    let iterator = pinned_at(name).and_then(|place| Some((iterator(&place)?, place)));
    if let Some((id, file)) = iterator.filter(|_| !place_of(name).is_ok_and(|p| p.exists())) {
        std::fs::remove_file(&file).map_err(|e| Diagnostic::environment("pin", format!("can't end `{name}`: {e}")))?;
        return gone(name, &[id]);
    }
    let place = place_of(name)?;
    let files = std::fs::read_dir(&place).into_iter().flatten().flatten();
    let programs = files.filter(|f| f.file_name().to_string_lossy().starts_with("prog_"));
    let ids: Vec<ProgramId> = programs.filter_map(|f| bpf::pinned(&f.path()).and_then(|fd| bpf::program_id(fd.as_fd())).ok()).collect();
    remove(&place).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            let d = Diagnostic::usage("pin", format!("nothing was left under `{name}`"));
            d.help("`awl ps` lists what awl has in the kernel")
        }
        _ => Diagnostic::environment("pin", format!("can't end `{name}`: {e}")),
    })?;
    gone(name, &ids)
}

/// Returns when the programs are gone that had that name.
fn gone(name: &str, ids: &[ProgramId]) -> Result<(), Diagnostic> {
    let begun = Instant::now();
    while ids.iter().any(|id| bpf::program(*id).is_ok()) {
        if begun.elapsed() > PATIENCE {
            let d = Diagnostic::environment("pin", format!("`{name}` has no name any more, but something still holds its programs"));
            return Err(d.help("`bpftool prog show` and `bpftool link show` say what"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
