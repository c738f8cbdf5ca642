//! From what a script calls a binary (`/bin/ls`, `bash`, `libc`, `/opt/*/bin/x`) to files.

use awl_compiler::diagnostic::nearest;
use awl_compiler::glob::Glob;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where names are looked up: this process's files, or those that another process sees.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// in front of every path: `/proc/PID/root`, or nothing
    root: String,
    process: Option<u32>,
    /// a process that is about to become a program, and which
    command: Option<(u32, PathBuf)>,
    /// the watched process with those that it started, as they are now
    family: Vec<u32>,
}

/// More files than this are never meant by a pattern.
const MAX_MATCHES: usize = 4096;

impl Files {
    /// The files that process `pid` sees. Paths stay as they are where it sees the same as we do.
    pub fn of_process(pid: u32) -> Files {
        let same = |what: &str| fs::read_link(format!("/proc/self/{what}")).ok() == fs::read_link(format!("/proc/{pid}/{what}")).ok();
        let root = if same("ns/mnt") && same("root") { String::new() } else { format!("/proc/{pid}/root") };
        Files { root, process: Some(pid), ..Files::default() }
    }

    /// The files that we see ourselves; process `pid` is going to be `program`.
    pub fn of_command(pid: u32, program: PathBuf) -> Files {
        let program = std::path::absolute(&program).unwrap_or(program);
        Files { command: Some((pid, program)), ..Files::default() }
    }

    /// The process that was watched from its start on runs, and its children count.
    pub fn with_family(self, pids: Vec<u32>) -> Files {
        Files { command: None, family: pids, ..self }
    }

    /// Files that `name` means: one for a plain name, any number for a pattern with `*`. Each file once, by path.
    pub fn find(&self, name: &str) -> Vec<PathBuf> {
        if let Some(exe) = self.executable(name) {
            return vec![exe];
        }
        let wild = name.contains('*');
        let mut found = match (name.contains('/'), wild) {
            _ if name == "*" => self.mapped(),
            (true, false) => self.one(name).into_iter().collect(),
            (true, true) => self.matches(&self.absolute(name)),
            (false, false) => self.in_path(name).or_else(|| self.library(name)).into_iter().collect(),
            (false, true) => {
                let glob = Glob::new(name);
                let dirs = self.search_path().into_iter().chain(LIBRARY_DIRS.iter().map(|d| self.rooted(d)));
                dirs.flat_map(|d| entries(&d)).filter(|p| p.file_name().is_some_and(|n| glob.matches(&n.to_string_lossy()))).collect()
            }
        };
        found.retain(|p| p.is_file());
        found.sort();
        let mut seen = std::collections::HashSet::new();
        found.retain(|p| fs::metadata(p).is_ok_and(|m| seen.insert((m.dev(), m.ino()))));
        found.truncate(MAX_MATCHES);
        found
    }

    /// What `name` may have been meant to be, where nothing was found: the file whose name is nearest in the directory that
    /// there is, or the program or library whose name is.
    pub fn nearest(&self, name: &str) -> Option<String> {
        if name.contains('*') {
            return None;
        }
        let names = |dir: &Path| -> Vec<String> {
            entries(dir).iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect()
        };
        if !name.contains('/') {
            let mut all: Vec<String> = self.search_path().iter().flat_map(|d| names(d)).collect();
            let cache = fs::read(self.rooted("/etc/ld.so.cache")).unwrap_or_default();
            all.extend(cache_entries(&cache).filter_map(|(n, _)| Some(n.split_once(".so")?.0.to_owned())));
            all.sort_unstable();
            return nearest(name, all.iter().map(String::as_str)).map(str::to_owned);
        }
        // The first part that isn't there is the one that is wrong.
        let mut known = if name.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
        let mut parts = name.split('/').filter(|p| !p.is_empty() && *p != ".");
        while let Some(part) = parts.next() {
            let here = known.join(part);
            if self.absolute(&here.to_string_lossy()).exists() {
                known = here;
                continue;
            }
            let all = names(&self.absolute(&known.to_string_lossy()));
            let mut found = known.join(nearest(part, all.iter().map(String::as_str))?);
            found.extend(parts.by_ref());
            return self.absolute(&found.to_string_lossy()).exists().then(|| found.to_string_lossy().into_owned());
        }
        None
    }

    /// Is there a directory of that name?
    pub fn is_dir(&self, name: &str) -> bool {
        name.contains('/') && self.absolute(name).is_dir()
    }

    /// `/proc/PID/exe` is a link that leads out of every root: what it shows is the path where that is the same file.
    fn executable(&self, name: &str) -> Option<PathBuf> {
        let pid = name.strip_prefix("/proc/")?.strip_suffix("/exe")?;
        if pid != "self" && !pid.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        if let Some((_, program)) = self.command.as_ref().filter(|(p, _)| pid.parse() == Ok(*p)) {
            return Some(program.clone());
        }
        let id = |p: &Path| fs::metadata(p).map(|m| (m.dev(), m.ino())).ok();
        let link = PathBuf::from(name);
        let inode = id(&link)?;
        let real = fs::read_link(&link).ok().filter(|r| id(r) == Some(inode));
        Some(real.unwrap_or(link))
    }

    /// Files whose code the process has in memory; those of every process that we may look at, where none is named.
    fn mapped(&self) -> Vec<PathBuf> {
        // Its libraries are not there yet.
        if let Some((_, program)) = &self.command {
            return vec![program.clone()];
        }
        let pids: Vec<u32> = match self.process {
            _ if !self.family.is_empty() => self.family.clone(),
            Some(pid) => vec![pid],
            None => {
                let all = fs::read_dir("/proc").into_iter().flatten().flatten();
                all.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
            }
        };
        let mut found = std::collections::BTreeSet::new();
        for pid in pids {
            let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
            found.extend(code_files(&String::from_utf8_lossy(&maps)).map(|f| self.rooted(f)));
        }
        found.into_iter().collect()
    }

    fn rooted(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("{}{path}", self.root))
    }

    /// With our root in front; a relative one starts at our own working directory.
    fn absolute(&self, name: &str) -> PathBuf {
        match (name.starts_with('/'), std::env::current_dir()) {
            (false, Ok(here)) => here.join(name.strip_prefix("./").unwrap_or(name)),
            _ if !self.root.is_empty() && name.starts_with(&self.root) => name.into(),
            _ => self.rooted(name),
        }
    }

    fn one(&self, name: &str) -> Option<PathBuf> {
        let path = self.absolute(name);
        path.is_file().then_some(path)
    }

    fn search_path(&self) -> Vec<PathBuf> {
        const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let own = self.process.and_then(|p| fs::read(format!("/proc/{p}/environ")).ok()).and_then(|e| {
            let var = e.split(|b| *b == 0).find_map(|v| v.strip_prefix(b"PATH="))?;
            Some(String::from_utf8_lossy(var).into_owned())
        });
        let path = own.or_else(|| std::env::var("PATH").ok()).unwrap_or_else(|| USUAL.into());
        path.split(':').filter(|d| d.starts_with('/')).map(|d| self.rooted(d)).collect()
    }

    fn in_path(&self, name: &str) -> Option<PathBuf> {
        self.search_path()
            .iter()
            .map(|d| d.join(name))
            .find(|p| fs::metadata(p).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
    }

    /// `libc`, `libc.so` or `libc.so.6`: as the dynamic linker's cache has it, else in the usual places.
    fn library(&self, name: &str) -> Option<PathBuf> {
        let cache = fs::read(self.rooted("/etc/ld.so.cache")).unwrap_or_default();
        let cached = cache_entries(&cache).filter(|(n, _)| is_library(n, name)).find_map(|(_, path)| self.one(&path));
        cached.or_else(|| {
            LIBRARY_DIRS.iter().find_map(|d| {
                let mut found: Vec<PathBuf> = entries(&self.rooted(d));
                found.retain(|p| p.is_file() && p.file_name().is_some_and(|n| is_library(&n.to_string_lossy(), name)));
                found.sort();
                found.into_iter().next()
            })
        })
    }

    /// Files whose path matches a pattern, one directory after the other.
    fn matches(&self, pattern: &Path) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::from("/")];
        for part in pattern.components().skip(1) {
            let part = part.as_os_str().to_string_lossy();
            if part.contains('*') {
                let glob = Glob::new(&part);
                // as in a shell, a star means no hidden file
                let fits = |n: &str| glob.matches(n) && (!n.starts_with('.') || part.starts_with('.'));
                found =
                    found.iter().flat_map(|d| entries(d)).filter(|p| p.file_name().is_some_and(|n| fits(&n.to_string_lossy()))).collect();
                found.truncate(MAX_MATCHES);
            } else {
                found.iter_mut().for_each(|d| d.push(&*part));
                found.retain(|d| d.exists());
            }
        }
        found
    }
}

/// Paths of the files that `/proc/PID/maps` has with the right to be executed. A file that was deleted can't be opened any more.
fn code_files(maps: &str) -> impl Iterator<Item = &str> {
    maps.lines().filter_map(|l| {
        let mut parts = l.splitn(6, ' ');
        let path = parts.clone().nth(5)?.trim_start();
        (parts.nth(1)?.contains('x') && path.starts_with('/') && !path.ends_with(" (deleted)")).then_some(path)
    })
}

const LIBRARY_DIRS: &[&str] = &[
    #[cfg(target_arch = "x86_64")]
    "/lib/x86_64-linux-gnu",
    #[cfg(target_arch = "x86_64")]
    "/usr/lib/x86_64-linux-gnu",
    #[cfg(target_arch = "aarch64")]
    "/lib/aarch64-linux-gnu",
    #[cfg(target_arch = "aarch64")]
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
];

/// Is `file` (`libc.so.6`) the library that `name` (`libc`, `libc.so`, `libc.so.6`) means?
fn is_library(file: &str, name: &str) -> bool {
    let version = |rest: &str| rest.is_empty() || (rest.starts_with('.') && rest[1..].bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    let Some(rest) = file.strip_prefix(name) else { return false };
    match name.contains(".so") {
        true => version(rest),
        false => rest.strip_prefix(".so").is_some_and(version),
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    found.sort();
    found
}

/// Names and paths of the dynamic linker's cache that fit this machine, in its order. The format is glibc's since 2.2
/// (`glibc-ld.so.cache1.1`, sysdeps/generic/dl-cache.h); older caches have it behind a part of their own.
fn cache_entries(cache: &[u8]) -> impl Iterator<Item = (String, String)> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    // The low byte says which libc, the next one which machine.
    const FLAGS: u32 = if cfg!(target_arch = "aarch64") { 0x0a03 } else { 0x0303 };
    let start = (0..cache.len().min(1 << 20)).step_by(4).find(|i| cache[*i..].starts_with(MAGIC));
    let cache = start.map_or(&[][..], |i| &cache[i..]);
    let word = |at: usize| cache.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let count = word(20).unwrap_or(0) as usize;
    let text = |at: u32| {
        let rest = cache.get(at as usize..).unwrap_or_default();
        let end = rest.iter().take(4096).position(|b| *b == 0)?;
        String::from_utf8(rest[..end].to_vec()).ok()
    };
    let mut found = Vec::new();
    for i in 0..count.min(cache.len() / 24) {
        let at = 48 + 24 * i;
        if let (Some(FLAGS), Some(name), Some(path)) = (word(at), word(at + 4), word(at + 8))
            && let (Some(name), Some(path)) = (text(name), text(path))
        {
            found.push((name, path));
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_names() {
        assert!(is_library("libc.so.6", "libc"));
        assert!(is_library("libc.so.6", "libc.so"));
        assert!(is_library("libc.so.6", "libc.so.6"));
        assert!(!is_library("libcap.so.2", "libc"));
        assert!(!is_library("libc.so.6", "libc.so.7"));
        assert!(!is_library("libc.a", "libc"));
    }

    #[test]
    fn names_patterns_and_paths() {
        let files = Files::default();
        let libc = files.find("libc");
        assert_eq!(libc.len(), 1, "{libc:?}");
        assert!(libc[0].to_string_lossy().contains("libc.so"));
        let sh = files.find("sh");
        assert_eq!(sh.len(), 1);
        assert!(sh[0].is_absolute());
        assert_eq!(files.find("/bin/sh"), [PathBuf::from("/bin/sh")]);
        // every file once, however many names it has
        let all = files.find("/bin/s*");
        assert!(all.iter().all(|p| p.starts_with("/bin")) && !all.is_empty());
        assert!(files.find("/no/such/file").is_empty());
        assert!(files.find("no-such-program").is_empty());
        assert!(files.find("/*/no*such").is_empty());
    }

    #[test]
    fn a_process_of_our_own_sees_what_we_see() {
        let files = Files::of_process(std::process::id());
        assert_eq!(files.find("/bin/sh"), [PathBuf::from("/bin/sh")]);
        let exe = files.find(&format!("/proc/{}/exe", std::process::id()));
        assert_eq!(exe, [std::env::current_exe().unwrap()]);
    }

    #[test]
    fn what_may_have_been_meant() {
        let dir = std::env::temp_dir().join(format!("awl-near-{}", std::process::id()));
        fs::create_dir_all(dir.join("programs")).unwrap();
        fs::write(dir.join("programs/server"), "").unwrap();
        let (files, dir_name) = (Files::default(), dir.to_string_lossy().into_owned());
        let right = format!("{dir_name}/programs/server");
        assert_eq!(files.nearest(&format!("{dir_name}/programs/sever")), Some(right.clone()));
        assert_eq!(files.nearest(&format!("{dir_name}/progams/server")), Some(right));
        assert_eq!(files.nearest(&format!("{dir_name}/progams/client")), None);
        assert_eq!(files.nearest(&format!("{dir_name}/programs/else")), None);
        assert_eq!(files.nearest(&format!("{dir_name}/programs/sever*")), None);
        assert!(files.is_dir(&dir_name) && !files.is_dir("sh"));
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(files.nearest("libcc").as_deref(), Some("libc"));
        assert_eq!(files.nearest("zzzzzzzzzzzzzzzzzzzz"), None);
        assert_eq!(files.nearest("/"), None);
        assert_eq!(files.nearest(""), None);
    }

    #[test]
    fn files_with_code_in_memory() {
        let maps = "\
55d0c8a00000-55d0c8a02000 r--p 00000000 fe:01 1234                       /usr/bin/app
55d0c8a02000-55d0c8a08000 r-xp 00002000 fe:01 1234                       /usr/bin/app
7f0000000000-7f0000001000 r-xp 00000000 fe:01 77                         /opt/my app/lib.so
7f0000002000-7f0000003000 r-xp 00000000 fe:01 78                         /tmp/old.so (deleted)
7f0000004000-7f0000005000 rwxp 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
broken
";
        assert_eq!(code_files(maps).collect::<Vec<_>>(), ["/usr/bin/app", "/opt/my app/lib.so"]);
        let own = Files::of_process(std::process::id()).find("*");
        assert!(own.contains(&std::env::current_exe().unwrap()) && own.len() < 20, "{own:?}");
        assert!(Files::default().find("*").contains(&std::env::current_exe().unwrap()));
    }

    #[test]
    fn broken_caches() {
        assert_eq!(cache_entries(b"").count(), 0);
        let mut cache = b"glibc-ld.so.cache1.1".to_vec();
        cache.extend([0xff; 60]);
        assert_eq!(cache_entries(&cache).count(), 0);
    }
}
