//! Addresses of the kernel's symbols.

use awl_compiler::target::Unavailable;

/// The text of `/proc/kallsyms`, read when first asked.
#[derive(Debug)]
pub struct Kallsyms(String);

impl Kallsyms {
    pub fn read() -> Result<Kallsyms, Unavailable> {
        let text = std::fs::read_to_string("/proc/kallsyms").map_err(|e| Unavailable {
            code: "no-symbols",
            message: format!("the kernel's symbols can't be read (/proc/kallsyms: {e})"),
            help: "needs a kernel built with CONFIG_KALLSYMS=y, and root".into(),
        })?;
        // All addresses are zero where the reader may not know them.
        if text.lines().take(100).all(|l| l.starts_with("0000000000000000 ")) {
            let level = std::fs::read_to_string("/proc/sys/kernel/kptr_restrict").unwrap_or_default();
            return Err(Unavailable {
                code: "no-symbols",
                message: format!("the kernel hides the addresses of its symbols (kptr_restrict is {})", level.trim()),
                help: match level.trim() {
                    "2" => "`sudo sysctl kernel.kptr_restrict=1`".into(),
                    _ => "run awl as root".into(),
                },
            });
        }
        Ok(Kallsyms(text))
    }

    /// The address of a symbol; that of the kernel itself before one of a module.
    pub fn address(&self, name: &str) -> Option<u64> {
        find(&self.0, name)
    }
}

/// Lines are `ffffffff81000000 T _stext` or, of a module, `ffffffffc0000000 t name [module]` with a tab.
fn find(text: &str, name: &str) -> Option<u64> {
    let wanted = |l: &&str| {
        let symbol = l.splitn(3, ' ').nth(2).unwrap_or_default();
        symbol.split(['\t', ' ']).next() == Some(name)
    };
    let mut of_module = None;
    for line in text.lines().filter(wanted) {
        let address = line.split(' ').next().and_then(|a| u64::from_str_radix(a, 16).ok());
        if !line.ends_with(']') {
            return address;
        }
        of_module = of_module.or(address);
    }
    of_module
}

#[cfg(test)]
mod tests {
    use super::find;

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
}
