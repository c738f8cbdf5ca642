//! Where a function of a program finds its parameters, by the machine's calling convention: System V for x86-64 (ABI 3.2.3), AAPCS64
//! for arm64 (6.8.2). Compilers keep to it wherever a function can be called from elsewhere.

use crate::lower::context::{register, registers};
use crate::target::btf::{Btf, Kind};
use crate::target::{Arch, UserFunction, UserParameter};
use crate::types::{FieldTy, Space, Ty};

/// A function with the types of its parameters and of its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    pub parameters: Vec<Parameter>,
    /// `None`: nothing, or nothing that a register holds
    pub ret: Option<Ty>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parameter {
    pub name: String,
    pub ty: Ty,
    /// or why a probe can't read it
    pub place: Result<Place, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// a register, by its offset in `struct pt_regs`
    Register(u32),
    /// eight bytes so far above the stack pointer
    Stack(i64),
    /// the value is the address that is so far above the stack pointer
    Address(i64),
}

pub fn signature(f: &UserFunction, types: &Btf, arch: Arch) -> Signature {
    let hidden = arch == Arch::X86_64 && (f.ret_by_reference || (f.ret != 0 && in_memory(types, f.ret, arch)));
    let mut next = Next { types, arch, integers: usize::from(hidden), floats: 0, stack: registers(arch).stack_args };
    let mut parameter = |p: &UserParameter| {
        let by_convention = if f.go { go(p, types) } else { next.parameter(p) };
        // What is called from nowhere else may be called in another way: what is said of it counts.
        match p.register.and_then(|n| numbered(arch, n)).filter(|_| types.ty(p.id, Space::User).is_scalar()) {
            Some(r) => Parameter { ty: types.ty(p.id, Space::User), place: Ok(Place::Register(r)), ..by_convention },
            None => by_convention,
        }
    };
    let parameters = f.parameters.iter().map(&mut parameter).collect();
    let ret = types.ty(f.ret, Space::User);
    let held = f.ret != 0 && !f.ret_by_reference && ret.is_scalar();
    Signature { parameters, ret: held.then_some(ret) }
}

/// A register by DWARF's number.
fn numbered(arch: Arch, n: u16) -> Option<u32> {
    const X86_64: [&str; 16] = ["ax", "dx", "cx", "bx", "si", "di", "bp", "sp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    match arch {
        Arch::X86_64 => register(arch, X86_64.get(usize::from(n))?),
        Arch::Aarch64 => register(arch, &format!("r{n}")).filter(|_| n < 31),
    }
}

fn go(p: &UserParameter, types: &Btf) -> Parameter {
    let why = "Go hands arguments over in a way of its own: `reg(\"ax\")`, `reg(\"bx\")`, `reg(\"cx\")` are the first ones on x86-64";
    Parameter { name: p.name.clone(), ty: types.ty(p.id, Space::User), place: Err(why.into()) }
}

/// What comes next of each sort.
struct Next<'a> {
    types: &'a Btf,
    arch: Arch,
    integers: usize,
    floats: usize,
    /// bytes above the stack pointer
    stack: i64,
}

impl Next<'_> {
    fn parameter(&mut self, p: &UserParameter) -> Parameter {
        let ty = self.types.ty(p.id, Space::User);
        let made = |ty: Ty, place| Parameter { name: p.name.clone(), ty, place };
        if p.left_out {
            return made(ty, Err("the compiler optimized it away, or hands it over in a way of its own".into()));
        }
        let large = matches!(ty, Ty::Record(_) | Ty::Array(..)) && ty.size() > 16;
        if p.by_reference || (large && self.arch == Arch::Aarch64) {
            let place = self.word();
            return made(Ty::ptr(ty, Space::User), Ok(place));
        }
        if ty.is_scalar() {
            let place = self.word();
            return made(ty, Ok(place));
        }
        let words = if large { None } else { words(self.types, p.id, self.arch) };
        let floats = words.iter().flatten().filter(|w| !**w).count();
        let integers = words.iter().flatten().filter(|w| **w).count();
        let fits = words.is_some() && self.integers + integers <= registers(self.arch).args.len() && self.floats + floats <= 8;
        if fits {
            let held: Vec<String> = (0..integers).map(|i| format!("`arg{}`", self.integers + i)).collect();
            self.integers += integers;
            self.floats += floats;
            return made(
                ty,
                Err(match held.as_slice() {
                    [] => "floating-point numbers are handed over in registers that probes don't see".into(),
                    held => format!(
                        "it comes in registers, not as a whole: {} hold{} its whole numbers",
                        held.join(" and "),
                        if held.len() == 1 { "s" } else { "" }
                    ),
                }),
            );
        }
        if self.arch == Arch::Aarch64 {
            // What comes behind goes to the stack as well.
            self.integers = if integers > 0 { usize::MAX / 2 } else { self.integers };
            self.floats = if floats > 0 { 8 } else { self.floats };
        }
        if ty.align() > 8 || sixteen(self.types, p.id) {
            let first = registers(self.arch).stack_args;
            self.stack += (self.stack - first) & 8;
        }
        let at = self.stack;
        self.stack += i64::from(ty.size().next_multiple_of(8));
        match ty {
            Ty::Record(_) => made(Ty::ptr(ty, Space::User), Ok(Place::Address(at))),
            ty => made(ty, Err(format!("a number of this kind can't be read: it is {at} bytes above `reg(\"sp\")`"))),
        }
    }

    /// The next register for whole numbers and addresses, or word on the stack.
    fn word(&mut self) -> Place {
        match registers(self.arch).args.get(self.integers) {
            Some(r) => {
                self.integers += 1;
                Place::Register(*r)
            }
            None => {
                self.stack += 8;
                Place::Stack(self.stack - 8)
            }
        }
    }
}

/// Does a value of this type come back in memory of the caller's?
fn in_memory(types: &Btf, id: u32, arch: Arch) -> bool {
    let ty = types.ty(id, Space::User);
    !ty.is_scalar() && !matches!(types.kind(types.strip(id)), Some(Kind::Float | Kind::Int)) && words(types, id, arch).is_none()
}

/// Numbers of 16 bytes are aligned so.
fn sixteen(types: &Btf, id: u32) -> bool {
    matches!(types.kind(types.strip(id)), Some(Kind::Float | Kind::Int)) && types.ty(id, Space::User).size() == 16
}

/// For each eight bytes of a value: does it go into a register for whole numbers (true) or for floating-point numbers (false)?
/// `None`: it is in memory.
fn words(types: &Btf, id: u32, arch: Arch) -> Option<Vec<bool>> {
    let size = types.ty(id, Space::User).size() as usize;
    if size > 16 || size == 0 {
        return None;
    }
    let mut found = [None; 2];
    mark(types, id, 0, arch, &mut found, 32)?;
    Some(found[..size.div_ceil(8)].iter().map(|w| w.unwrap_or(true)).collect())
}

/// Every member says what its eight bytes are; whole numbers win.
fn mark(types: &Btf, id: u32, at: usize, arch: Arch, out: &mut [Option<bool>; 2], depth: u32) -> Option<()> {
    let (id, depth) = (types.strip(id), depth.checked_sub(1)?);
    let ty = types.ty(id, Space::User);
    let size = ty.size() as usize;
    match (types.kind(id)?, &ty) {
        (Kind::Struct | Kind::Union, Ty::Record(r)) => {
            for f in &r.fields {
                let (FieldTy::Foreign(_, of) | FieldTy::Btf(of)) = f.ty else { return None };
                mark(types, of, at + f.offset as usize, arch, out, depth)?;
            }
        }
        (Kind::Array, Ty::Array(of, n)) => {
            let element = types.element(id)?;
            for i in 0..(*n as usize).min(16) {
                mark(types, element, at + i * of.size() as usize, arch, out, depth)?;
            }
        }
        (Kind::Float, _) => {
            // `long double` of x86-64 is handed over in memory
            if size > 8 && arch == Arch::X86_64 {
                return None;
            }
            let word = out.get_mut(at / 8)?;
            *word = Some(word.unwrap_or(false));
        }
        _ => {
            for word in at / 8..(at + size.max(1)).div_ceil(8) {
                *out.get_mut(word)? = Some(true);
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::btf::Builder;

    /// Types by number: 1 int, 2 long, 3 double, 4 pointer to 5, 5 struct of 24 bytes, 6 of an int and a long, 7 of two doubles,
    /// 8 of a double and an int, 9 `long double`, 10 `__int128`
    fn types() -> Btf {
        let mut b = Builder::new();
        let int = b.int("int", 4, true);
        let long = b.int("long", 8, true);
        let double = b.float("double", 8);
        b.ptr(5);
        b.record(false, "big", 24, &[("a", long, 0, 0), ("b", long, 64, 0), ("c", long, 128, 0)]);
        b.record(false, "pair", 16, &[("a", int, 0, 0), ("b", long, 64, 0)]);
        b.record(false, "point", 16, &[("x", double, 0, 0), ("y", double, 64, 0)]);
        b.record(false, "mixed", 16, &[("x", double, 0, 0), ("n", int, 64, 0)]);
        b.float("long double", 16);
        b.int("__int128", 16, true);
        Btf::foreign(b.finish(), 1).unwrap()
    }

    fn places(ret: u32, ids: &[u32], arch: Arch) -> Vec<String> {
        let parameters = ids.iter().map(|id| UserParameter { name: "p".into(), id: *id, ..UserParameter::default() }).collect();
        let f = UserFunction { parameters, ret, ..UserFunction::default() };
        let found = signature(&f, &types(), arch);
        let text = |p: Parameter| match p.place {
            Ok(Place::Register(r)) => format!("r{r}"),
            Ok(Place::Stack(at)) => format!("stack+{at}"),
            Ok(Place::Address(at)) => format!("address+{at} {}", p.ty),
            Err(why) => why.split('`').skip(1).step_by(2).filter(|w| w.starts_with("arg")).fold("-".into(), |a, w| format!("{a} {w}")),
        };
        found.parameters.into_iter().map(text).collect()
    }

    #[test]
    fn x86_64() {
        let of = |ids: &[u32]| places(0, ids, Arch::X86_64);
        assert_eq!(of(&[1, 2, 4]), ["r112", "r104", "r96"]);
        assert_eq!(of(&[3, 1]), ["-", "r112"]);
        assert_eq!(of(&[5, 1]), ["address+8 struct big*", "r112"]);
        assert_eq!(of(&[6, 1]), ["- arg0 arg1", "r96"]);
        assert_eq!(of(&[7, 1]), ["-", "r112"]);
        assert_eq!(of(&[8, 1]), ["- arg0", "r104"]);
        assert_eq!(of(&[10, 1]), ["- arg0 arg1", "r96"]);
        // what doesn't fit into the registers that are left goes to the stack as a whole, and leaves them to others
        assert_eq!(of(&[1, 1, 1, 1, 1, 6, 1, 1]), ["r112", "r104", "r96", "r88", "r72", "address+8 struct pair*", "r64", "stack+24"]);
        assert_eq!(of(&[1, 1, 1, 1, 1, 1, 1, 9, 1])[6..], ["stack+8", "-", "stack+40"]);
        // the result's place is the first argument
        assert_eq!(places(5, &[1], Arch::X86_64), ["r104"]);
        assert_eq!(places(6, &[1], Arch::X86_64), ["r112"]);
        assert_eq!(places(9, &[1], Arch::X86_64), ["r112"]);
    }

    #[test]
    fn aarch64() {
        let of = |ids: &[u32]| places(5, ids, Arch::Aarch64);
        assert_eq!(of(&[1, 4]), ["r0", "r8"]);
        assert_eq!(of(&[3, 1]), ["-", "r0"]);
        assert_eq!(of(&[5, 1]), ["r0", "r8"]);
        assert_eq!(of(&[6, 1]), ["- arg0 arg1", "r16"]);
        assert_eq!(of(&[1, 1, 1, 1, 1, 1, 1, 6, 1])[7..], ["address+0 struct pair*", "stack+16"]);
    }

    #[test]
    fn results() {
        let ret = |id| signature(&UserFunction { ret: id, ..UserFunction::default() }, &types(), Arch::X86_64).ret;
        assert_eq!(ret(0), None);
        assert_eq!(ret(1), Some(Ty::I32));
        assert!(matches!(ret(4), Some(Ty::Ptr(..))));
        assert_eq!((ret(3), ret(5), ret(6)), (None, None, None));
    }

    #[test]
    fn by_reference_and_go() {
        let p = UserParameter { name: "s".into(), id: 6, by_reference: true, ..UserParameter::default() };
        let f = UserFunction { parameters: vec![p], ret_by_reference: true, ..UserFunction::default() };
        assert_eq!(signature(&f, &types(), Arch::X86_64).parameters[0].place, Ok(Place::Register(104)));
        let f = UserFunction { go: true, ..f };
        assert!(signature(&f, &types(), Arch::X86_64).parameters[0].place.is_err());
        let known = |register, left_out| UserParameter { name: "n".into(), id: 1, register, left_out, ..UserParameter::default() };
        let f = UserFunction { parameters: vec![known(Some(0), false), known(Some(99), true), known(None, true)], go: true, ..f };
        let found = signature(&f, &types(), Arch::X86_64).parameters;
        assert_eq!(found[0].place, Ok(Place::Register(80)));
        let f = UserFunction { go: false, ret_by_reference: false, ..f };
        assert!(found[1].place.is_err() && signature(&f, &types(), Arch::X86_64).parameters[2].place.is_err());
    }
}
