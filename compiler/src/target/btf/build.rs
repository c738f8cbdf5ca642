//! Writes BTF: for fixtures and tests, and for types that other descriptions have (DWARF).

use super::Kind;

/// Collects types and prints them as a `.BTF` section. Each method returns the new type's id.
#[derive(Clone, Debug)]
pub struct Builder {
    types: Vec<u8>,
    names: Vec<u8>,
    count: u32,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { types: Vec::new(), names: vec![0], count: 0 }
    }
}

impl Builder {
    pub fn new() -> Builder {
        Builder::default()
    }

    /// How many types there are: the id of the last one.
    pub fn len(&self) -> u32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.names.len() as u32;
        self.names.extend_from_slice(name.as_bytes());
        self.names.push(0);
        at
    }

    /// A record with its tail as words.
    fn add(&mut self, name: &str, kind: Kind, vlen: usize, flag: bool, value: u32, tail: &[u32]) -> u32 {
        let name = self.name(name);
        let info = (kind as u32) << 24 | u32::from(flag) << 31 | (vlen as u32 & 0xffff);
        for word in [name, info, value].iter().chain(tail) {
            self.types.extend_from_slice(&word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    pub fn int(&mut self, name: &str, bytes: u32, signed: bool) -> u32 {
        let encoding = u32::from(signed);
        self.add(name, Kind::Int, 0, false, bytes, &[(encoding << 24) | (bytes * 8)])
    }

    pub fn bool(&mut self, name: &str) -> u32 {
        self.add(name, Kind::Int, 0, false, 1, &[4 << 24 | 8])
    }

    pub fn float(&mut self, name: &str, bytes: u32) -> u32 {
        self.add(name, Kind::Float, 0, false, bytes, &[])
    }

    pub fn ptr(&mut self, to: u32) -> u32 {
        self.add("", Kind::Ptr, 0, false, to, &[])
    }

    pub fn array(&mut self, of: u32, n: u32) -> u32 {
        self.add("", Kind::Array, 0, false, 0, &[of, of, n])
    }

    /// `Typedef`, `Const`, `Volatile`, `Restrict`, `TypeTag`, `Func`: a kind that holds another type.
    pub fn wrap(&mut self, kind: Kind, name: &str, of: u32) -> u32 {
        self.add(name, kind, 0, false, of, &[])
    }

    pub fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.wrap(Kind::Typedef, name, of)
    }

    /// Members are (name, type, first bit, width; 0 for what is no bit-field).
    pub fn record(&mut self, union: bool, name: &str, bytes: u32, members: &[(&str, u32, u32, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (name, ty, bit, width) in members {
            tail.extend([self.name(name), *ty, width << 24 | bit]);
        }
        let kind = if union { Kind::Union } else { Kind::Struct };
        self.add(name, kind, members.len(), true, bytes, &tail)
    }

    pub fn fwd(&mut self, union: bool, name: &str) -> u32 {
        self.add(name, Kind::Fwd, 0, union, 0, &[])
    }

    pub fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, i32)]) -> u32 {
        let mut tail = Vec::new();
        for (name, value) in values {
            tail.extend([self.name(name), *value as u32]);
        }
        self.add(name, Kind::Enum, values.len(), signed, 4, &tail)
    }

    pub fn enumeration64(&mut self, name: &str, signed: bool, values: &[(&str, i64)]) -> u32 {
        let mut tail = Vec::new();
        for (name, value) in values {
            tail.extend([self.name(name), *value as u32, (*value >> 32) as u32]);
        }
        self.add(name, Kind::Enum64, values.len(), signed, 8, &tail)
    }

    pub fn prototype(&mut self, ret: u32, params: &[(&str, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (name, ty) in params {
            tail.extend([self.name(name), *ty]);
        }
        self.add("", Kind::FuncProto, params.len(), false, ret, &tail)
    }

    pub fn func(&mut self, name: &str, ret: u32, params: &[(&str, u32)]) -> u32 {
        let prototype = self.prototype(ret, params);
        self.wrap(Kind::Func, name, prototype)
    }

    /// The section's bytes.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = vec![0x9f, 0xeb, 1, 0];
        let types = self.types.len() as u32;
        for word in [24, 0, types, types, self.names.len() as u32] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.types);
        out.extend_from_slice(&self.names);
        out
    }
}

/// A type that has its id before those that it is made of.
#[derive(Debug)]
pub enum Node {
    /// its place is taken, its content follows
    Open,
    Int {
        name: String,
        bytes: u32,
        signed: bool,
    },
    Bool,
    Float {
        name: String,
        bytes: u32,
    },
    Wrap {
        kind: Kind,
        name: String,
        of: u32,
    },
    Array {
        of: u32,
        n: u32,
    },
    Record {
        union: bool,
        name: String,
        bytes: u32,
        members: Vec<(String, u32, u32, u32)>,
    },
    Fwd {
        union: bool,
        name: String,
    },
    Enum {
        name: String,
        signed: bool,
        wide: bool,
        values: Vec<(String, i64)>,
    },
    Prototype {
        ret: u32,
        params: Vec<(String, u32)>,
    },
}

/// The types, whose ids are their places in the list, from 1 on.
pub fn write(nodes: &[Node]) -> Vec<u8> {
    let mut b = Builder::new();
    for n in nodes {
        match n {
            Node::Open => b.int("int", 4, true),
            Node::Int { name, bytes, signed } => b.int(name, *bytes, *signed),
            Node::Bool => b.bool("_Bool"),
            Node::Float { name, bytes } => b.float(name, *bytes),
            Node::Wrap { kind, name, of } => b.wrap(*kind, name, *of),
            Node::Array { of, n } => b.array(*of, *n),
            Node::Record { union, name, bytes, members } => {
                let members: Vec<_> = members.iter().map(|(n, t, b, w)| (n.as_str(), *t, *b, *w)).collect();
                b.record(*union, name, *bytes, &members)
            }
            Node::Fwd { union, name } => b.fwd(*union, name),
            Node::Enum { name, signed, wide, values } => {
                if *wide {
                    let values: Vec<_> = values.iter().map(|(n, v)| (n.as_str(), *v)).collect();
                    b.enumeration64(name, *signed, &values)
                } else {
                    let values: Vec<_> = values.iter().map(|(n, v)| (n.as_str(), *v as i32)).collect();
                    b.enumeration(name, *signed, &values)
                }
            }
            Node::Prototype { ret, params } => {
                let params: Vec<_> = params.iter().map(|(n, t)| (n.as_str(), *t)).collect();
                b.prototype(*ret, &params)
            }
        };
    }
    b.finish()
}
