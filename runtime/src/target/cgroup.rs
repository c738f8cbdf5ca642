//! Ids of cgroups.

use awl_compiler::target::Unavailable;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The id by which `cgroup` names the group of a directory: on cgroup v2 its inode number, which is the kernel's own id on
/// 64-bit machines since 5.5 (`kernfs_id`, include/linux/kernfs.h).
pub fn id(path: &str) -> Result<u64, Unavailable> {
    let error = |message: String, help: &str| Unavailable { code: "no-cgroup", message, help: help.into() };
    let roots = mounted();
    let Some(first) = roots.first() else {
        return Err(none());
    };
    let path = first.join(path);
    let real = path.canonicalize().map_err(|e| error(format!("`{}`: {e}", path.display()), "`ls -R /sys/fs/cgroup` shows them"))?;
    let inside = roots.iter().any(|r| real.starts_with(r));
    match std::fs::metadata(&real) {
        Ok(m) if inside && m.is_dir() => Ok(m.ino()),
        Ok(_) => {
            Err(error(format!("`{}` is no directory of cgroup v2", path.display()), &format!("cgroups are below `{}`", first.display())))
        }
        Err(e) => Err(error(format!("`{}`: {e}", path.display()), "`ls -R /sys/fs/cgroup` shows them")),
    }
}

/// The directory of a cgroup: a path that isn't a whole one begins where cgroups are mounted.
pub fn place(path: &str) -> PathBuf {
    mounted().first().map_or_else(|| path.into(), |root| root.join(path))
}

/// Paths of all cgroups, the first root and what is below it, by name.
pub fn all() -> Result<Vec<String>, Unavailable> {
    let Some(root) = mounted().into_iter().next() else { return Err(none()) };
    let mut found = vec![root];
    let mut next = 0;
    while let Some(at) = found.get(next) {
        let entries = std::fs::read_dir(at).into_iter().flatten().flatten();
        let below: Vec<PathBuf> = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect();
        found.extend(below);
        next += 1;
    }
    found.sort();
    Ok(found.iter().map(|p| p.to_string_lossy().into_owned()).collect())
}

fn none() -> Unavailable {
    let help = "`sudo mount -t cgroup2 none /sys/fs/cgroup`";
    Unavailable { code: "no-cgroup", message: "no cgroup v2 is mounted".into(), help: help.into() }
}

/// Where cgroup v2 is mounted.
fn mounted() -> Vec<PathBuf> {
    roots(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// The same by the lines of `mountinfo`: `36 25 0:31 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw`
fn roots(mounts: &str) -> Vec<PathBuf> {
    let of = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let place = front.split(' ').nth(4)?;
        back.starts_with("cgroup2 ").then(|| Path::new(&place.replace("\\040", " ")).to_path_buf())
    };
    mounts.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        let text =
            "24 1 0:22 / /sys rw - sysfs sysfs rw\n36 25 0:31 / /sys/fs/cgroup/a\\040b rw,relatime shared:9 - cgroup2 none rw\nbroken";
        assert_eq!(roots(text), [PathBuf::from("/sys/fs/cgroup/a b")]);
    }

    #[test]
    fn the_root_has_an_id() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let Some(root) = roots(&mounts).into_iter().next() else {
            return eprintln!("skipped: no cgroup v2 here");
        };
        assert_eq!(id(&root.to_string_lossy()).ok(), Some(std::fs::metadata(&root).unwrap().ino()));
        assert_eq!(id("").ok(), id(&root.to_string_lossy()).ok());
        assert!(id("/proc").unwrap_err().message.contains("no directory of cgroup v2"));
        assert!(id("/no/such").is_err());
    }
}
