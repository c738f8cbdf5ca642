//! Names of users and paths of cgroups, asked for once each.

use crate::sys::{library, net};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[derive(Default)]
pub struct Names {
    users: HashMap<u32, Vec<u8>>,
    interfaces: HashMap<u64, Option<Vec<u8>>>,
    cgroups: HashMap<(u64, u32), Vec<u8>>,
    hierarchies: Option<Vec<Hierarchy>>,
}

/// A mounted cgroup hierarchy: `unified` is version 2, others have the name of their mount.
struct Hierarchy {
    name: String,
    root: PathBuf,
}

impl Names {
    /// The user's name, or the number where it has none.
    pub fn user(&mut self, uid: u32) -> &[u8] {
        let name = || library::user_name(uid).unwrap_or_else(|| uid.to_string().into_bytes());
        self.users.entry(uid).or_insert_with(name)
    }

    /// The interface's name, where the number is one's.
    pub fn interface(&mut self, index: u64) -> Option<&[u8]> {
        let all = || net::interfaces().unwrap_or_default().into_iter();
        let name = || all().find(|(i, _)| u64::from(*i) == index).map(|(_, name)| name.into_bytes());
        self.interfaces.entry(index).or_insert_with(name).as_deref()
    }

    /// `hierarchy:/path`, for each hierarchy that has a cgroup of this id and matches the filter (a pattern with `*`; empty:
    /// all), joined by commas.
    pub fn cgroup(&mut self, id: u64, filter: (u32, &str)) -> &[u8] {
        if !self.cgroups.contains_key(&(id, filter.0)) {
            let mounted = || hierarchies(&std::fs::read("/proc/self/mountinfo").unwrap_or_default());
            let all = self.hierarchies.get_or_insert_with(mounted);
            let mut paths: Vec<u8> = Vec::new();
            for h in all.iter() {
                if !filter.1.is_empty() && !matches(filter.1.as_bytes(), h.name.as_bytes()) {
                    continue;
                }
                let Some(path) = find(&h.root, id) else {
                    continue;
                };
                if !paths.is_empty() {
                    paths.push(b',');
                }
                paths.extend_from_slice(h.name.as_bytes());
                paths.extend_from_slice(b":/");
                let below = path.strip_prefix(&h.root).unwrap_or(Path::new(""));
                paths.extend_from_slice(below.as_os_str().as_bytes());
            }
            self.cgroups.insert((id, filter.0), paths);
        }
        self.cgroups.get(&(id, filter.0)).map_or(&[], Vec::as_slice)
    }
}

/// From `/proc/self/mountinfo`: the unified hierarchy first, then the others by name.
fn hierarchies(mountinfo: &[u8]) -> Vec<Hierarchy> {
    let text = String::from_utf8_lossy(mountinfo);
    let mut all: Vec<Hierarchy> = Vec::new();
    for line in text.lines() {
        let Some((mount, fs)) = line.split_once(" - ") else {
            continue;
        };
        let Some(root) = mount.split(' ').nth(4).map(PathBuf::from) else {
            continue;
        };
        let name = match fs.split(' ').next() {
            Some("cgroup2") => "unified".to_string(),
            Some("cgroup") => match root.file_name() {
                Some(name) => name.to_string_lossy().into_owned(),
                None => continue,
            },
            _ => continue,
        };
        if all.iter().all(|h| h.name != name) {
            all.push(Hierarchy { name, root });
        }
    }
    all.sort_by(|a, b| (a.name != "unified", &a.name).cmp(&(b.name != "unified", &b.name)));
    all
}

/// The directory whose inode is `id`, which is what a cgroup's id is; breadth first.
fn find(root: &Path, id: u64) -> Option<PathBuf> {
    let mut level = vec![root.to_path_buf()];
    while !level.is_empty() {
        let mut below = Vec::new();
        for dir in level {
            if dir.symlink_metadata().is_ok_and(|m| m.ino() == id) {
                return Some(dir);
            }
            let Ok(entries) = dir.read_dir() else {
                continue;
            };
            for entry in entries.flatten() {
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    below.push(entry.path());
                }
            }
        }
        level = below;
    }
    None
}

/// Does `text` match `pattern`, in which `*` stands for any run of bytes?
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // where to go on when the run of the last `*` must be one byte longer
    let mut retry = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users() {
        let mut names = Names::default();
        assert_eq!(names.user(0), b"root");
        assert_eq!(names.user(4_123_456_789), b"4123456789");
    }

    #[test]
    fn patterns() {
        for (pattern, text, yes) in [
            ("unified", "unified", true),
            ("uni*", "unified", true),
            ("*fied", "unified", true),
            ("u*i*d", "unified", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("u*x", "unified", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), yes);
        }
    }

    #[test]
    fn mounts() {
        let text = b"30 23 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
            31 23 0:27 / /sys/fs/cgroup/cpu rw shared:3 - cgroup cgroup rw,cpu\n\
            32 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            33 23 0:29 / /tmp rw - tmpfs tmpfs rw\nbroken\n";
        let names: Vec<String> = hierarchies(text).into_iter().map(|h| h.name).collect();
        assert_eq!(names, ["unified", "cpu", "pids"]);
    }

    #[test]
    fn a_directory_is_found_by_its_id() {
        let root = std::env::temp_dir().join(format!("awl-names-{}", std::process::id()));
        let deep = root.join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let id = deep.metadata().unwrap().ino();
        assert_eq!(find(&root, id), Some(deep));
        assert_eq!(find(&root, u64::MAX), None);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
