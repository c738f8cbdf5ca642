//! awl's library: what scripts may use without defining it. Data only.

/// Constants of the C headers that scripts include, `NAME value` a line, sorted by name; values are those of x86-64.
const CONSTANTS: &str = include_str!("../constants.txt");

/// Fields of the kernel's structures that changed their name and nothing else: `struct NAME OLD NEW` a line, sorted.
const RENAMED_FIELDS: &str = include_str!("../renamed_fields.txt");

/// Texts of error numbers and of signals, `NUMBER TEXT` a line.
const ERRORS: &str = include_str!("../errors.txt");
const GFP: &str = include_str!("../gfp.txt");
const SIGNALS: &str = include_str!("../signals.txt");

/// Texts of error numbers from 0, empty where there is none.
pub fn errors() -> Vec<&'static str> {
    by_number(ERRORS)
}

/// Texts of signals from 0, empty where there is none.
pub fn signals() -> Vec<&'static str> {
    by_number(SIGNALS)
}

/// What the kernel's allocator is asked for, by bits and name: several bits at once before single ones. They are where they have been
/// from 5.10 on; those above depend on how a kernel was built.
pub fn allocation_flags() -> impl Iterator<Item = (u64, &'static str)> {
    GFP.lines().filter_map(|l| l.split_once(' ')).filter_map(|(bits, name)| Some((u64::from_str_radix(bits, 16).ok()?, name)))
}

fn by_number(table: &'static str) -> Vec<&'static str> {
    let mut out = Vec::new();
    for (n, text) in table.lines().filter_map(|l| l.split_once(' ')) {
        let n: usize = n.parse().unwrap_or_default();
        out.resize(out.len().max(n + 1), "");
        out[n] = text;
    }
    out
}

/// The other name of a field of a kernel structure (`struct task_struct`), whichever of the two is given.
pub fn renamed_field(record: &str, field: &str) -> Option<&'static str> {
    RENAMED_FIELDS.lines().find_map(|line| {
        let mut names = line.strip_prefix(record)?.strip_prefix(' ')?.split(' ');
        let (old, new) = (names.next()?, names.next()?);
        match field {
            _ if field == old => Some(new),
            _ if field == new => Some(old),
            _ => None,
        }
    })
}

/// The kernel's name for a structure of the C library that looks the same.
pub fn kernel_type(name: &str) -> Option<&'static str> {
    Some(match name {
        "struct timespec" => "struct __kernel_timespec",
        "struct timeval" => "struct __kernel_old_timeval",
        "struct itimerspec" => "struct __kernel_itimerspec",
        "struct itimerval" => "struct __kernel_old_itimerval",
        "struct utsname" => "struct new_utsname",
        _ => return None,
    })
}

/// Layouts of the headers of packets, as a script would define them.
pub const PACKET: &str = include_str!("../packet.bt");

/// Macros that every script has, as it would define them.
pub const NET: &str = include_str!("../net.bt");

/// One of them: how it is written, and what is said of it.
pub struct Macro {
    pub name: &'static str,
    pub head: &'static str,
    pub doc: String,
}

pub fn macros() -> impl Iterator<Item = Macro> {
    let lines: Vec<&str> = NET.lines().collect();
    let of = |i: usize| {
        let head = lines[i].strip_prefix("macro ")?.trim_end_matches(" {");
        let above = lines[..i].iter().rev().map_while(|l| l.strip_prefix("// "));
        let mut doc: Vec<&str> = above.collect();
        doc.reverse();
        Some(Macro { name: head.split('(').next()?, head, doc: doc.join("\n") })
    };
    (0..lines.len()).filter_map(of).collect::<Vec<_>>().into_iter()
}

/// The names of all constants, for did-you-mean.
pub fn constant_names() -> impl Iterator<Item = &'static str> {
    CONSTANTS.lines().filter_map(|l| l.split_once(' ')).map(|(name, _)| name)
}

/// Names that other languages and the C library have for what is written differently here: `NAME ADVICE` a line.
const FOREIGN_NAMES: &str = include_str!("../foreign_names.txt");

/// What to write instead of a name that people bring from elsewhere.
pub fn foreign_name(name: &str) -> Option<&'static str> {
    FOREIGN_NAMES.lines().filter_map(|l| l.split_once(' ')).find(|(n, _)| *n == name).map(|(_, advice)| advice)
}

/// The value of a constant by its name in the headers.
pub fn constant(name: &str) -> Option<i64> {
    let line = CONSTANTS.lines().find(|l| l.split_once(' ').is_some_and(|(n, _)| n == name))?;
    line.split_once(' ')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{CONSTANTS, RENAMED_FIELDS, constant, errors, renamed_field, signals};

    #[test]
    fn constants() {
        assert_eq!(constant("AF_INET"), Some(2));
        assert_eq!(constant("ENOENT"), Some(2));
        assert_eq!(constant("O_CREAT"), Some(64));
        // of the kernel's own headers
        assert_eq!(
            ["DT_FIFO", "ICMPV6_ECHO_REPLY", "CAP_BPF", "PF_KTHREAD", "NSEC_PER_SEC"].map(constant),
            [1, 129, 39, 0x20_0000, 1_000_000_000].map(Some)
        );
        assert_eq!(constant("NO_SUCH"), None);
        assert!(CONSTANTS.lines().is_sorted() && CONSTANTS.lines().all(|l| l.split(' ').count() == 2));
    }

    #[test]
    fn texts() {
        assert_eq!(errors()[2], "No such file or directory");
        assert_eq!((errors().len(), errors()[41]), (134, ""));
        assert_eq!((signals().len(), signals()[9]), (65, "Killed"));
    }

    #[test]
    fn renamed_fields() {
        assert_eq!(renamed_field("struct task_struct", "state"), Some("__state"));
        assert_eq!(renamed_field("struct task_struct", "__state"), Some("state"));
        assert_eq!(renamed_field("struct task_struct", "pid"), None);
        assert_eq!(renamed_field("struct task", "state"), None);
        assert!(RENAMED_FIELDS.lines().is_sorted() && RENAMED_FIELDS.lines().all(|l| l.split(' ').count() == 4));
    }
}
