//! Sources of counters as sysfs describes them (`/sys/bus/event_source/devices/NAME`): which bits of an event's configuration a
//! term stands for (`format/umask` is `config:8-15`), and which terms an event is short for (`events/NAME`).

/// One of them, as its files have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pmu {
    pub name: String,
    /// what `perf_event_open` wants as `type`
    pub kind: u32,
    /// name and text of each file, sorted by name
    pub formats: Vec<(String, String)>,
    pub events: Vec<(String, String)>,
}

/// `config`, `config1`, `config2` of `perf_event_attr`.
pub type Config = [u64; 3];

/// Why terms mean no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// neither an event nor a term
    Unknown(String),
    /// the term needs a value
    Value(String),
    /// term and value, which has more bits than there are for it
    Wide(String, String),
    /// the kernel's own text can't be read
    Format(String),
}

impl Pmu {
    /// What `event=0x3c,umask=1`, `cache-misses` or both together stand for. Later terms go before earlier ones, so that an event's
    /// own can be changed.
    pub fn config(&self, terms: &str) -> Result<Config, Wrong> {
        let mut config = Config::default();
        for term in terms.split(',').map(str::trim) {
            match self.events.iter().find(|(n, _)| n == term) {
                // Values that the event leaves to its user (`ldlat=?`) come behind it.
                Some((_, text)) => text.trim().split(',').filter(|t| !t.ends_with("=?")).try_for_each(|t| self.term(t, &mut config))?,
                None => self.term(term, &mut config)?,
            }
        }
        let left = terms.split(',').filter_map(|t| self.events.iter().find(|(n, _)| n == t)).flat_map(|(_, text)| text.trim().split(','));
        let given = |name: &str| terms.split(',').any(|t| t.split_once('=').is_some_and(|(n, _)| n == name));
        match left.filter_map(|t| t.strip_suffix("=?")).find(|name| !given(name)) {
            Some(name) => Err(Wrong::Value(name.to_owned())),
            None => Ok(config),
        }
    }

    fn term(&self, term: &str, config: &mut Config) -> Result<(), Wrong> {
        let (name, value) = term.split_once('=').map_or((term, None), |(n, v)| (n, Some(v)));
        let format = self.formats.iter().find(|(n, _)| n == name).map(|(_, text)| text.trim());
        let format = format
            .or_else(|| ["config", "config1", "config2"].into_iter().find(|c| *c == name))
            .ok_or_else(|| Wrong::Unknown(name.to_owned()))?;
        let (word, fields) = bits(format).ok_or_else(|| Wrong::Format(format!("{name}: {format}")))?;
        let wide = |v: &str| Wrong::Wide(name.to_owned(), v.to_owned());
        let mut value = match value {
            Some(v) => integer(v).ok_or_else(|| wide(v))?,
            // A flag is one bit; more of them want a number.
            None if fields.iter().map(|(_, n)| n).sum::<u32>() == 1 => 1,
            None => return Err(Wrong::Value(name.to_owned())),
        };
        for (low, count) in fields {
            let mask = u64::MAX >> (64 - count);
            config[word] = config[word] & !(mask << low) | (value & mask) << low;
            value = value.checked_shr(count).unwrap_or(0);
        }
        if value == 0 { Ok(()) } else { Err(wide(term.split_once('=').map_or("", |(_, v)| v))) }
    }

    /// All that can stand in a term.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.events.iter().chain(&self.formats).map(|(n, _)| n.as_str())
    }
}

/// Which word, and of it (lowest bit, number of bits) from the value's low end on: `config:0-7,32-35`, `config1`.
fn bits(format: &str) -> Option<(usize, Vec<(u32, u32)>)> {
    let (word, ranges) = format.split_once(':').unwrap_or((format, "0-63"));
    let word = ["config", "config1", "config2"].iter().position(|w| *w == word)?;
    let range = |r: &str| {
        let (low, high) = r.split_once('-').unwrap_or((r, r));
        let (low, high): (u32, u32) = (low.parse().ok()?, high.parse().ok()?);
        Some((low, high.checked_sub(low)? + 1)).filter(|_| high < 64)
    };
    Some((word, ranges.split(',').map(range).collect::<Option<_>>()?))
}

fn integer(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Pmu, Wrong, bits};

    fn pmu() -> Pmu {
        let owned = |list: &[(&str, &str)]| list.iter().map(|(n, t)| (n.to_string(), t.to_string())).collect();
        Pmu {
            name: "cpu".into(),
            kind: 4,
            formats: owned(&[
                ("edge", "config:18\n"),
                ("event", "config:0-7,32-35\n"),
                ("ldlat", "config1:0-15\n"),
                ("odd", "config3:0-15\n"),
                ("umask", "config:8-15\n"),
                ("whole", "config2\n"),
            ]),
            events: owned(&[("cache-misses", "event=0x64,umask=0x9\n"), ("mem-loads", "event=0xcd,umask=0x1,ldlat=?\n")]),
        }
    }

    #[test]
    fn terms_go_into_their_bits() {
        for (terms, config) in [
            ("event=0x3c", [0x3c, 0, 0]),
            ("event=0x1c2", [0x1_0000_00c2, 0, 0]),
            ("event=0x3c,umask=1,edge", [0x4_013c, 0, 0]),
            ("edge=0", [0, 0, 0]),
            ("cache-misses", [0x0964, 0, 0]),
            ("cache-misses,umask=2", [0x0264, 0, 0]),
            ("mem-loads,ldlat=30", [0x01cd, 30, 0]),
            ("config=0x1a8,config1=5", [0x1a8, 5, 0]),
            ("whole=0xffffffffffffffff", [0, 0, u64::MAX]),
        ] {
            assert_eq!(pmu().config(terms), Ok(config), "{terms}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wide = |n: &str, v: &str| Wrong::Wide(n.into(), v.into());
        for (terms, wrong) in [
            ("cach-misses", Wrong::Unknown("cach-misses".into())),
            ("", Wrong::Unknown(String::new())),
            ("event", Wrong::Value("event".into())),
            ("mem-loads", Wrong::Value("ldlat".into())),
            ("umask=0x100", wide("umask", "0x100")),
            ("event=0x1000", wide("event", "0x1000")),
            ("edge=2", wide("edge", "2")),
            ("event=x", wide("event", "x")),
            ("odd=1", Wrong::Format("odd: config3:0-15".into())),
        ] {
            assert_eq!(pmu().config(terms), Err(wrong), "{terms}");
        }
    }

    #[test]
    fn formats() {
        assert_eq!(bits("config:0-7,32-35"), Some((0, vec![(0, 8), (32, 4)])));
        assert_eq!(bits("config1"), Some((1, vec![(0, 64)])));
        for bad in ["", "config:", "config:7-0", "config:64", "config:a", "attr:0-7", "config:0-"] {
            assert_eq!(bits(bad), None, "{bad}");
        }
    }
}
