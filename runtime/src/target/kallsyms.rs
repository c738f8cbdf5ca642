//! The kernel's symbols, as a file lists them.

use awl_compiler::target::Unavailable;
use std::cell::OnceCell;
use std::fs::File;
use std::io::Read;

/// The text of `/proc/kallsyms`, read when first asked.
#[derive(Debug)]
pub struct Kallsyms {
    text: String,
    only_functions: OnceCell<bool>,
}

impl Kallsyms {
    /// Why the file shows no addresses, if its beginning shows none.
    pub fn hidden() -> Option<Unavailable> {
        let mut page = [0; 4096];
        let n = File::open("/proc/kallsyms").and_then(|mut f| f.read(&mut page)).ok()?;
        let whole = page[..n].iter().rposition(|b| *b == b'\n')?;
        hidden(std::str::from_utf8(&page[..whole]).ok()?)
    }

    pub fn read() -> Result<Kallsyms, Unavailable> {
        std::fs::read_to_string("/proc/kallsyms").map(Kallsyms::of).map_err(|e| unreadable(&e))
    }

    pub(super) fn of(text: String) -> Kallsyms {
        Kallsyms { text, only_functions: OnceCell::new() }
    }

    /// All of it: names may be read by anyone.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Functions of the kernel itself.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter_map(|l| {
            let mut words = l.split([' ', '\t']);
            let (_, kind, name) = (words.next()?, words.next()?, words.next()?);
            (matches!(kind, "t" | "T") && words.next().is_none()).then_some(name)
        })
    }

    /// The address of a symbol, 0 where addresses are hidden; that of the kernel itself before one of a module. An error where the kernel lists no
    /// variables, so that it may well be one.
    pub fn address(&self, name: &str) -> Result<Option<u64>, Unavailable> {
        match find(&self.text, name) {
            None if *self.only_functions.get_or_init(|| only_functions(&self.text)) => Err(no_variables(name)),
            found => Ok(found),
        }
    }
}

/// `name` is no function, and no other symbol is known.
pub(super) fn no_variables(name: &str) -> Unavailable {
    Unavailable {
        code: "no-symbols",
        message: format!("`{name}` is no function of the kernel, and this kernel doesn't list its variables"),
        help: "needs a kernel built with CONFIG_KALLSYMS_ALL=y: `zgrep KALLSYMS /proc/config.gz` tells".into(),
    }
}

/// All addresses are zero where the reader may not know them.
fn hidden(text: &str) -> Option<Unavailable> {
    if !text.lines().take(100).all(|l| l.starts_with("0000000000000000 ")) {
        return None;
    }
    let level = std::fs::read_to_string("/proc/sys/kernel/kptr_restrict").unwrap_or_default();
    Some(Unavailable {
        code: "no-symbols",
        message: format!("the kernel hides the addresses of its symbols (kptr_restrict is {})", level.trim()),
        help: match level.trim() {
            "2" => "`sudo sysctl kernel.kptr_restrict=1`".into(),
            _ => "run awl as root".into(),
        },
    })
}

fn unreadable(e: &std::io::Error) -> Unavailable {
    Unavailable {
        code: "no-symbols",
        message: format!("the kernel's symbols can't be read (/proc/kallsyms: {e})"),
        help: "needs a kernel built with CONFIG_KALLSYMS=y, and root".into(),
    }
}

/// Without CONFIG_KALLSYMS_ALL only text is listed, and a few dozen marks of sections; with it, every third symbol is a
/// variable.
fn only_functions(text: &str) -> bool {
    let variable = |l: &&str| matches!(l.split(' ').nth(1), Some("d" | "D" | "b" | "B" | "r" | "R"));
    let (all, variables) = text.lines().fold((0, 0), |(n, v), l| (n + 1, v + usize::from(variable(&l))));
    variables < all / 100
}

/// Lines are `ffffffff81000000 T _stext` or, of a module, `ffffffffc0000000 t name [module]` with a tab.
fn find(text: &str, name: &str) -> Option<u64> {
    let mut of_module = None;
    // There are hundreds of thousands of lines: those with the name in them are looked at.
    for (at, _) in text.match_indices(name).filter(|_| !name.is_empty()) {
        let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let mut parts = line.splitn(3, ' ');
        let address = parts.next().and_then(|a| u64::from_str_radix(a, 16).ok());
        if parts.nth(1).and_then(|symbol| symbol.split(['\t', ' ']).next()) != Some(name) {
            continue;
        }
        if !line.ends_with(']') {
            return address;
        }
        of_module = of_module.or(address);
    }
    of_module
}

#[cfg(test)]
mod tests {
    use super::{Kallsyms, find, only_functions};

    #[test]
    fn lines() {
        let text =
            "ffffffff81000000 T _stext\nffffffffc0000000 t both\t[mod]\nffffffff81000010 d both\nffffffffc0000020 t its\t[mod]\nbroken\n";
        assert_eq!(find(text, "_stext"), Some(0xffffffff81000000));
        assert_eq!(find(text, "both"), Some(0xffffffff81000010));
        assert_eq!(find(text, "its"), Some(0xffffffffc0000020));
        assert_eq!(find(text, "_ste"), None);
        assert_eq!(find("", "x"), None);
    }

    #[test]
    fn kernels_that_list_no_variables() {
        let functions: String = (0..1000).map(|i| format!("ffffffff81{i:06x} t f{i}\n")).collect();
        let both: String = functions.lines().map(|l| format!("{l}\nffffffff82000000 d v\n")).collect();
        assert!(only_functions(&functions) && !only_functions(&both) && !only_functions(""));
        assert_eq!(Kallsyms::of(functions.clone()).address("f0"), Ok(Some(0xffffffff81000000)));
        assert_eq!(Kallsyms::of(functions).address("jiffies").unwrap_err().code, "no-symbols");
        assert_eq!(Kallsyms::of(both).address("jiffies"), Ok(None));
    }
}
