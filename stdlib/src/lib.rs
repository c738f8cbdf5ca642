//! awl's library: what scripts may use without defining it. Data only.

/// Constants of the C headers that scripts include, `NAME value` a line, sorted by name; values are those of x86-64.
const CONSTANTS: &str = include_str!("../constants.txt");

/// Fields of the kernel's structures that changed their name and nothing else: `struct NAME OLD NEW` a line, sorted.
const RENAMED_FIELDS: &str = include_str!("../renamed_fields.txt");

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

/// The value of a constant by its name in the headers.
pub fn constant(name: &str) -> Option<i64> {
    let line = CONSTANTS.lines().find(|l| l.split_once(' ').is_some_and(|(n, _)| n == name))?;
    line.split_once(' ')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{CONSTANTS, RENAMED_FIELDS, constant, renamed_field};

    #[test]
    fn constants() {
        assert_eq!(constant("AF_INET"), Some(2));
        assert_eq!(constant("ENOENT"), Some(2));
        assert_eq!(constant("O_CREAT"), Some(64));
        assert_eq!(constant("NO_SUCH"), None);
        assert!(CONSTANTS.lines().is_sorted() && CONSTANTS.lines().all(|l| l.split(' ').count() == 2));
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
