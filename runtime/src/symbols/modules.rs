//! Which kernel module an address lies in, as `/proc/modules` says.

/// Sorted by start.
#[derive(Debug, Default)]
pub struct Modules(Vec<Module>);

#[derive(Debug)]
struct Module {
    start: u64,
    size: u64,
    name: String,
}

impl Modules {
    /// Those of the running kernel; none where it has none or hides their addresses.
    pub fn running() -> Modules {
        Modules::parse(&std::fs::read_to_string("/proc/modules").unwrap_or_default())
    }

    /// Lines of `name size users dependencies state address`.
    fn parse(text: &str) -> Modules {
        let mut modules: Vec<Module> = text.lines().filter_map(module).collect();
        modules.sort_unstable_by_key(|m| m.start);
        Modules(modules)
    }

    pub fn of(&self, addr: u64) -> Option<&str> {
        let after = self.0.partition_point(|m| m.start <= addr);
        let module = self.0.get(after.checked_sub(1)?)?;
        (addr - module.start < module.size).then_some(&*module.name)
    }
}

fn module(line: &str) -> Option<Module> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_string();
    let size = words.next()?.parse().ok()?;
    let address = words.nth(3)?.strip_prefix("0x")?;
    let start = u64::from_str_radix(address, 16).ok()?;
    // 0: hidden from us
    (start != 0).then_some(Module { start, size, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_find_their_module() {
        let text = "nf_tables 1000 3 a,b, Live 0xffffffffc0100000\n\
                    ext4 4096 1 - Live 0xffffffffc0000000 (E)\n\
                    hidden 10 0 - Live 0x0000000000000000\nbroken\n";
        let modules = Modules::parse(text);
        assert_eq!(modules.of(0xffffffffc0000000), Some("ext4"));
        assert_eq!(modules.of(0xffffffffc0000fff), Some("ext4"));
        assert_eq!(modules.of(0xffffffffc0001000), None);
        assert_eq!(modules.of(0xffffffffc0100005), Some("nf_tables"));
        assert_eq!(modules.of(5), None);
    }
}
