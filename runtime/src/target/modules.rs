//! Modules of the kernel: loaded ones in sysfs, all others by the lists that `depmod` makes.

use awl_compiler::target::Module;
use std::path::{Path, PathBuf};

/// `/lib/modules/RELEASE` of the running kernel.
fn folder() -> PathBuf {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Path::new("/lib/modules").join(release.trim())
}

/// Where the module is. A part of the kernel that only takes parameters is no loaded module.
pub(super) fn state(name: &str) -> Module {
    let name = name.replace('-', "_");
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain && Path::new("/sys/module").join(&name).join("initstate").exists() {
        return Module::Loaded;
    }
    let listed = |list: &str| names(&text(list)).any(|n| n == name);
    match () {
        () if listed("modules.builtin") => Module::BuiltIn,
        () if listed("modules.dep") => Module::Loadable,
        () => Module::Unknown,
    }
}

pub(super) fn all() -> Vec<String> {
    let loaded = std::fs::read_dir("/sys/module").into_iter().flatten().flatten();
    let loaded = loaded.filter(|e| e.path().join("initstate").exists()).map(|e| e.file_name().to_string_lossy().into_owned());
    loaded.chain(names(&text("modules.dep"))).collect()
}

/// The module that exports a function.
pub(super) fn exporting(function: &str) -> Option<String> {
    exporter(&text("modules.symbols"), function)
}

fn text(list: &str) -> String {
    std::fs::read_to_string(folder().join(list)).unwrap_or_default()
}

/// Lines are `kernel/net/netfilter/nf_tables.ko.xz: ...`, or without what follows the file.
fn names(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|l| Some(l.split(':').next()?.rsplit('/').next()?.split_once(".ko")?.0.replace('-', "_")))
}

/// Lines are `alias symbol:nft_do_chain nf_tables`.
fn exporter(text: &str, function: &str) -> Option<String> {
    let line = |l: &str| Some(l.strip_prefix("alias symbol:")?.strip_prefix(function)?.strip_prefix(' ')?.trim().to_owned());
    text.lines().find_map(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let dep = "kernel/net/netfilter/nf_tables.ko.xz: kernel/net/netfilter/nfnetlink.ko.xz\nkernel/fs/xfs/xfs.ko:\nkernel/a-b.ko\n\n";
        assert_eq!(names(dep).collect::<Vec<_>>(), ["nf_tables", "xfs", "a_b"]);
        let symbols = "# Aliases\nalias symbol:nft_do_chain nf_tables\nalias symbol:nft_do nfx\n";
        assert_eq!(exporter(symbols, "nft_do_chain").as_deref(), Some("nf_tables"));
        assert_eq!(exporter(symbols, "nft_do").as_deref(), Some("nfx"));
        assert_eq!(exporter(symbols, "nft"), None);
    }

    #[test]
    fn strange_names_are_unknown() {
        for name in ["", "..", "../kernel", "no such module"] {
            assert_eq!(state(name), Module::Unknown, "{name}");
        }
    }
}
